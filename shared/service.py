"""What every process does the same way: settings, logs, signals, health, owned tasks, drain. Knows no service."""

import asyncio
import faulthandler
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import uvloop
from aiohttp import hdrs, web

from shared import metrics
from shared.logging import configure_logging, get_logger
from shared.settings import Settings, SettingsError, load_settings

log = get_logger(__name__)

Check = Callable[[], Awaitable[None]]
"""A readiness check: returns when the link works, raises when it does not."""

Answer = Callable[[web.Request], Awaitable[web.Response]]

CHECK_TIMEOUT = 2.0
UNUSABLE = 2
"""Exit status where the environment is unusable: starting again will not help."""

LATE = 2.0
"""Seconds after the drain at which it is told what keeps the process from ending; soon it may be killed."""

SWITCH_INTERVAL = 0.0005
"""Seconds a thread may keep the interpreter while another waits: the database driver's threads wait for the loop's."""

GC_THRESHOLDS = (150_000, 20, 50)
"""Messages come in batches of thousands of short-lived objects, some dozens a message while it is under way and none of
them in cycles: looking for cycles after every 700, as is the default, costs up to a tenth of all time."""


class Tasks:
    """The owner of background tasks: every one is awaited or cancelled, and none fails unseen."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.broken = asyncio.Event()
        """Set when a vital task has failed: the process can only be replaced."""

    def spawn(self, work: Coroutine[Any, Any, Any], name: str, *, vital: bool = False) -> asyncio.Task[Any]:
        """Run `work` in the background until it ends or `close` cancels it; an exception is logged.

        Args:
            vital: the process is of no use without this; if it fails, the process stops.
        """
        task = asyncio.create_task(work, name=name)  # noqa: TID251 - this is the one owner
        self._tasks.add(task)
        task.add_done_callback(self._vital_done if vital else self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", task=task.get_name(), exc_info=error)

    def _vital_done(self, task: asyncio.Task[Any]) -> None:
        self._done(task)
        if not task.cancelled() and task.exception() is not None:
            self.broken.set()

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Service:
    """One running process: its settings, its tasks, its health and its way down.

    `stopping` is set by SIGTERM or SIGINT. `on_drain` callbacks run then, in order, within `drain_timeout` seconds.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.tasks = Tasks()
        self.stopping = asyncio.Event()
        self.checks: dict[str, Check] = {}
        self.on_drain: list[Callable[[], Awaitable[None]]] = []
        self._ops: web.AppRunner | None = None

    async def serve_ops(self) -> None:
        """Open the health and metrics port."""
        app = web.Application()
        self.add_ops_routes(app)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, self.settings.host, self.settings.ops_port).start()
        self._ops = runner

    def add_ops_routes(self, app: web.Application, figures: Answer | None = None) -> None:
        """Add /livez, /readyz and /metrics to an application.

        Args:
            figures: answers /metrics to those who do not ask for a format of Prometheus'; none: they get that, too.
        """
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics if figures is None else _by_what_is_asked(self._metrics, figures))

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, _request: web.Request) -> web.Response:
        results = dict(
            zip(
                self.checks,
                await asyncio.gather(*(_outcome(check) for check in self.checks.values())),
                strict=True,
            )
        )
        if self.stopping.is_set():
            results["drain"] = "stopping"
        ready = all(result == "ok" for result in results.values())
        return web.json_response(
            {"status": "ready" if ready else "not ready", "checks": results}, status=200 if ready else 503
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def until_stopped(self) -> None:
        """Wait for a signal, then drain and end every task.

        Raises:
            SystemExit: with 1, where a vital task has failed; whoever supervises the process starts it anew.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        self.tasks.spawn(self._stop_when_broken(), "broken")
        gc.collect()
        gc.freeze()  # what is there now stays; no collection needs to look at it again
        log.info("started", service=self.name)
        await self.stopping.wait()
        log.info("draining")
        faulthandler.dump_traceback_later(self.settings.drain_timeout + LATE)  # ended by the end of the process only
        loop.call_later(self.settings.drain_timeout + LATE, _tell_what_runs)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_timeout):
                for step in self.on_drain:
                    await step()
        await self.tasks.close()
        if self._ops is not None:
            await self._ops.cleanup()
        log.info("stopped")
        if self.tasks.broken.is_set():
            raise SystemExit(1)

    async def _stop_when_broken(self) -> None:
        await self.tasks.broken.wait()
        self.stopping.set()


def _tell_what_runs() -> None:
    log.warning("stopping takes long", tasks=sorted(_where_is(task) for task in asyncio.all_tasks()))


def _where_is(task: asyncio.Task[Any]) -> str:
    """The name of a task, and the line at which it waits."""
    waits: Any = task.get_coro()
    while hasattr(inner := getattr(waits, "cr_await", None), "cr_frame"):
        waits = inner
    frame = getattr(waits, "cr_frame", None)
    return task.get_name() if frame is None else f"{task.get_name()} at {frame.f_code.co_filename}:{frame.f_lineno}"


async def _outcome(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT:g} s"
    except Exception as error:  # noqa: BLE001 - whatever fails is the answer
        return f"{type(error).__name__}: {error}"
    return "ok"


def _by_what_is_asked(prometheus: Answer, others: Answer) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        wanted = metrics.asked_for(request.headers.get(hdrs.ACCEPT, ""))
        return await (prometheus if wanted else others)(request)

    return answer


def run(name: str, main: Callable[[Service], Awaitable[None]]) -> None:
    """Run `main(service)` to its end on uvloop; exit 2 with one clear line if the environment is unusable."""
    try:
        settings = load_settings()
        configure_logging(settings.log_level, name, settings.name)
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.set_threshold(*GC_THRESHOLDS)
        uvloop.run(_main(name, settings, main))
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - there may be no logger yet
        sys.exit(UNUSABLE)


async def _main(name: str, settings: Settings, main: Callable[[Service], Awaitable[None]]) -> None:
    await main(Service(name, settings))
