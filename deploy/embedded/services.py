"""The four services as processes: their command, environment and readiness. Imports none of them."""

import os
import sys
from collections.abc import Mapping

from deploy.embedded import probes
from deploy.embedded.config import ANY_ADDRESS, Config
from deploy.embedded.ports import LOOPBACK, Ports
from deploy.embedded.process import Spec

# Between SIGTERM and SIGKILL, beyond what the service itself allows its drain.
GRACE_AFTER_DRAIN = 5.0
# Never inherited from the developer's shell: the stack says which servers its services use.
OURS = (
    "AMQP_URL", "MONGO_URL", "MEDIA_URL", "MEDIA_PORT", "HOST", "PORT", "OPS_PORT", "INSTANCE", "JWT_SECRET",
    "EMBEDDED",
)  # fmt: skip


def workers(config: Config, ports: Ports, extra: Mapping[str, str], links: Mapping[str, str]) -> list[Spec]:
    """Rooms, media and the messages workers.

    Args:
        extra: settings for the services, on top of this process's environment.
        links: AMQP_URL and MONGO_URL.
    """
    alone = {"media": {"MEDIA_PORT": str(ports.media_files), "UPLOAD_DIR": str(config.root.absolute() / "uploads")}}
    placed = [("rooms", 0, ports.rooms), ("media", 0, ports.media)]
    placed += [("messages", index, ports.messages(index)) for index in range(config.workers)]
    base = {**_public(config, ports), **_inherited(extra), **links, "HOST": LOOPBACK}
    return [
        _spec(config, service, index, port, {**alone.get(service, {}), **base, "OPS_PORT": str(port)})
        for service, index, port in placed
    ]


def gateways(
    config: Config, ports: Ports, extra: Mapping[str, str], links: Mapping[str, str], *, team_port: int = 0
) -> list[Spec]:
    """The gateways; they hold connections only and get no MONGO_URL.

    Args:
        links: AMQP_URL, and MEDIA_URL where files are.
        team_port: where gateway 0 listens for the dialect `team`, if the settings do not say which listeners there are.
    """
    known = {name: links[name] for name in ("AMQP_URL", "MEDIA_URL")}
    base = {**_public(config, ports), **_inherited(extra), **known, "HOST": config.host}
    specs = []
    for index, port in enumerate(ports.listeners()):
        env = {**base, "PORT": str(port), **_listeners(base, port, port - ports.base, team_port)}
        specs.append(_spec(config, "gateway", index, port, env))
    return specs


def origin(host: str, port: int) -> str:
    """`http://host:port`."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _public(config: Config, ports: Ports) -> dict[str, str]:
    """Where links to files lead, unless the settings say it; paths, where clients come by any address."""
    return {} if config.host in ANY_ADDRESS else {"PUBLIC_URL": origin(config.host, ports.gateway(0))}


def _listeners(env: Mapping[str, str], port: int, offset: int, team_port: int) -> dict[str, str]:
    """The settings of a gateway's listeners, which lie `offset` above those of gateway 0; it is asked at `port`."""
    listed, team = env.get("LISTENERS", ""), env.get("CHAT_SERVER_PORT", "")
    if team:
        settings = {"CHAT_SERVER_PORT": _moved(team, offset if team != "0" else 0)}
    else:
        settings = {"CHAT_SERVER_PORT": str(0 if listed or offset else team_port)}
    if listed:
        items = [_moved(item, offset) for item in listed.split(",")]
        if str(port) not in [item.partition("=")[0].strip() for item in items]:
            items.insert(0, f"{port}=auto")
        settings["LISTENERS"] = ",".join(items)
    return settings


def _moved(item: str, offset: int) -> str:
    """A port, or `PORT=DIALECT`, so much further up; what is neither is left for the gateway to refuse."""
    number, equals, dialect = item.partition("=")
    return f"{int(number) + offset}{equals}{dialect}" if number.strip().isdecimal() else item


def _inherited(extra: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in {**os.environ, **extra}.items() if name not in OURS}


def _spec(config: Config, service: str, index: int, port: int, settings: Mapping[str, str]) -> Spec:
    name = f"{service}-{index}"
    host = config.reachable_host if service == "gateway" else LOOPBACK
    return Spec(
        name=name,
        argv=(sys.executable, "-m", f"services.{service}"),
        env={**settings, "INSTANCE": name, "JWT_SECRET": config.jwt_secret, "EMBEDDED": "1"},
        cwd=config.code,
        port=port,
        probe=probes.readyz(host, port),
        grace=config.drain_timeout + GRACE_AFTER_DRAIN,
    )
