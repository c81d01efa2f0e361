"""Processing: what has come in is checked and looked into, and becomes ready or is refused.

The database says what is to be done: a command only says that something is. Who works on a file has it for a lease,
which lasts as long as it is renewed, and what comes of the work is written down only by who has it still. So a worker
that dies, or stands still, is followed by another; nobody sees what it had made.
"""

import asyncio
import hashlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from services.media.ending import Ending, variant_key
from services.media.processing.parent import Exhausted
from services.media.processing.product import Made, Product
from services.media.records import Media, Piece, Variant
from services.media.refusals import Refused
from services.media.repository import Repository
from services.media.storage.store import CHUNK, Store, to_the_end
from services.media.times import now
from shared import metrics
from shared.bus.codec import unique_id
from shared.contracts.envelope import RequestEnvelope
from shared.contracts.errors import ChatError
from shared.contracts.media import ProcessedView, ProcessMedia
from shared.contracts.media_terms import MediaKind, MediaState, Refusal, VariantName
from shared.logging import get_logger
from shared.mongo import PyMongoError, is_transient
from shared.retry import until_done
from shared.service import Tasks

log = get_logger(__name__)

LEASE = timedelta(seconds=30)
"""After which a worker of which nothing is heard is taken for dead."""

BEATS = 3
"""Renewals in a lease."""

ATTEMPTS = 3
"""After so many that came to nothing, a file cannot be processed."""

PAUSE = timedelta(seconds=5)
"""After which a file is tried again; twice as long after the second time."""

MAX_WAITING = 1000
"""Files that wait in one process; others are left to the sweep."""

ROOMS = "parley-media-"
"""What the names of the directories begin with in which files are worked on."""

FORGOTTEN = 3600.0
"""Seconds after which such a directory is one that a killed process has left."""

_processed = metrics.counter("media_processed", "Files that were worked on", "kind", "outcome")
_seconds = metrics.histogram(
    "media_process_seconds", "Seconds of work on a file", "kind", buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
)


class Process(Protocol):
    """Looks into a file in a child process (services.media.processing.process, with its bounds)."""

    def __call__(self, source: Path, room: Path, kind: MediaKind, mime_type: str) -> Awaitable[Product]:
        """What was found out and made. Raises Refused for good, Exhausted where it may be tried again."""
        ...


class Scan(Protocol):
    """Looks for viruses in a file (services.media.scanning)."""

    async def scan(self, path: Path) -> str | None:
        """The name of what was found. Raises ChatError `unavailable`."""


class Result(NamedTuple):
    """What a file has become."""

    product: Product
    variants: dict[VariantName, Variant]
    mime_type: str


