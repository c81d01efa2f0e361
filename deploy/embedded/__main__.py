"""The command line, `python -m deploy.embedded run|up|down|status|token|chat`: a thin shell over `Stack`."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

from deploy.embedded.config import Config
from deploy.embedded.daemon import in_background
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.home import SUPERVISOR, Home

INTERRUPTED = 128 + signal.SIGINT
NOT_RUNNING = 3  # what init scripts answer to "status" (LSB 3.1, section 20.2)
DEMO_TTL = 24 * 3600

WELCOME = """
Parley is ready after {seconds:.1f} s.

  API         {url}    documentation: {url}/docs
  chat        make chat    and in a second terminal: make chat SUB=bob
  WebSocket   {socket}/ws?token={token}
              (a token for user demo, valid for a day; others: make token SUB=alice)
  logs        {logs}/
  stop        {stop}
"""

OPEN_TO_ALL = """\
  Careful: HOST={host} lets the network in, and without JWT_SECRET tokens are signed with the secret that stands in the
  source: whoever has read it can be anybody here.
"""


def run(config: Config) -> int:
    """Run the stack here until Ctrl-C."""
    return asyncio.run(_serve(config, stop="Ctrl-C", ready=lambda: None))


def up(config: Config) -> int:
    """Run the stack in the background; return when it is ready."""
    home = Home(config.root)
    if (pid := home.supervisor()) is not None:
        _say(f"already running (supervisor pid {pid}): make status shows it, make down stops it")
        return 0
    return in_background(
        home.log_path(SUPERVISOR), lambda ready: asyncio.run(_serve(config, stop="make down", ready=ready))
    )


def down(config: Config) -> int:
    """Stop the stack, wherever it was started, and wait until it is gone."""
    home = Home(config.root)
    began = time.monotonic()
    if (pid := home.supervisor()) is not None:
        _say("stopping")
        os.kill(pid, signal.SIGTERM)
        home.wait_released()
        _say(f"stopped after {time.monotonic() - began:.1f} s")
    elif ended := asyncio.run(home.clear_leftovers(config.drain_timeout)):
        _say(f"ended {ended} processes that a killed supervisor had left running")
    else:
        _say("not running")
    return 0


def status(config: Config) -> int:
    """Print one line per process; 0 if all is ready, 1 if something is not, 3 if nothing runs."""
    from deploy.embedded.status import survey

    home = Home(config.root)
    if (pid := home.supervisor()) is None:
        _say("not running")
        return NOT_RUNNING
    lines, ready = asyncio.run(survey(home))
    _say(f"{SUPERVISOR:<14}{pid:>8}")
    for line in lines:
        _say(line)
    return 0 if ready else 1


def token(config: Config) -> int:
    """Print a JWT for SUB, with NAME, ROLES, TENANT and TTL."""
    env = os.environ
    if not env.get("SUB"):
        raise EmbeddedError("whose token? make token SUB=alice [NAME='Alice'] [ROLES=a,b] [TENANT=t] [TTL=3600]")
    try:
        ttl = int(env.get("TTL") or 3600)
    except ValueError:
        raise EmbeddedError(f"TTL={env['TTL']!r} is not a whole number of seconds") from None
    roles = [role for role in (part.strip() for part in env.get("ROLES", "").split(",")) if role]
    _say(_issue(config, env["SUB"], ttl, name=env.get("NAME") or None, roles=roles, tenant=env.get("TENANT") or None))
    return 0


def chat(_config: Config) -> int:
    """Chat in a room from the terminal."""
    from deploy.embedded.chat import main

    return main()


COMMANDS: dict[str, Callable[[Config], int]] = {
    "run": run,
    "up": up,
    "down": down,
    "status": status,
    "token": token,
    "chat": chat,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 and the reason on stderr when it fails."""
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=(command.__doc__ or "").splitlines()[0])
    chosen = parser.parse_args(arguments).command
    try:
        return COMMANDS[chosen](Config.from_env(os.environ))
    except EmbeddedError as error:
        print(f"parley: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


async def _serve(config: Config, *, stop: str, ready: Callable[[], None]) -> int:
    """Start the stack, announce it, call `ready`, and stop it on SIGINT, SIGTERM or SIGHUP."""
    interrupted = _cancel_on_signals()
    from deploy.embedded.stack import Stack

    began = time.monotonic()
    stack = Stack(
        config.root,
        port=config.port,
        gateways=config.gateways,
        workers=config.workers,
        restart=config.restart,
        env=os.environ,
    )
    try:
        await stack.start(_say)
        _say(_welcome(config, stack.gateway_urls[0], time.monotonic() - began, stop))
        if config.open_to_all:
            _say(OPEN_TO_ALL.format(host=config.host))
        ready()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not interrupted.is_set():
            raise
    finally:
        await stack.stop()
    _say("stopped")
    return 0


def _cancel_on_signals() -> asyncio.Event:
    """Let the first SIGINT, SIGTERM or SIGHUP cancel this task; the event tells that it was one of them."""
    task = asyncio.current_task()
    interrupted = asyncio.Event()

    def interrupt() -> None:
        _say("still stopping" if interrupted.is_set() else "\nstopping")
        if task is not None and not interrupted.is_set():
            task.cancel()
        interrupted.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    return interrupted


def _welcome(config: Config, url: str, seconds: float, stop: str) -> str:
    token = _issue(config, "demo", DEMO_TTL, name="Demo")
    socket = url.replace("http", "ws", 1)
    return WELCOME.format(url=url, socket=socket, token=token, seconds=seconds, logs=config.root / "log", stop=stop)


def _issue(
    config: Config, sub: str, ttl: int, *, name: str | None = None, roles: Sequence[str] = (), tenant: str | None = None
) -> str:
    from shared.auth import issue_token

    return issue_token(config.jwt_secret, sub=sub, ttl=ttl, name=name, roles=roles, tenant=tenant)


def _say(line: str) -> None:
    # Whoever read our output may have gone; the stack runs on.
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
