"""Every make of client, by every transport: what the outing document has them send and hear. It prints no program."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Meet
from tests.harness.rest import Api

SORTIE = "66f0c0ffee00000000000001"


@pytest.fixture
async def outing(api: Callable[..., Api], tenant: str) -> str:
    """An outing of ann's, in which ben takes part, as another system has told of it."""
    service = api("backend", roles=("service",))
    for number, (kind, data) in enumerate(
        [
            ("sortie.created", {"titre": "Plage", "createur_id": "ann"}),
            ("participation.requested", {"participation_id": "p-ben", "user_id": "ben"}),
        ]
    ):
        told = {"specversion": "1.0", "id": f"e-{number}", "source": "/sample", "type": kind, "tenant": tenant}
        answer = await service("POST", "/v1/integration/events", {**told, "data": {"sortie_id": SORTIE, **data}})
        assert answer.body["results"][0]["applied"], answer
    decided = await api("ann")("PATCH", "/participations/p-ben/status", {"status": "ACCEPTEE"})
    assert decided.status == 200, decided
    return SORTIE


async def test_two_talk(transports: dict[str, Any], meet: Meet, outing: str) -> None:
    """All events of the document, both ways, but for those that the other system causes."""
    ann, ben = await meet("ann", **transports), await meet("ben", **transports)
    for person, name in ((ann, "ann"), (ben, "ben")):
        assert (await person.expect("connected"))["userId"] == name
        await person.emit("joinRoom", {"sortieId": outing})
        joined = await person.expect("joinedRoom")
        assert (joined["sortieId"], joined["name"]) == (outing, "Plage")
    assert (await ann.expect("userJoinedRoom"))["userId"] == "ben"
    sent = await ann.call("sendMessage", {"sortieId": outing, "type": "text", "content": "On y va ?"})
    for person in (ann, ben):
        told = await person.expect("receiveMessage", lambda message: message["type"] == "text")
        assert (told["_id"], told["content"], told["senderId"]) == (sent["messageId"], "On y va ?", "ann")
    await ben.emit("typing", {"sortieId": outing, "isTyping": True})
    typing = await ann.expect("userTyping")
    assert (typing["userId"], typing["sortieId"], typing["isTyping"]) == ("ben", outing, True)
    await ben.emit("markAsRead", {"messageId": sent["messageId"]})
    read = await ann.expect("messageRead", lambda told: told["messageId"] == sent["messageId"])
    assert read["userId"] == "ben"
    await ben.emit("getOnlineUsers", {"sortieId": outing})
    assert (await ben.expect("onlineUsers"))["sortieId"] == outing
    await ben.emit("leaveRoom", {"sortieId": outing})
    assert (await ann.expect("userLeftRoom"))["userId"] == "ben"
    await ben.emit("sendMessage", {"sortieId": "no such outing", "content": "?"})
    error = await ben.expect("error")
    assert (error["event"], bool(error["message"])) == ("sendMessage", True)
