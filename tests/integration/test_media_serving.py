"""Files over the media service's own port: who gets them, which of their bytes, and what is said along with them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.embedded.stack import Stack
from services.media.records import Media
from shared.auth import Vouchers
from shared.contracts.envelope import Actor
from shared.contracts.media import media_path
from shared.contracts.media_terms import MediaKind, VariantName
from shared.links import Links
from tests.conftest import ClientOf
from tests.harness.rest import Api
from tests.integration.media_shelf import Shelf, eventually
from tests.integration.test_native_rooms import room_of

pytest_plugins = ("tests.integration.media_fixtures",)

DATA = bytes(number * 7 % 256 for number in range(5000))
CUTS = (1, 1500, 1501, 4000)


@dataclass(frozen=True, slots=True)
class Got:
    """An answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    error: dict[str, Any]


class Viewer:
    """Asks the media service's port as a gateway does."""

    def __init__(self, stack: Stack, http: ClientSession, tenant: str) -> None:
        self._http = http
        self._url = stack.media_url
        self._ops = f"http://127.0.0.1:{stack.ports.media}"
        self._tenant = tenant
        self._vouchers = Vouchers(stack.jwt_secret)
        self.links = Links(stack.jwt_secret, 3600)

    async def get(self, path: str, sub: str | None = None, method: str = "GET", **headers: str) -> Got:
        """Without a voucher where nobody asks."""
        return await self.ask(path, None if sub is None else Actor(id=sub, tenant=self._tenant), method, **headers)

    async def ask(self, path: str, actor: Actor | None, method: str = "GET", **headers: str) -> Got:
        """Ask as anybody; names of headers with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if actor is not None:
            named["Authorization"] = f"Bearer {self._vouchers.issue(actor)}"
        async with self._http.request(method, self._url + path, headers=named) as response:
            body = await response.read()
            error = (await response.json())["error"] if response.status >= 400 and body else {}
            return Got(response.status, body, response.headers.copy(), error)

    async def metric(self, name: str) -> float:
        """What the process counts."""
        async with self._http.get(f"{self._ops}/metrics") as response:
            lines = (await response.text()).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    async def sending(self) -> float:
        """How many files are being sent."""
        return await self.metric("parley_media_sending")

    def link(self, media: Media, variant: VariantName = VariantName.ORIGINAL, now: float | None = None) -> str:
        """A signed link."""
        return self.links.sign(media.id, variant, time.time() if now is None else now).url


@pytest.fixture
def viewer(stack: Stack, http: ClientSession, tenant: str) -> Viewer:
    """Asks for files of this test's tenant."""
    return Viewer(stack, http, tenant)


def original(media: Media) -> str:
    """Where a file is."""
    return media_path(media.id, VariantName.ORIGINAL)


# ── bytes and headers ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_comes_as_it_is(shelf: Shelf, viewer: Viewer) -> None:
    """From as many pieces as it has; HEAD says the same without a body."""
    media = await shelf.ready("alice", DATA, cuts=CUTS, name='kätzchen "1".png')
    got = await viewer.get(original(media), "alice")
    assert (got.status, got.body) == (200, DATA)
    head = await viewer.get(original(media), "alice", "HEAD")
    assert (head.status, head.body) == (200, b"")
    for name, value in {
        "Content-Length": "5000",
        "Content-Type": "image/png",
        "ETag": f'"{media.variants[VariantName.ORIGINAL].sha256}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Disposition": "inline; filename=\"k_tzchen _1_.png\"; filename*=UTF-8''k%C3%A4tzchen%20_1_.png",
    }.items():
        assert (got.headers[name], head.headers[name]) == (value, value)
    assert head.headers["Last-Modified"].endswith(" GMT")


async def test_each_form_is_a_file_of_its_own(shelf: Shelf, viewer: Viewer) -> None:
    """With its type and a name that says which; what is not there says what is."""
    media = await shelf.ready("alice", others={VariantName.SMALL: b"a small cat"})
    small = await viewer.get(media_path(media.id, VariantName.SMALL), "alice")
    assert (small.body, small.headers["Content-Type"]) == (b"a small cat", "image/webp")
    assert small.headers["Content-Disposition"] == 'inline; filename="cat-small.webp"'
    assert small.headers["ETag"] == f'"{media.variants[VariantName.SMALL].sha256}"'
    for missing in ("poster", "huge", "Original"):
        got = await viewer.get(f"/v1/media/{media.id}/{missing}", "alice")
        assert (got.status, got.error["code"], got.error["details"]) == (404, "not_found", ["original", "small"])


