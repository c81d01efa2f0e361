"""A private RabbitMQ node: found or installed, configured, described as processes.

Bound to loopback, with data, cookie and name server of its own, so that it runs as any user beside any other broker.
Opens no AMQP connection: that is `shared.bus`'s.
"""

import os
import shutil
from pathlib import Path

from deploy.embedded import packages, probes
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.home import Home
from deploy.embedded.ports import LOOPBACK, Ports
from deploy.embedded.process import Progress, Spec

# Where distributions put the plain script. The one on PATH switches to user `rabbitmq` and refuses anybody but root.
PLAIN_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

MISSING = (
    "RabbitMQ is not installed, and {why}.\n"
    "  Install it (Debian, Ubuntu: sudo apt-get install rabbitmq-server), or use a broker you have (AMQP_URL=amqp://...),\n"
    "  or run everything in containers (docker compose up)."
)

CONFIG = """\
listeners.tcp.1 = {host}:{port}
# A laptop has other things to do with its memory. Quorum queues keep up to one write-ahead log in memory; a small one
# also makes for a short recovery after a kill.
vm_memory_high_watermark.relative = 0.25
raft.wal_max_size_bytes = 67108864
disk_free_limit.absolute = 200MB
# A worker stopped in the debugger keeps its channel.
consumer_timeout = 3600000
log.file = false
log.console = true
log.console.level = info
"""


LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"
NO_BUSY_WAIT = "+sbwt none +sbwtdcpu none +sbwtdio none"
"""By default Erlang's schedulers spin for a while before they sleep, on cores that the other processes could use."""


async def find(progress: Progress, home: Home) -> Path:
    """The server script of this machine, installed with its package manager if there is none.

    Raises:
        EmbeddedError: if there is none and none can be installed.
    """
    if (script := _installed()) is None:
        why = await packages.install("rabbitmq-server", progress, home)
        if (script := _installed()) is None:
            raise EmbeddedError(MISSING.format(why=why or "its package brought no rabbitmq-server"))
    return script


def specs(script: Path, home: Home, ports: Ports) -> tuple[Spec, Spec]:
    """The node's name server, and the node, which needs it to start.

    The name server (epmd) is a process of ours, as the one that Erlang would start by itself outlives the node.
    """
    data = home.data / "rabbitmq"
    _configure(data, ports)
    env = _environment(data, ports)
    epmd = Spec(
        name="epmd",
        argv=(str(_epmd()), "-port", str(ports.epmd), "-address", LOOPBACK),
        env=env,
        cwd=data,
        port=ports.epmd,
        probe=probes.listens(ports.epmd),
        grace=5,
    )
    rabbitmq = Spec(
        name="rabbitmq",
        argv=(str(script),),
        env=env,
        cwd=data,
        port=ports.amqp,
        probe=probes.speaks_amqp(ports.amqp),
        grace=30,
    )
    return epmd, rabbitmq


def url(ports: Ports) -> str:
    """AMQP_URL of the node: the default user, which RabbitMQ lets in from loopback only."""
    return f"amqp://guest:guest@{LOOPBACK}:{ports.amqp}/"


def _installed() -> Path | None:
    if PLAIN_SCRIPT.exists():
        return PLAIN_SCRIPT
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


def _epmd() -> Path:
    if found := shutil.which("epmd"):
        return Path(found)
    if (erl := shutil.which("erl")) and (beside := Path(erl).resolve().with_name("epmd")).exists():
        return beside
    raise EmbeddedError("RabbitMQ is installed, but Erlang's epmd is not on PATH: is erlang-base missing?")


def _configure(data: Path, ports: Ports) -> None:
    for directory in ("home", "mnesia", "log", "schema", "generated", "conf.d"):
        (data / directory).mkdir(parents=True, exist_ok=True)
    (data / "rabbitmq.conf").write_text(CONFIG.format(host=LOOPBACK, port=ports.amqp))
    (data / "enabled_plugins").write_text("[].\n")


def _environment(data: Path, ports: Ports) -> dict[str, str]:
    """Everything the node reads, so that nothing of a system-wide installation (/etc, /var/lib) leaks in."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(data / "home"),
        "RABBITMQ_NODENAME": "parley@localhost",
        "RABBITMQ_NODE_PORT": str(ports.amqp),
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_LOG_BASE": str(data / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_SCHEMA_DIR": str(data / "schema"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(data / "generated"),
        "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(data / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(data / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(data / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "enabled_plugins"),
        # The script then becomes the Erlang machine instead of its parent: the pid we know is the one that matters, and
        # SIGTERM reaches it.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{LOOPBACK_ONLY} {NO_BUSY_WAIT}",
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_CRASH_DUMP_SECONDS": "0",
    }
