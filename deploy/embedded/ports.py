"""Which port belongs to whom: one table, all of it derived from PORT.

    PORT + 100*i    gateway-i           (HOST)
    PORT + 3        gateway-0, for clients of the dialect `team` (HOST); left out where somebody else has it
    PORT + 1 ... 9  left free for further gateway listeners (LISTENERS)
    PORT + 10       rooms-0             (loopback, as all below: /livez, /readyz, /metrics)
    PORT + 11       media-0
    PORT + 12       media-0, for files (MEDIA_URL)
    PORT + 20 + i   messages-i          (up to 70)
    PORT + 90       RabbitMQ, AMQP
    PORT + 91       RabbitMQ, Erlang distribution
    PORT + 92       epmd, RabbitMQ's name server
    PORT + 93       mongod

Two stacks run side by side when their PORTs lie 100 apart for each gateway. The arithmetic is pure; only `busy` and
`find_free` look at the machine.
"""

import random
import socket
from dataclasses import dataclass

from deploy.embedded.errors import EmbeddedError

LOOPBACK = "127.0.0.1"
GATEWAY_STRIDE = 100
TEAM_OFFSET = 3
"""Where the sample code of team.md connects: 3003, PORT being 3000."""
MAX_WORKERS = 70
LAST_PORT = 65535
# `find_free` stays below the range from which Linux takes ports for outgoing connections (32768 and up).
SEARCH_RANGE = range(10_000, 32_000, GATEWAY_STRIDE)


@dataclass(frozen=True, slots=True)
class Ports:
    """The port table of one stack.

    Raises:
        EmbeddedError: if the numbers do not fit the table.
    """

    base: int
    gateways: int = 1
    workers: int = 1

    def __post_init__(self) -> None:
        if self.gateways < 1:
            raise EmbeddedError(f"GATEWAYS={self.gateways}: at least one gateway is needed")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise EmbeddedError(f"WORKERS={self.workers}: from 1 to {MAX_WORKERS} messages workers fit the port table")
        last = max(self.mongod, self.gateway(self.gateways - 1))
        if self.base < 1 or last > LAST_PORT:
            raise EmbeddedError(
                f"PORT={self.base} with GATEWAYS={self.gateways} needs ports up to {last}: choose PORT between 1 and "
                f"{LAST_PORT - (last - self.base)}"
            )

    @property
    def rooms(self) -> int:
        """Operations port of the rooms service."""
        return self.base + 10

    @property
    def media(self) -> int:
        """Operations port of the media service."""
        return self.base + 11

    @property
    def media_files(self) -> int:
        """Where gateways bring the media service files, and get them."""
        return self.base + 12

    @property
    def amqp(self) -> int:
        """Where RabbitMQ speaks AMQP."""
        return self.base + 90

    @property
    def distribution(self) -> int:
        """Where the RabbitMQ node talks to its command line tools."""
        return self.base + 91

    @property
    def epmd(self) -> int:
        """RabbitMQ's name server."""
        return self.base + 92

    @property
    def mongod(self) -> int:
        """The database."""
        return self.base + 93

    def gateway(self, index: int) -> int:
        """Where gateway `index` listens."""
        return self.base + GATEWAY_STRIDE * index

    @property
    def team(self) -> int:
        """Where gateway 0 listens for clients of `team`, too."""
        return self.base + TEAM_OFFSET

    def messages(self, index: int) -> int:
        """Operations port of messages worker `index`."""
        return self.base + 20 + index

    def broker(self) -> dict[int, str]:
        """Ports of RabbitMQ, each with what wants it."""
        return {
            self.amqp: "RabbitMQ (AMQP)",
            self.distribution: "RabbitMQ (Erlang distribution)",
            self.epmd: "epmd, RabbitMQ's name server",
        }

    def database(self) -> dict[int, str]:
        """Port of mongod, with what wants it."""
        return {self.mongod: "mongod"}

    def operations(self) -> dict[int, str]:
        """Where the services behind the gateways tell how they are, each with what wants it."""
        workers = {self.messages(index): f"messages-{index}" for index in range(self.workers)}
        return {self.rooms: "rooms-0", self.media: "media-0", **workers}

    def files(self) -> dict[int, str]:
        """Where files are brought and fetched, with what wants it."""
        return {self.media_files: "media-0 (files)"}

    def listeners(self) -> dict[int, str]:
        """The gateways' ports, each with what wants it."""
        return {self.gateway(index): f"gateway-{index}" for index in range(self.gateways)}


def busy(wanted: dict[int, str], host: str = LOOPBACK) -> list[str]:
    """Which of the wanted ports cannot be listened on, one line each, naming the port and what wanted it."""
    return [
        f"port {port} ({who}) on {host}: {why}" for port, who in wanted.items() if (why := _cannot_listen(host, port))
    ]


def find_free(gateways: int = 1, workers: int = 1) -> int:
    """A PORT whose whole table is free at this moment, for stacks of tests and benchmarks.

    Raises:
        EmbeddedError: if there is none.
    """
    for base in random.sample(SEARCH_RANGE, len(SEARCH_RANGE)):
        ports = Ports(base, gateways, workers)
        services = ports.operations() | ports.files() | ports.listeners() | {ports.team: "gateway-0 (team)"}
        if not busy(ports.broker() | ports.database() | services):
            return base
    raise EmbeddedError(f"no free block of ports between {SEARCH_RANGE.start} and {SEARCH_RANGE.stop}")


def _cannot_listen(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of a stack that just stopped linger in TIME_WAIT; they do not keep anybody from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return None
