"""The virus scanner, a real one: finds what it knows, passes the rest, and lets nothing by where it cannot look."""

import asyncio
import shutil
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from services.media.scanning import Scanner
from shared.contracts.errors import ChatError, ErrorCode
from shared.settings import SettingsError
from tests.harness.clamd import NAME, STREAM_MAX, VIRUS, Clamd, clamd
from tests.harness.files import zipped
from tests.harness.own_task import in_own_task


@pytest.fixture(scope="module")
async def daemon() -> AsyncIterator[Clamd]:
    """A daemon; its directory has a short path, for the socket."""
    home = Path(mkdtemp(prefix="clamd-"))
    try:
        async with in_own_task(clamd(home)) as running:
            yield running
    finally:
        shutil.rmtree(home)


@pytest.fixture(params=["unix_url", "tcp_url"])
def scanner(request: pytest.FixtureRequest, daemon: Clamd) -> Scanner:
    """Asks the daemon by socket, and by port."""
    return Scanner(getattr(daemon, request.param))


def written(directory: Path, data: bytes) -> Path:
    """A file with this in it."""
    path = directory / "upload"
    path.write_bytes(data)
    return path


async def unavailable(scanner: Scanner, path: Path) -> ChatError:
    """The error of a scan that did not take place."""
    with pytest.raises(ChatError) as raised:
        await scanner.scan(path)
    assert raised.value.code is ErrorCode.UNAVAILABLE
    assert raised.value.row.retryable
    return raised.value


class TestScan:
    @pytest.mark.parametrize(
        "data", [b"", b"harmless", bytes(900_000), VIRUS[:-1]], ids=["empty", "small", "large", "nearly"]
    )
    async def test_what_is_harmless_passes(self, scanner: Scanner, tmp_path: Path, data: bytes) -> None:
        assert await scanner.scan(written(tmp_path, data)) is None

    @pytest.mark.parametrize(
        "data",
        [VIRUS, b"before" + VIRUS + b"after", bytes(500_000) + VIRUS, zipped({"inside.txt": VIRUS})],
        ids=["alone", "within", "far", "packed"],
    )
    async def test_what_is_known_is_found(self, scanner: Scanner, tmp_path: Path, data: bytes) -> None:
        """Wherever in a file it is, and in an archive as well."""
        assert await scanner.scan(written(tmp_path, data)) == NAME

    async def test_many_at_once(self, scanner: Scanner, tmp_path: Path) -> None:
        """Each gets its own answer."""
        good, bad = tmp_path / "good", tmp_path / "bad"
        good.write_bytes(bytes(100_000))
        bad.write_bytes(bytes(100_000) + VIRUS)
        findings = await asyncio.gather(*(scanner.scan(path) for path in [good, bad] * 8))
        assert findings == [None, NAME] * 8

    async def test_a_file_that_is_too_large_for_it_does_not_pass(self, scanner: Scanner, tmp_path: Path) -> None:
        """Whether the daemon's answer comes through or its hanging up comes before."""
        await unavailable(scanner, written(tmp_path, bytes(STREAM_MAX * 5)))

    async def test_it_is_ready(self, scanner: Scanner) -> None:
        await scanner.check()


class TestAway:
    async def test_nobody_listens(self, tmp_path: Path) -> None:
        """Neither at a port nor at a socket."""
        for url in ("tcp://127.0.0.1:9", f"unix:{tmp_path}/nothing.sock"):
            error = await unavailable(Scanner(url), written(tmp_path, b"harmless"))
            assert error.retry_after is not None
            with pytest.raises(ChatError):
                await Scanner(url).check()

    @pytest.mark.parametrize(
        "answer",
        [b"", b"stream: OK", b"\x00", b"stream: FOUND\x00", b"garbage\x00", b"x" * 100_000, b"ERROR\x00"],
        ids=repr,
    )
    async def test_who_answers_is_no_clamd(self, tmp_path: Path, answer: bytes) -> None:
        """An answer counts only as clamd gives it; one cut off before its end does not."""

        async def listen(reader: StreamReader, writer: StreamWriter) -> None:
            await reader.readuntil(b"INSTREAM\x00")
            writer.write(answer)
            writer.close()

        async with await asyncio.start_unix_server(listen, tmp_path / "s"):
            await unavailable(Scanner(f"unix:{tmp_path}/s"), written(tmp_path, b"harmless"))

    async def test_it_says_nothing(self, tmp_path: Path) -> None:
        """Then it is waited for so long, and no longer."""
        heard = asyncio.Event()

        async def listen(_reader: StreamReader, _writer: StreamWriter) -> None:
            heard.set()

        async with await asyncio.start_unix_server(listen, tmp_path / "s"):
            await unavailable(Scanner(f"unix:{tmp_path}/s", timeout=0.2), written(tmp_path, bytes(1_000_000)))
        assert heard.is_set()


@pytest.mark.parametrize("url", ["", "tcp://", "tcp://host", "unix:", "http://host:3310", "/run/clamd.sock"])
def test_an_address_that_is_none_is_an_error_of_the_settings(url: str) -> None:
    with pytest.raises(SettingsError, match="CLAMAV_URL"):
        Scanner(url)
