"""What the environment asks of embedded mode. Pure; everything it does not know goes to the services as it is.

| variable | default | meaning |
|---|---|---|
| `PORT` | 3000 | gateway 0; all other ports derive from it (`deploy.embedded.ports`) |
| `HOST` | 127.0.0.1 | address the gateways listen on |
| `GATEWAYS`, `WORKERS` | 1 | how many gateway and messages processes |
| `RESTART` | 1 | 0: a process that dies stays dead |
| `AMQP_URL`, `MONGO_URL` | - | use these servers and start none |
| `LISTENERS` | `PORT=auto` | the gateways' ports and their dialects; `PORT` is always among them |
| `CHAT_SERVER_PORT` | `PORT + 3`, if it is free | gateway 0's port for the dialect `team`; 0: none |
| `UPLOAD_DIR` | `uploads` in `PARLEY_DIR` | where `MEDIA_STORE=directory` keeps files |
| `PUBLIC_URL` | gateway 0, unless `HOST` means all addresses | what links to files begin with |
| `JWT_SECRET` | the development secret | signs tokens; `NEXT_PUBLIC_JWT_SECRET` is read, too |
| `DRAIN_TIMEOUT` | 10 | seconds the services take at most to finish what is in flight |
| `PARLEY_DIR` | `.parley` | data, logs and pid files; a second stack needs another one, and another `PORT` |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.ports import LOOPBACK
from shared.settings import DEVELOPMENT_SECRET

REPOSITORY = Path(__file__).parents[2]
ANY_ADDRESS = {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}  # noqa: S104 - looked for, not bound to


@dataclass(frozen=True, slots=True)
class Config:
    """One stack as the environment describes it; the table above says what each variable means."""

    port: int = 3000
    host: str = LOOPBACK
    gateways: int = 1
    workers: int = 1
    restart: bool = True
    amqp_url: str | None = None
    mongo_url: str | None = None
    jwt_secret: str = DEVELOPMENT_SECRET
    drain_timeout: float = 10.0
    root: Path = REPOSITORY / ".parley"
    code: Path = REPOSITORY
    """Where the services' code is; not asked of the environment."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Config":
        """Read `env`; an empty value counts as unset.

        Raises:
            EmbeddedError: naming the variable whose value makes no sense.
        """
        default = cls()
        return cls(
            port=_number(env, "PORT", default.port),
            host=env.get("HOST") or default.host,
            gateways=_number(env, "GATEWAYS", default.gateways),
            workers=_number(env, "WORKERS", default.workers),
            restart=_flag(env, "RESTART", default=default.restart),
            amqp_url=env.get("AMQP_URL") or None,
            mongo_url=env.get("MONGO_URL") or None,
            jwt_secret=env.get("JWT_SECRET") or env.get("NEXT_PUBLIC_JWT_SECRET") or default.jwt_secret,
            drain_timeout=_seconds(env, "DRAIN_TIMEOUT", default.drain_timeout),
            root=Path(env.get("PARLEY_DIR") or default.root),
        )

    @property
    def open_to_all(self) -> bool:
        """Whether others reach the gateways while the secret that signs tokens is the public one."""
        local = self.host in {"localhost", "::1"} or self.host.startswith("127.")
        return self.jwt_secret == DEVELOPMENT_SECRET and not local

    @property
    def reachable_host(self) -> str:
        """Where a client on this machine finds the gateways."""
        return ANY_ADDRESS.get(self.host, self.host)


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    try:
        return int(text)
    except ValueError:
        raise EmbeddedError(f"{name}={text!r} is not a whole number") from None


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        return float(text)
    except ValueError:
        raise EmbeddedError(f"{name}={text!r} is not a number of seconds") from None


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = env.get(name) or str(int(default))
    if text not in {"0", "1"}:
        raise EmbeddedError(f"{name}={text!r}: 1 is on, 0 is off")
    return text == "1"