class Work:
    """The work of one process on files.

    Args:
        at_once: files that are worked on at the same time.
        scanner: none: nothing is looked for.
        lease: how long a file stays a worker's that is silent.
    """

    def __init__(
        self, repository: Repository, store: Store, ending: Ending, process: Process, tasks: Tasks, *,
        name: str, at_once: int, scanner: Scan | None = None, lease: timedelta = LEASE,
    ) -> None:  # fmt: skip
        self._repository = repository
        self._store = store
        self._ending = ending
        self._process = process
        self._tasks = tasks
        self._name = name
        self._at_once = at_once
        self._scanner = scanner
        self._lease = lease
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._known: set[str] = set()

    async def handle(self, _envelope: RequestEnvelope, command: ProcessMedia) -> ProcessedView:
        """Look at a file soon. Should this process die before, or have too much to do, the sweep asks again."""
        media_id = command.media_id
        if media_id not in self._known and not self._waiting.full():
            self._known.add(media_id)
            self._waiting.put_nowait(media_id)
        return ProcessedView(media_id=media_id, state=MediaState.PENDING)

    async def run(self) -> None:
        """Work for ever. Who is cancelled leaves what is not finished to others."""
        await asyncio.to_thread(_clear_rooms)
        async with asyncio.TaskGroup() as group:  # which ends when all of them have
            for _ in range(self._at_once):
                group.create_task(self._run_one())

    async def _run_one(self) -> None:
        while True:
            media_id = await self._waiting.get()
            self._known.discard(media_id)
            try:
                await self.look_at(media_id)
            except (PyMongoError, ChatError) as error:
                log.warning("a file is left for the sweep", media_id=media_id, error=str(error)[:500])

    async def look_at(self, media_id: str) -> None:
        """Work on a file, if there is anything to do and nobody else does.

        Raises:
            ChatError, PyMongoError: something was away; the sweep finds what is left to do.
        """
        worker = f"{self._name}/{unique_id()[:8]}"
        media = await self._repository.begin_work(media_id, worker, now(), now() + self._lease)
        if media is None:
            return
        began = asyncio.get_running_loop().time()
        outcome = await self._outcome(media, worker)
        _processed.labels(media.kind, outcome).inc()
        _seconds.labels(media.kind).observe(asyncio.get_running_loop().time() - began)

    async def _outcome(self, media: Media, worker: str) -> str:
        """Work on a file and write down what comes of it; that, in one word."""
        if media.attempts > ATTEMPTS:  # it has taken its workers with it
            return await self._refuse(media, worker, _unprocessable())
        try:
            async with self._held(media, worker):
                result = await self._look_into(media)
            return await self._finish(media, worker, result)
        except Refused as refused:
            return await self._refuse(media, worker, refused)
        except TimeoutError:  # of the lease: it is another's now
            log.warning("work on a file was given up: its lease has ended", media_id=media.id)
            return "lost"
        except (ChatError, PyMongoError) as error:
            log.warning("a file is left for later", media_id=media.id, error=str(error)[:500])
            await self._repository.let_go(media.id, worker, now() + PAUSE, counts=False)
            return "put off"
        except asyncio.CancelledError:
            with suppress(PyMongoError):  # else its lease ends by itself; whatever happens, this is to end
                await self._repository.let_go(media.id, worker, now(), counts=False)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a file does to us, others must be worked on
            return await self._failed(media, worker, error)

    async def _failed(self, media: Media, worker: str, error: Exception) -> str:
        log.error("work on a file has failed", media_id=media.id, attempt=media.attempts, exc_info=error)
        if media.attempts >= ATTEMPTS:
            return await self._refuse(media, worker, _unprocessable())
        await self._repository.let_go(media.id, worker, now() + media.attempts * PAUSE)
        return "exhausted" if isinstance(error, Exhausted) else "error"

    # ── keeping the lease ────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _held(self, media: Media, worker: str) -> AsyncIterator[None]:
        """Renew the lease meanwhile. Raises TimeoutError where it cannot be: whoever comes next may have begun."""
        expired = False
        try:
            async with asyncio.timeout(self._lease.total_seconds()) as held:
                beat = self._tasks.spawn(self._renew(media.id, worker, held), "renew a lease")
                try:
                    yield
                finally:
                    beat.cancel()
                    expired = held.expired()
        except TimeoutError as error:
            if not expired:
                raise RuntimeError("something took longer than it may") from error
            raise

    async def _renew(self, media_id: str, worker: str, held: asyncio.Timeout) -> None:
        loop, lease = asyncio.get_running_loop(), self._lease.total_seconds()
        while True:
            await asyncio.sleep(lease / BEATS)
            asked = loop.time()
            try:
                ours = await self._repository.keep_working(media_id, worker, now() + self._lease)
            except PyMongoError as error:
                log.warning("a lease was not renewed", media_id=media_id, error=str(error)[:500])
                continue
            held.reschedule(asked + lease if ours else loop.time())
            if not ours:
                return

    # ── the work itself ──────────────────────────────────────────────────────────────────────────────────────────

    async def _look_into(self, media: Media) -> Result:
        async with _room() as room:
            source = room / "source"
            digest = await self._fetch(media, source)
            if self._scanner is not None and (found := await self._scanner.scan(source)) is not None:
                raise Refused(Refusal.INFECTED, f"The virus scanner has found something in it: {found}.")
            made_in = room / "made"
            made_in.mkdir()
            product = await self._process(source, made_in, media.kind, media.mime_type)
            variants = {name: await self._keep(media, name, made) for name, made in product.made.items()}
        if product.keeps_original:
            facts = product.facts
            original = Variant(media.pieces, media.mime_type, digest, facts.width, facts.height)
            variants = {VariantName.ORIGINAL: original, **variants}
        return Result(product, variants, variants[VariantName.ORIGINAL].mime_type)

    async def _fetch(self, media: Media, path: Path) -> str:
        """Copy an upload into a file; its SHA-256 in hex."""
        digest, size = hashlib.sha256(), 0

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        with await asyncio.to_thread(path.open, "wb") as file:
            for piece in media.pieces:
                async for data in self._store.read(piece.key):
                    await to_the_end(asyncio.to_thread(write, data))
                    size += len(data)
        if size != media.received:
            raise RuntimeError(f"{size} of {media.received} bytes are there")
        if media.sha256 not in {None, digest.hexdigest()}:
            raise Refused(Refusal.CHECKSUM, "What has come is not what its checksum says: send it again.")
        return digest.hexdigest()

    async def _keep(self, media: Media, name: VariantName, made: Made) -> Variant:
        """Keep a form of a file in the store."""
        digest = hashlib.sha256()

        async def chunks() -> AsyncIterator[bytes]:
            with await asyncio.to_thread(made.path.open, "rb") as file:
                while data := await to_the_end(asyncio.to_thread(file.read, CHUNK)):
                    digest.update(data)
                    yield data

        key = variant_key(media, name, media.attempts)
        size = await self._store.write(key, chunks())
        return Variant((Piece(key, size),), made.mime_type, digest.hexdigest(), made.width, made.height)

    # ── what comes of it ─────────────────────────────────────────────────────────────────────────────────────────

    async def _finish(self, media: Media, worker: str, result: Result) -> str:
        finish = partial(
            self._repository.finish, media.id, worker, result.variants, result.product.facts, result.mime_type, now()
        )
        done = await self._written(finish, media, MediaState.READY)
        if done is None or done.variants != result.variants:
            return "lost"  # what was made lies with the file, and goes when whoever has it now is done
        return await self._settle(done, "ready")

    async def _refuse(self, media: Media, worker: str, refused: Refused) -> str:
        log.info("a file is refused", media_id=media.id, reason=refused.reason)
        state = MediaState.INFECTED if refused.reason is Refusal.INFECTED else MediaState.FAILED
        refuse = partial(self._repository.refuse, media.id, worker, state, refused.reason, refused.message, now())
        done = await self._written(refuse, media, state)
        return "lost" if done is None else await self._settle(done, str(refused.reason))

    async def _written(
        self, write: Callable[[], Awaitable[Media | None]], media: Media, state: MediaState
    ) -> Media | None:
        """The file as it is then; None where it was not ours any more. What is written may be so at the second try."""
        done = await until_done(write, is_transient, "writing down what has become of a file")
        if done is None:
            found = await self._repository.get(media.id)
            done = found if found is not None and found.state is state else None
        return done

    async def _settle(self, media: Media, outcome: str) -> str:
        try:
            await self._ending.settle(media)
        except (ChatError, PyMongoError) as error:
            log.warning("the end of a file is left to the sweep", media_id=media.id, error=str(error)[:500])
        return outcome


def _unprocessable() -> Refused:
    return Refused(Refusal.UNPROCESSABLE, "Working on it takes more time or memory than it may.")


@asynccontextmanager
async def _room() -> AsyncIterator[Path]:
    """A directory of its own on this machine, and nothing of it afterwards."""
    room = Path(await to_the_end(asyncio.to_thread(tempfile.mkdtemp, prefix=ROOMS)))
    try:
        yield room
    finally:
        await to_the_end(asyncio.to_thread(shutil.rmtree, room, ignore_errors=True))


def _clear_rooms() -> None:
    """Remove what killed processes have left here."""
    for room in Path(tempfile.gettempdir()).glob(f"{ROOMS}*"):
        try:
            forgotten = time.time() - room.stat().st_mtime > FORGOTTEN
        except FileNotFoundError:
            continue
        if forgotten:
            shutil.rmtree(room, ignore_errors=True)
