"""The load generator's verification: whatever a server can do wrong, the benchmark must say so."""

import orjson
import pytest
from picows import WSFrame, WSMsgType
from picows.picows import _make_test_ws_frame

from benchmarks.client import Client, Meter, User, text_frame
from benchmarks.codecs import Native
from benchmarks.ledger import Reading, Room, read_stamp, token

ROOM = "5f0000000000000000000001"


class Chat:
    """One room with two members, and a server that says what the test wants."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.room = Room(ROOM, self.meter.faults)
        self.sender, self.reader = (
            Client(index, User(f"user-{index}", "jwt"), Native(), self.room, self.meter) for index in range(2)
        )

    def receive(self, client: Client, frame: object) -> None:
        client.on_ws_frame(None, text(frame))  # type: ignore[arg-type]

    def deliver(self, *seqs: int, to: Client | None = None) -> None:
        for seq in seqs:
            self.receive(to or self.reader, created(seq))

    def settle(self) -> dict[str, int]:
        self.room.audit(0)
        for client in (self.sender, self.reader):
            client.finish()
        return dict(self.meter.faults)


def text(frame: object) -> WSFrame:
    return _make_test_ws_frame(WSMsgType.TEXT, orjson.dumps(frame), fin=True, rsv1=False)


def created(seq: int, number: int | None = None) -> dict[str, object]:
    message = {"seq": seq, "rev": seq, "content": f"0.{number or seq}.1000 text", "client_id": "c"}
    return {"type": "message.created", "room_id": ROOM, "seq": seq, "rev": seq, "data": message}


def ack(number: int, seq: int) -> dict[str, object]:
    return {"type": "ack", "id": str(number), "data": {"message_id": "m", "seq": seq, "rev": seq}}


@pytest.fixture
def chat() -> Chat:
    return Chat()


def test_a_correct_server_has_no_faults(chat: Chat) -> None:
    for number in (1, 2, 3):
        chat.sender.send()
        chat.receive(chat.sender, ack(number, number))
    chat.deliver(1, 2, 3)
    chat.deliver(1, 2, 3, to=chat.sender)
    assert chat.settle() == {}
    assert chat.sender.settled()
    assert chat.reader.delivered() == 3
    assert (len(chat.meter.acks), len(chat.meter.latencies)) == (3, 6)


@pytest.mark.parametrize(
    ("seqs", "expected"),
    [
        ((1, 3), {"gap": 1, "lost": 1}),
        ((1, 2), {"lost": 1}),
        ((1, 3, 2), {"gap": 1, "out of order": 1}),
        ((1, 2, 2, 3), {"duplicated": 1}),
        ((1, 2, 3, 1), {"duplicated": 1}),
    ],
)
def test_a_member_that_reads_wrongly_is_found(chat: Chat, seqs: tuple[int, ...], expected: dict[str, int]) -> None:
    for _ in range(3):
        chat.sender.send()
    for number in (1, 2, 3):
        chat.receive(chat.sender, ack(number, number))
    chat.deliver(1, 2, 3, to=chat.sender)
    chat.deliver(*seqs)
    assert chat.settle() == expected


def test_a_message_acked_and_never_delivered_is_lost(chat: Chat) -> None:
    chat.sender.send()
    chat.receive(chat.sender, ack(1, 1))
    assert chat.settle() == {"lost": 3, "never delivered": 1}


def test_a_message_neither_acked_nor_delivered_is_found(chat: Chat) -> None:
    chat.sender.send()
    assert chat.settle() == {"never answered": 1, "never delivered": 1}


def test_an_ack_must_name_the_seq_of_its_message(chat: Chat) -> None:
    chat.sender.send()
    chat.sender.send()
    chat.receive(chat.sender, ack(1, 2))
    chat.receive(chat.sender, ack(2, 1))
    for client in (chat.sender, chat.reader):
        chat.deliver(1, 2, to=client)
    assert chat.settle() == {"ack mismatch": 2}


def test_a_second_ack_is_unexpected(chat: Chat) -> None:
    chat.sender.send()
    chat.receive(chat.sender, ack(1, 1))
    chat.receive(chat.sender, ack(1, 1))
    assert chat.meter.faults == {"unexpected ack": 1}


def test_a_message_stored_twice_is_found(chat: Chat) -> None:
    chat.sender.send()
    chat.receive(chat.sender, ack(1, 1))
    for client in (chat.sender, chat.reader):
        chat.deliver(1, to=client)
        chat.receive(client, created(2, number=1))
    assert chat.settle() == {"stored twice": 1}


def test_two_members_who_see_different_messages_under_one_seq_diverge(chat: Chat) -> None:
    chat.receive(chat.reader, created(1, number=1))
    chat.receive(chat.sender, created(1, number=2))
    assert chat.meter.faults == {"diverged": 1}


def test_a_message_nobody_sent_is_found(chat: Chat) -> None:
    for client in (chat.sender, chat.reader):
        chat.deliver(1, to=client)
    assert chat.settle() == {"unknown": 1}


async def test_a_refused_send_is_an_error_and_no_fault(chat: Chat) -> None:
    chat.sender.send()
    refusal = {"code": "overloaded", "message": "later", "retryable": True, "retry_after": 1}
    chat.receive(chat.sender, {"type": "error", "id": "1", "error": refusal})
    chat.receive(chat.sender, {"type": "error", "id": None, "error": {"code": "invalid"}})
    assert chat.meter.errors == {"overloaded": 1, "invalid": 1}
    assert chat.settle() == {}


async def test_an_internal_error_is_a_fault(chat: Chat) -> None:
    chat.sender.send()
    chat.receive(chat.sender, {"type": "error", "id": "1", "error": {"code": "internal", "message": "oh"}})
    assert chat.settle() == {"internal error": 1}


def test_old_frames_are_forgotten() -> None:
    room = Room(ROOM, Meter().faults)
    for seq in range(1, 3001):
        room.remember(seq, b"", 0)
    assert len(room.frames) == 1024


def test_irregular_reading_remembers_what_is_missing() -> None:
    reading = Reading(Meter().faults)
    assert reading.irregular(1, 5) == 5
    assert reading.missing == {2, 3, 4}
    assert reading.irregular(5, 3) == 5
    assert reading.missing == {2, 4}
    assert reading.faults == {"gap": 1, "out of order": 1}


def test_the_stamp_names_sender_number_and_time() -> None:
    assert read_stamp("7.12.123456789 some text. with dots") == (token(7, 12), 123456789)
    with pytest.raises(ValueError, match="not enough values"):
        read_stamp("hello")


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_client_frames_are_masked_and_sized(size: int) -> None:
    frame = text_frame(bytes(size))
    assert frame[0] == 0x81
    assert frame[1] & 0x80
    assert len(frame) == size + (6 if size < 126 else 8 if size < 65536 else 14)