@pytest.mark.parametrize(
    ("mime_type", "inline"),
    [("image/png", True), ("video/mp4", True), ("audio/ogg", True), ("application/pdf", False), ("text/plain", False),
     ("image/svg+xml", False), ("text/html", False), ("image/tiff", False)],
)  # fmt: skip
async def test_only_what_cannot_act_is_shown_in_place(
    shelf: Shelf, viewer: Viewer, mime_type: str, inline: bool
) -> None:
    """Whatever came to be among the files."""
    media = await shelf.ready("alice", kind=MediaKind.FILE, mime_type=mime_type)
    got = await viewer.get(original(media), "alice")
    assert got.headers["Content-Type"] == mime_type
    assert got.headers["Content-Disposition"].split(";")[0] == ("inline" if inline else "attachment")


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_ranges_are_exact_to_the_byte(shelf: Shelf, viewer: Viewer, data: st.DataObject) -> None:
    """However the file is cut."""
    size = data.draw(st.integers(1, len(DATA)))
    content = DATA[:size]
    cuts = tuple(sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=4)))) if size > 1 else ()
    media = await shelf.ready("alice", content, cuts=cuts)
    first, last = sorted((data.draw(st.integers(0, size + 5)), data.draw(st.integers(0, size + 5))))
    for field, part in {
        f"bytes={first}-{last}": content[first : last + 1],
        f"bytes={first}-": content[first:],
        f"bytes=-{last}": content[-last:] if last else b"",
    }.items():
        got = await viewer.get(original(media), "alice", Range=field)
        if part:
            start = size - len(part) if field.startswith("bytes=-") else first
            assert (got.status, got.body) == (206, part)
            assert got.headers["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/{size}"
            assert got.headers["Content-Length"] == str(len(part))
        else:
            assert (got.status, got.error["code"]) == (416, "invalid")
            assert got.headers["Content-Range"] == f"bytes */{size}"


async def test_what_a_client_has_is_not_sent_again(shelf: Shelf, viewer: Viewer) -> None:
    """Nothing but that it is the same; of what is another, all of it."""
    media = await shelf.ready("alice", DATA)
    whole = await viewer.get(original(media), "alice")
    tag, modified = whole.headers["ETag"], whole.headers["Last-Modified"]
    for headers in ({"If_None_Match": f'"other", W/{tag}'}, {"If_None_Match": "*"}, {"If_Modified_Since": modified}):
        for method in ("GET", "HEAD"):
            got = await viewer.get(original(media), "alice", method, **headers)
            assert (got.status, got.body) == (304, b"")
            assert (got.headers["ETag"], got.headers["Cache-Control"]) == (tag, "private, no-cache")
            assert not {"Content-Type", "Content-Disposition"} & set(got.headers)
    for same in (tag, modified):
        got = await viewer.get(original(media), "alice", If_Range=same, Range="bytes=1-2")
        assert (got.status, got.body) == (206, DATA[1:3])
    got = await viewer.get(original(media), "alice", If_Range='"other"', Range="bytes=1-2")
    assert (got.status, got.body) == (200, DATA)
    assert (await viewer.get(original(media), "alice", If_Match='"other"')).status == 412
    got = await viewer.get(original(media), "alice", "HEAD", Range="bytes=1-2")
    assert (got.status, got.headers["Content-Length"]) == (200, "5000")


async def test_what_is_not_ready(shelf: Shelf, viewer: Viewer) -> None:
    """May be asked for again; what was refused says why; what is not there is not there."""
    for media in (await shelf.coming("alice"), await shelf.pending("alice")):
        got = await viewer.get(original(media), "alice")
        assert (got.status, got.error["code"], got.headers["Retry-After"]) == (503, "unavailable", "2")
    failed = await viewer.get(original(await shelf.failed("alice")), "alice")
    assert (failed.status, failed.error["code"], failed.error["details"]) == (404, "not_found", {"reason": "damaged"})
    media = await shelf.ready("alice")
    await shelf.store.remove(media.id)
    assert (await viewer.get(original(media), "alice")).status == 404
    assert (await viewer.get(f"/v1/media/{'0' * 32}/original", "alice")).status == 404


async def test_a_form_that_breaks_off_is_not_taken_for_whole(shelf: Shelf, viewer: Viewer) -> None:
    """The second of its pieces is gone: the connection ends before what was promised."""
    media = await shelf.ready("alice", DATA * 200, cuts=(5000,))
    await shelf.store.remove_object(media.variants[VariantName.ORIGINAL].pieces[1].key)
    with pytest.raises(Exception, match=r"(?i)payload|disconnected|reset"):
        await viewer.get(original(media), "alice")


async def test_who_goes_away_leaves_nothing_open(stack: Stack, shelf: Shelf, viewer: Viewer) -> None:
    """In the midst of a file; the next one is served as ever."""
    media = await shelf.ready("alice", DATA * 4000)
    host, port = stack.media_url.removeprefix("http://").split(":")
    for _ in range(5):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {viewer.link(media)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.transport.abort()
    got = await viewer.get(original(media), "alice")
    assert len(got.body) == media.size
    await eventually(lambda: _is(viewer.sending(), 0))


async def test_who_takes_nothing_is_waited_for_and_nothing_is_piled_up(
    stack: Stack, shelf: Shelf, viewer: Viewer
) -> None:
    """Meanwhile others are served; when it reads on, it gets all."""
    media = await shelf.ready("alice", DATA * 8000)
    host, port = stack.media_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {viewer.link(media)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    sent = await viewer.metric("parley_media_sent_bytes_total")
    for _ in range(3):
        assert (await viewer.get(original(media), "alice", Range="bytes=0-9")).body == DATA[:10]
    await eventually(lambda: _is(viewer.sending(), 1))
    assert await viewer.metric("parley_media_sent_bytes_total") - sent < media.size / 2
    assert len(await reader.read()) == media.size
    writer.close()
    await eventually(lambda: _is(viewer.sending(), 0))


# ── who gets it ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_may_see_a_file(
    shelf: Shelf, viewer: Viewer, client: ClientOf, api: Callable[..., Api], tenant: str
) -> None:
    """Its owner, members of a room that shows it, global roles as they may read; everybody else learns nothing."""
    alice, bob = await client("alice"), await client("bob")
    room, media = await room_of(alice, bob), await shelf.ready("alice")

    async def sees(sub: str, *roles: str, of: str = tenant) -> int:
        return (await viewer.ask(original(media), Actor(id=sub, tenant=of, roles=roles))).status

    assert [await sees("alice"), await sees("bob"), await sees("robot", "service")] == [200, 404, 200]
    assert [await sees("root", "admin"), await sees("alice", of="elsewhere")] == [404, 404]
    shown = {"type": "image", "attachment": {"media_id": media.id}}
    sent = await api("alice")("POST", f"/v1/rooms/{room}/messages", shown)
    await shelf.shown_in(media, room)
    assert [await sees("bob"), await sees("root", "admin"), await sees("carol")] == [200, 200, 404]
    assert [await sees("helper", "assistant"), await sees("bob", of="elsewhere")] == [404, 404]
    assert await sees("robot", "service", of="elsewhere") == 404

    await alice.call("member.add", {"room_id": room, "user_id": "carol"})
    assert await sees("carol") == 200
    await alice.call("member.remove", {"room_id": room, "user_id": "bob"})
    await eventually(lambda: _is(sees("bob"), 404))
    assert (await api("alice")("DELETE", f"/v1/messages/{sent.body['message_id']}")).status == 200
    await shelf.shown_in(media)
    assert [await sees("carol"), await sees("alice")] == [404, 200]

    refused = await viewer.get(original(media), "carol")
    nothing = await viewer.get(f"/v1/media/{'0' * 32}/original", "carol")
    assert refused.error == {**nothing.error, "message": nothing.error["message"].replace("0" * 32, media.id)}


async def _is(answer: Any, expected: int) -> bool:
    return bool(await answer == expected)


async def test_a_signed_link_works_for_whoever_has_it(shelf: Shelf, viewer: Viewer) -> None:
    """For this form of this file, until it expires; browsers may keep it as long."""
    media, other = await shelf.ready("alice", others={VariantName.SMALL: b"s"}), await shelf.ready("alice")
    link = viewer.link(media)
    got = await viewer.get(link)
    assert got.status == 200
    private, max_age, immutable = got.headers["Cache-Control"].split(", ")
    assert (private, immutable) == ("private", "immutable")
    assert 3600 < int(max_age.removeprefix("max-age=")) <= 7200
    path, _, query = link.partition("?")
    forged = [
        path,
        viewer.link(media, now=time.time() - 3 * 3600),
        f"{media_path(media.id, VariantName.SMALL)}?{query}",
        f"{original(other)}?{query}",
        f"{path}?{query.replace('expires=', 'expires=1')}",
        f"{link[:-1]}{'0' if link[-1] != '0' else '1'}",
        f"{path}?expires=%F0%9F%98%80&signature=%00",
        f"{path}?expires=-1&signature=",
        f"{path}?expires={'9' * 5000}&signature=a",
    ]
    for wrong in forged:
        got = await viewer.get(wrong)
        refused = (403, "forbidden") if "signature" in wrong else (401, "unauthenticated")
        assert (got.status, got.error["code"]) == refused, wrong
    assert (await viewer.get(forged[1], "alice")).status == 200
    await shelf.forgotten(media)
    assert (await viewer.get(link)).status == 404


async def test_a_users_own_token_is_no_voucher(shelf: Shelf, viewer: Viewer, token: Any, stack: Stack) -> None:
    """Nor is what another secret signs: only gateways are believed."""
    media = await shelf.ready("alice")
    for wrong in (token("alice"), Vouchers("x" * 32).issue(Actor(id="alice"))):
        got = await viewer.get(original(media), Authorization=f"Bearer {wrong}")
        assert (got.status, got.error["code"]) == (401, "unauthenticated")
