"""The codecs: what every frame means, in both protocols."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from benchmarks.codecs import Booking, Codec, Native, RoomState, SocketIo

CODECS: list[Codec] = [Native(), SocketIo(), Booking()]


class Recorder:
    """A receiver that writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    room_id = "r"

    def on_delivery(self, seq: int, rev: int, content: str, payload: bytes) -> None:
        self.heard.append(("delivery", seq, rev, content))

    def on_ack(self, number: int, seq: int) -> None:
        self.heard.append(("ack", number, seq))

    def on_error(self, number: int, code: str, retry_after: float) -> None:
        self.heard.append(("error", number, code, retry_after))

    def on_result(self, number: int, data: dict[str, Any]) -> None:
        self.heard.append(("result", number, data))

    def on_ready(self, rooms: Mapping[str, RoomState]) -> None:
        self.heard.append(("ready", dict(rooms)))

    def on_demand(self, reply: bytes) -> None:
        self.heard.append(("demand", reply))


@pytest.mark.parametrize(
    ("codec", "payload", "meaning"),
    [
        (
            Native(),
            b'{"type":"message.created","room_id":"r","seq":3,"rev":5,"data":{"content":"hi"}}',
            ("delivery", 3, 5, "hi"),
        ),
        (Native(), b'{"type":"ack","id":"7","data":{"message_id":"m","seq":3}}', ("ack", 7, 3)),
        (Native(), b'{"type":"ack","id":"8","data":{"rooms":{}}}', ("result", 8, {"rooms": {}})),
        (
            Native(),
            b'{"type":"error","id":"7","error":{"code":"rate_limited","retry_after":1.5}}',
            ("error", 7, "rate_limited", 1.5),
        ),
        (Native(), b'{"type":"error","id":null,"error":{"code":"invalid"}}', ("error", 0, "invalid", 0)),
        (
            Native(),
            b'{"type":"ready","data":{"rooms":[{"id":"r","epoch":"e","seq":1,"rev":2}]}}',
            ("ready", {"r": RoomState("e", 1, 2)}),
        ),
        (SocketIo(), b'0{"sid":"x","pingInterval":25000}', ("demand", b'40{"token":"jwt"}')),
        (Booking(), b'0{"sid":"x","pingInterval":25000}', ("demand", b'40/chat,{"token":"jwt"}')),
        (Booking(), b'42/chat,["connected",{}]', ("demand", b'42/chat,["join_room",{"roomId":"r"}]')),
        (Booking(), b'42/chat,["joined_room",{"roomId":"r"}]', ("ready", {"r": RoomState(None, None, None)})),
        (Booking(), b'42/chat,["new_message",{"seq":3,"content":"hi"}]', ("delivery", 3, 3, "hi")),
        (Booking(), b'43/chat,7[{"id":"m","seq":3}]', ("ack", 7, 3)),
        (Booking(), b'43/chat,7[{"message":"no","code":"forbidden"}]', ("error", 7, "forbidden", 0)),
        (Booking(), b"2", ("demand", b"3")),
        (SocketIo(), b"2", ("demand", b"3")),
        (SocketIo(), b'42["ready",{"rooms":["r"]}]', ("ready", {"r": RoomState(None, None, None)})),
        (SocketIo(), b'42["message",{"seq":3,"content":"hi"}]', ("delivery", 3, 3, "hi")),
        (SocketIo(), b'437[{"ok":true,"message_id":"m","seq":3}]', ("ack", 7, 3)),
        (SocketIo(), b'438[{"messages":[]}]', ("result", 8, {"messages": []})),
        (SocketIo(), b'437[{"ok":false,"error":"no"}]', ("error", 7, "no", 0)),
    ],
)
def test_a_frame_means_one_thing(codec: Codec, payload: bytes, meaning: tuple[object, ...]) -> None:
    recorder = Recorder()
    codec.decode(payload, "jwt", recorder)
    assert recorder.heard == [meaning]


@pytest.mark.parametrize(
    ("codec", "payload"), [(Native(), b'{"type":"presence.changed"}'), (SocketIo(), b'40{"sid":"x"}')]
)
def test_other_frames_mean_nothing(codec: Codec, payload: bytes) -> None:
    recorder = Recorder()
    codec.decode(payload, "jwt", recorder)
    assert recorder.heard == []


def test_a_refused_socketio_connection_says_why() -> None:
    with pytest.raises(ConnectionRefusedError, match="unauthenticated"):
        SocketIo().decode(b'44{"message":"unauthenticated"}', "jwt", Recorder())


def test_a_native_send_is_a_frame_of_the_protocol() -> None:
    payload = Native().send_template("r%", 4, "bob") % (7, 7, 99, 7)
    assert orjson.loads(payload) == {
        "type": "message.send",
        "id": "7",
        "data": {
            "room_id": "r%",
            "content": "4.7.99 the quick brown fox jumps over the lazy dog and runs on to the sea",
            "type": "text",
            "client_id": "bob-7",
        },
    }


def test_a_socketio_send_is_an_event_with_ack() -> None:
    payload = SocketIo().send_template("r", 4, "bob") % (7, 7, 99, 7)
    assert payload.startswith(b'427["send",{"room_id":"r","content":"4.7.99 ')
    assert orjson.loads(payload[3:])[1]["client_id"] == "bob-7"


def test_native_sync_pages() -> None:
    codec = Native()
    command = orjson.loads(codec.sync(3, "r", codec.cursor("e", 5, 8)))
    assert command == {"type": "sync", "id": "3", "data": {"cursors": {"r": "e:8"}}}
    room = {
        "cursor": "e:9",
        "has_more": True,
        "reset": False,
        "messages": [{"seq": 6, "rev": 9, "content": "hi"}],
    }
    assert codec.read_sync("r", {"rooms": {"r": room}}, "e:8") == ([(6, 9, "hi")], "e:9", True, False)


def test_socketio_sync_goes_on_while_pages_are_full() -> None:
    codec = SocketIo()
    assert codec.sync(3, "r", codec.cursor(None, 5, 5)) == b'423["sync",{"room_id":"r","after_seq":5}]'
    messages = [{"seq": seq, "content": "hi"} for seq in range(6, 1006)]
    page = codec.read_sync("r", {"messages": messages}, "5")
    assert (page.cursor, page.has_more) == ("1005", True)
    assert codec.read_sync("r", {"messages": []}, "1005") == ([], "1005", False, False)


@pytest.mark.parametrize("codec", CODECS)
def test_urls_name_a_websocket(codec: Codec) -> None:
    assert codec.url("http://127.0.0.1:3000", "a.b.c").startswith("ws://127.0.0.1:3000/")
