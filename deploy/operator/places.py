"""Which servers an operator means: those that the environment names, else those of the stack that runs here."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from deploy.operator.output import OperatorError


def broker(env: Mapping[str, str]) -> str:
    """The URL of the broker that `env` means.

    Raises:
        OperatorError: where there is none, or its URL is no URL of a broker.
    """
    url = env.get("AMQP_URL") or f"amqp://guest:guest@{_embedded(env, 'AMQP_URL', 'rabbitmq', 'broker')}/"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"amqp", "amqps"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise OperatorError("AMQP_URL is no URL of a broker (amqp://user:password@host:5672/)")
    return url


def database(env: Mapping[str, str]) -> str:
    """The URL of the database that `env` means.

    Raises:
        OperatorError: where there is none.
    """
    return env.get("MONGO_URL") or (
        f"mongodb://{_embedded(env, 'MONGO_URL', 'mongod', 'database')}/parley?replicaSet=parley"
    )


def _embedded(env: Mapping[str, str], variable: str, process: str, what: str) -> str:
    """Host and port of a server of the stack that runs here."""
    try:
        from deploy.embedded.config import Config
        from deploy.embedded.errors import EmbeddedError
        from deploy.embedded.home import Home
        from deploy.embedded.ports import LOOPBACK
    except ModuleNotFoundError:  # the image has no embedded mode
        raise OperatorError(f"which {what}? set {variable}") from None
    try:
        home = Home(Config.from_env(env).root)
        if home.supervisor() is None:
            raise OperatorError(f"no stack runs in {home.root}: start one (make up), or set {variable}")
        port = home.description()["ports"].get(process)
    except EmbeddedError as error:
        raise OperatorError(str(error)) from error
    if port is None:
        raise OperatorError(f"the stack in {home.root} uses a {what} that it did not start: set {variable}")
    return f"{LOOPBACK}:{port}"
