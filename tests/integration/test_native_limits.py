"""Every bound of a native connection: what lies past it is refused with its reason, and nobody else is harmed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError

from deploy.embedded.stack import Stack
from services.gateway.socket import HARD_FRAME_LIMIT, MAX_MALFORMED
from shared.contracts.errors import CloseCode, ErrorCode
from tests.conftest import ClientOf, SocketOf, TokenOf
from tests.harness.bare import connect_bare
from tests.harness.gateway import Gateway, gateway
from tests.harness.own_task import in_own_task
from tests.harness.rawsocket import code_of

MESSAGES = 3
CONNECTIONS = 2
MIB = 1024 * 1024


@pytest.fixture(scope="module")
async def strict(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway with narrow limits. Tests do not meet there: limits are per user, users per tenant."""
    env = {
        "MESSAGES_PER_MINUTE": str(MESSAGES),
        "CONNECTIONS_PER_USER": str(CONNECTIONS),
        "MAX_FRAME_BYTES": "2048",
        "MAX_MESSAGE_LENGTH": "1000",
        "MAX_IN_FLIGHT": "4",
        "HEARTBEAT": "0.5",
    }
    root: Path = tmp_path_factory.mktemp("strict")
    async with in_own_task(gateway(stack, root, env)) as running:
        yield running


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────

