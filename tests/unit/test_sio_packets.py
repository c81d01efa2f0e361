"""Socket.IO packets: ours are the library's, to the letter, and what is no packet is said to be none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from socketio import packet as library

from services.gateway.sio import packets

NAMESPACES = st.sampled_from(["/", "/chat", "/chat/"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@given(NAMESPACES, NAMES, st.lists(VALUES, max_size=3), st.none() | st.integers(0, 10**9))
def test_what_a_library_encodes_is_read(namespace: str, name: str, arguments: list[object], ack: int | None) -> None:
    encoded = library.Packet(library.EVENT, data=[name, *arguments], namespace=namespace, id=ack).encode()
    text = f"{packets.MESSAGE}{encoded}"
    assert packets.read(text) == (namespace, name, arguments, ack)


@given(NAMESPACES, NAMES)
def test_what_is_made_is_read_by_a_library(namespace: str, name: str) -> None:
    event = library.Packet(encoded_packet=packets.event(namespace, name, b'{"a":[1]}')[1:].decode())
    assert (event.packet_type, event.namespace or "/", event.data) == (library.EVENT, namespace, [name, {"a": [1]}])
    ack = library.Packet(encoded_packet=packets.ack(namespace, 7, b"{}")[1:].decode())
    assert (ack.packet_type, ack.namespace or "/", ack.id, ack.data) == (library.ACK, namespace, 7, [{}])
    end = library.Packet(encoded_packet=packets.disconnect(namespace)[1:].decode())
    assert (end.packet_type, end.namespace or "/") == (library.DISCONNECT, namespace)


@pytest.mark.parametrize(
    "text",
    ["42", "42{}", "42/chat[]", "42[]", "42[1]", '42x["a"]', '42/chat,1x["a"]', '42["a"', "42" + "9" * 20 + '["a"]'],
)
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(packets.Malformed):
        packets.read(text)


def test_a_namespaces_query_is_no_part_of_its_name() -> None:
    assert packets.read('42/chat?token=x,["a"]').namespace == "/chat"
