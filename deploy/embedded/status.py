"""Looks at a running stack from outside: who lives, and who is ready. Changes nothing."""

import asyncio

from deploy.embedded import mongod, probes
from deploy.embedded.home import Home
from deploy.embedded.ports import LOOPBACK


async def survey(home: Home) -> tuple[list[str], bool]:
    """One line per process (name, pid, port, state), and whether all of them are ready."""
    description = home.description()
    ports: dict[str, int] = description["ports"]
    missing = await asyncio.gather(*(_probe(name, description["host"], port)() for name, port in ports.items()))
    lines = [
        f"{name:<14}{home.read_pid(name) or '-':>8}  port {port:<6}{what or 'ready'}"
        for (name, port), what in zip(ports.items(), missing, strict=True)
    ]
    return lines, not any(missing)


def _probe(name: str, host: str, port: int) -> probes.Probe:
    match name:
        case "epmd":
            return probes.listens(port)
        case "rabbitmq":
            return probes.speaks_amqp(port)
        case "mongod":
            return mongod.writable_primary(port)
        case _:
            return probes.readyz(host if name.startswith("gateway-") else LOOPBACK, port)