MALFORMED: dict[str, tuple[bytes, str | int | None]] = {
    "no JSON": (b"{", None),
    "no UTF-8": (b'{"type":"\xff"}', None),
    "nothing": (b"", None),
    "no object": (b'["ping"]', None),
    "no type": (b'{"id":"7"}', "7"),
    "a number for a type": (b'{"type":1,"id":7}', 7),
    "an object for an id": (b'{"type":"ping","id":{}}', None),
    "an endless id": (b'{"type":"ping","id":"' + b"x" * 200 + b'"}', None),
    "a list for data": (b'{"type":"ping","id":"7","data":[]}', "7"),
    "one field too many": (b'{"type":"ping","id":"7","room":"x"}', "7"),
    "nested too deep": (b'{"type":"ping","id":"7","data":' + b"[" * 2000 + b"]" * 2000 + b"}", None),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_a_malformed_frame_is_answered_and_the_connection_goes_on(socket: SocketOf, case: str) -> None:
    """With `invalid`, and the id as far as it could be read."""
    frame, number = MALFORMED[case]
    alice = await socket("alice")
    await alice.ready()
    await alice.send_text(frame)
    refusal = await alice.receive()
    assert (code_of(refusal), refusal.get("id")) == (ErrorCode.INVALID, number)
    assert (await alice.ask("ping"))["type"] == "ack"


@pytest.mark.parametrize("number", ["a", "", 7, 0, None])
async def test_an_answer_repeats_the_id_as_it_was(socket: SocketOf, number: str | int | None) -> None:
    """Text, number or none."""
    alice = await socket("alice")
    await alice.ready()
    await alice.socket.send_json({"type": "ping", "id": number})
    assert (await alice.receive())["id"] == number


async def test_an_unknown_type_is_named(socket: SocketOf) -> None:
    """So that a typo is found."""
    alice = await socket("alice")
    await alice.ready()
    refusal = await alice.ask("message.sned", {"room_id": "x"})
    assert code_of(refusal) is ErrorCode.INVALID
    assert "message.sned" in refusal["error"]["message"]


async def test_binary_frames_are_refused(socket: SocketOf) -> None:
    """Even where their content would be a frame."""
    alice = await socket("alice")
    await alice.ready()
    await alice.socket.send_bytes(b'{"type":"ping"}')
    assert code_of(await alice.receive()) is ErrorCode.INVALID
    assert (await alice.ask("ping"))["type"] == "ack"


async def test_who_speaks_nothing_but_nonsense_is_sent_away(socket: SocketOf) -> None:
    """Close code 4400, after every frame was answered; others notice nothing."""
    alice, bob = await socket("alice"), await socket("bob")
    await alice.ready()
    await bob.ready()
    for _ in range(MAX_MALFORMED):
        await alice.send_text(b"GET / HTTP/1.1")
    for _ in range(MAX_MALFORMED):
        assert code_of(await alice.receive()) is ErrorCode.INVALID
    assert await alice.closed() == CloseCode.PROTOCOL
    assert (await bob.ask("ping"))["type"] == "ack"


async def test_nonsense_now_and_then_is_forgiven(socket: SocketOf) -> None:
    """A good frame starts the count anew."""
    alice = await socket("alice")
    await alice.ready()
    for _ in range(3):
        for _ in range(MAX_MALFORMED - 1):
            await alice.send_text(b"nonsense")
        assert (await alice.ask("ping"))["type"] == "ack"


async def test_a_frame_too_large_is_refused_unread(socket: SocketOf) -> None:
    """At 64 KiB; the connection goes on."""
    alice = await socket("alice")
    limit = (await alice.ready())["limits"]["max_frame_bytes"]
    assert limit == 65536
    await alice.send("message.send", {"room_id": "x", "content": "x" * limit})
    assert code_of(await alice.receive()) is ErrorCode.TOO_LARGE
    assert (await alice.ask("ping"))["type"] == "ack"


async def test_a_frame_far_too_large_is_not_waited_for(stack: Stack, token: TokenOf) -> None:
    """Its header is enough for a close with 1009."""
    alice = await connect_bare(stack.gateway_urls[0], token("alice"))
    # A text frame's header that announces what will not be read (RFC 6455 section 5.2).
    await alice.write(bytes((0x81, 0xFF)) + (HARD_FRAME_LIMIT + 1).to_bytes(8, "big") + bytes(4))
    _, code = await alice.read_to_the_end()
    assert code == 1009
    alice.connection.close()


async def test_lower_limits_hold_and_are_told(strict: Gateway, socket: SocketOf) -> None:
    """`ready` says what the settings say."""
    alice = await socket("alice", url=strict.url)
    assert (await alice.ready())["limits"] == {
        "max_message_length": 1000,
        "max_frame_bytes": 2048,
        "max_in_flight": 4,
        "messages_per_minute": MESSAGES,
        "heartbeat": 0.5,
    }
    await alice.send("message.send", {"room_id": "x", "content": "x" * 2048})
    assert code_of(await alice.receive()) is ErrorCode.TOO_LARGE


# ── how much at once ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_unanswered_requests_are_bounded(strict: Gateway, socket: SocketOf) -> None:
    """`overloaded` at once for what is beyond, answers for the rest."""
    alice = await socket("alice", url=strict.url)
    await alice.ready()
    for _ in range(100):
        await alice.send("rooms.list")
    answers = [await alice.receive() for _ in range(100)]
    refused = [answer for answer in answers if answer["type"] == "error"]
    assert 0 < len(refused) < 100
    assert {code_of(answer) for answer in refused} == {ErrorCode.OVERLOADED}
    assert all(answer["error"]["retryable"] and answer["error"]["retry_after"] > 0 for answer in refused)
    assert (await alice.ask("rooms.list"))["type"] == "ack"


async def test_messages_per_minute_are_bounded_per_user(strict: Gateway, socket: SocketOf) -> None:
    """Sends, edits and reactions of all the user's connections count together."""
    alice, again, bob = [await socket(sub, url=strict.url) for sub in ("alice", "alice", "bob")]
    for connection in (alice, again, bob):
        await connection.ready()
    room = (await alice.ask("room.create", {"members": ["bob"]}))["data"]["room"]["id"]
    message = (await alice.ask("message.send", {"room_id": room, "content": "1"}))["data"]["message_id"]
    await alice.ask("message.edit", {"message_id": message, "content": "2"})
    await again.answer(await again.send("message.react", {"message_id": message, "emoji": "x"}))
    for connection in (alice, again):
        refusal = await connection.answer(await connection.send("message.send", {"room_id": room, "content": "4"}))
        assert code_of(refusal) is ErrorCode.RATE_LIMITED
        assert 0 < refusal["error"]["retry_after"] <= 60 / MESSAGES
    # Neither others nor what is no message are affected.
    sent = await bob.answer(await bob.send("message.send", {"room_id": room, "content": "5"}))
    assert sent["type"] == "ack"
    assert (await alice.answer(await alice.send("read.mark", {"room_id": room, "seq": 2})))["type"] == "ack"


async def test_connections_per_user_are_bounded(strict: Gateway, socket: SocketOf) -> None:
    """Close code 4429; a place that is free again is given again."""
    first, second = [await socket("alice", url=strict.url) for _ in range(CONNECTIONS)]
    await first.ready()
    await second.ready()
    third = await socket("alice", url=strict.url)
    assert code_of(await third.receive()) is ErrorCode.RATE_LIMITED
    assert await third.closed() == CloseCode.TOO_MANY
    await (await socket("bob", url=strict.url)).ready()
    await first.socket.close()
    await (await socket("alice", url=strict.url)).ready()


async def test_connections_per_address_are_bounded(
    gateway_with: Callable[..., Awaitable[Gateway]], socket: SocketOf, http: ClientSession
) -> None:
    """429 before the handshake, with `Retry-After`; a full gateway closes with 4429."""
    narrow = await gateway_with(CONNECTIONS_PER_MINUTE_PER_IP=2, MAX_CONNECTIONS=1)
    await (await socket("alice", url=narrow.url)).ready()
    full = await socket("bob", url=narrow.url)
    assert code_of(await full.receive()) is ErrorCode.OVERLOADED
    assert await full.closed() == CloseCode.TOO_MANY
    with pytest.raises(WSServerHandshakeError) as refused:
        await socket("carol", url=narrow.url)
    assert refused.value.status == 429
    assert refused.value.headers is not None
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 30
    # Only sockets count.
    async with http.get(f"{narrow.url}/readyz") as ready:
        assert ready.status == 200


# ── signs of life ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_pings_are_answered_with_their_own_payload(socket: SocketOf) -> None:
    """RFC 6455 section 5.5.3."""
    alice = await socket("alice", autoping=False)
    await alice.ready()
    await alice.socket.ping(b"are you there?")
    answer = await alice.socket.receive()
    assert (answer.type, answer.data) == (WSMsgType.PONG, b"are you there?")


async def test_who_answers_no_ping_is_cut_off_and_who_does_is_not(strict: Gateway, socket: SocketOf) -> None:
    """After two heartbeats without a sign of life."""
    dead, alive = await socket("dead", url=strict.url, autoping=False), await socket("alive", url=strict.url)
    await alive.ready()
    alive_reads = asyncio.ensure_future(alive.receive())  # noqa: TID251 - it only has to answer pings meanwhile
    kinds: list[WSMsgType] = []
    async with asyncio.timeout(10):
        # On a slow machine the first ping is ahead of what greets.
        while not kinds or kinds[-1] in {WSMsgType.PING, WSMsgType.TEXT}:
            kinds.append((await dead.socket.receive()).type)
    assert WSMsgType.PING in kinds
    assert not alive_reads.done()
    await alive.send("ping")
    assert (await alive_reads)["type"] == "ack"


# ── slow readers ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reader_that_never_reads_is_closed_and_costs_nobody_anything(
    gateway_with: Callable[..., Awaitable[Gateway]], client: ClientOf, token: TokenOf
) -> None:
    """4408, bounded memory, and the others get every message."""
    limit = 65536
    narrow = await gateway_with(WRITE_BUFFER_LIMIT=limit)
    alice, bob = await client("alice"), await client("bob", url=narrow.url)
    room = await alice.create_room(members=["bob", "carol"])
    await bob.expect("room.subscribed", room_id=room.id)
    carol = await connect_bare(narrow.url, token("carol"))
    before = narrow.resident_bytes()
    contents = [f"{number:03}" + "\N{GRINNING FACE}" * 9_000 for number in range(300)]
    gate = asyncio.Semaphore(16)

    async def send(content: str) -> None:
        async with gate:
            await alice.send(room.id, content)

    await asyncio.gather(*map(send, contents))
    for content in contents:
        await bob.said(room.id, content)
    assert narrow.resident_bytes() - before < 40 * MIB
    received, code = await carol.read_to_the_end()
    carol.connection.close()
    assert code == CloseCode.SLOW_CONSUMER
    # What the two kernels took, and less than one batch beyond the limit.
    assert received < 300 * 36_000 // 2
    assert [seq for _, seq, _ in bob.changes(room.id)] == list(range(1, 301))


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_gateway_that_stops_answers_what_it_has_taken_and_says_goodbye(
    gateway_with: Callable[..., Awaitable[Gateway]], client: ClientOf, socket: SocketOf
) -> None:
    """SIGTERM: every ack is sent, then 1012, then exit code 0."""
    leaving = await gateway_with()
    bob = await client("bob")
    alice = await socket("alice", url=leaving.url)
    await alice.ready()
    room = (await alice.ask("room.create", {"members": ["bob"]}))["data"]["room"]["id"]
    await bob.expect("room.subscribed", room_id=room)
    sent = [await alice.send("message.send", {"room_id": room, "content": str(number)}) for number in range(50)]
    assert (await alice.event("ack"))["id"] == sent[0]
    ended = asyncio.gather(leaving.terminate())
    acked = {sent[0]}
    with suppress(ConnectionError):
        while frame := await alice.receive():
            if frame["type"] in {"ack", "error"}:
                assert frame["type"] == "ack", frame
                acked.add(frame["id"])
    assert alice.socket.close_code == CloseCode.RESTART
    assert acked == set(sent)
    await ended
    assert leaving.said[-1].endswith("died (exit code 0)")
    for number in range(50):
        await bob.said(room, str(number))
