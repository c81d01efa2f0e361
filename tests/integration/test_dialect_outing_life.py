"""An outing's life as the other system tells it and as its chat's people live it: made, joined, left, over."""

from tests.integration.dialect_outing import SORTIE, Outing, PeopleOf

pytest_plugins = ("tests.integration.integration_fixtures", "tests.integration.dialect_outing_fixtures")


async def test_from_the_wish_to_take_part_to_the_end(outing: Outing, people: PeopleOf) -> None:
    """Requested, accepted, chatting, cancelled: everybody is told what concerns them."""
    ann, bob = await people("ann"), await people("bob", 1)
    await outing.rooms.said(outing.chat, "Welcome to Plage")
    room = await ann.call("joinRoom", {"sortieId": SORTIE})
    assert [(message["type"], message["content"]) for message in room["messages"]] == [("system", "Welcome to Plage")]

    await outing.tell("participation.requested", participation_id="p-bob", user_id="bob")
    assert (await bob.call("joinRoom", {"sortieId": SORTIE}))["code"] == "forbidden"
    answer = await outing.decide("ann", "bob", "ACCEPTEE")
    assert answer.status == 200
    wish = {name: answer.body[name] for name in ("_id", "id", "sortieId", "userId", "chatId", "status")}
    assert wish == {
        "_id": "p-bob", "id": "p-bob", "sortieId": SORTIE, "userId": "bob", "chatId": outing.chat, "status": "ACCEPTEE",
    }  # fmt: skip

    told = await bob.expect("notification")
    assert (told["type"], told["sortieId"], told["chatId"], told["name"]) == (
        "chat.joined", SORTIE, outing.chat, "Plage",
    )  # fmt: skip
    remark = await ann.expect("receiveMessage", lambda data: data["content"] == "bob joined")
    assert (remark["type"], remark["sortieId"]) == ("system", SORTIE)
    assert not any("clientId" in message for message in (remark, *room["messages"]))  # nobody has sent them
    notice = await ann.expect("notification")
    assert (notice["type"], notice["message"], notice["data"]["user_ids"]) == ("member.added", "bob joined", ["bob"])

    room = await bob.call("joinRoom", {"sortieId": SORTIE})
    assert (room["chatId"], len(room["messages"])) == (outing.chat, 2)
    await bob.call("sendMessage", {"sortieId": SORTIE, "content": "See you there"})
    await ann.expect("receiveMessage", lambda data: data["content"] == "See you there")

    assert (await outing.decide("bob", "bob", "annulee")).status == 200
    assert (await bob.expect("notification", lambda data: data["type"] == "chat.left"))["chatId"] == outing.chat
    assert (await ann.expect("userLeftRoom"))["userId"] == "bob"
    assert (await ann.expect("notification"))["message"] == "bob left"
    assert (await bob.call("sendMessage", {"sortieId": SORTIE, "content": "wait!"}))["code"] == "forbidden"
    await ann.call("sendMessage", {"sortieId": SORTIE, "content": "a pity"})
    await ann.expect("receiveMessage", lambda data: data["content"] == "a pity")

    await outing.tell("sortie.deleted")
    over = await ann.expect("notification")
    assert (over["type"], over["sortieId"]) == ("chat.deleted", SORTIE)
    assert (await ann.call("joinRoom", {"sortieId": SORTIE}))["code"] == "not_found"
    assert [heard.data for heard in bob.log if heard.name == "receiveMessage" and "pity" in heard.data["content"]] == []


async def test_an_outing_changes_its_name(outing: Outing, people: PeopleOf) -> None:
    """As the other system says."""
    await outing.tell("sortie.updated", titre="Montagne")
    await outing.rooms.becomes(outing.chat, name="Montagne")
    assert (await (await people("ann")).call("joinRoom", SORTIE))["name"] == "Montagne"
    assert (await outing.api("ann")("GET", f"/chats/sortie/{SORTIE}")).body["name"] == "Montagne"


async def test_only_its_owner_decides_who_comes(outing: Outing) -> None:
    """Who asks does not let themselves in, nor does a member."""
    await outing.admit("carl")
    await outing.tell("participation.requested", participation_id="p-bob", user_id="bob")
    for who in ("bob", "carl", "eve"):
        answer = await outing.decide(who, "bob", "ACCEPTEE")
        assert (answer.status, answer.body["error"]) == (403, "Forbidden")
    assert (await outing.decide("ann", "bob", "REFUSEE")).body["status"] == "REFUSEE"
    assert (await outing.rooms.state(outing.chat) or {})["members"] == {"ann": "owner", "carl": "member"}


async def test_what_is_said_while_one_joins_comes_once_and_in_order(outing: Outing, people: PeopleOf) -> None:
    """What `joinedRoom` shows comes before everything that is told live, and nothing is missing or told twice."""
    guests = [f"bob-{number}" for number in range(12)]
    await outing.admit(*guests)
    ann = await people("ann")
    for number, guest in enumerate(guests):  # others each time: who comes back goes on where they left
        bob = await people(guest, 1)
        await ann.emit("sendMessage", {"sortieId": SORTIE, "content": f"{number} before"})
        await bob.emit("joinRoom", {"sortieId": SORTIE})
        await ann.call("sendMessage", {"sortieId": SORTIE, "content": f"{number} after"})
        room = await bob.expect("joinedRoom")
        seen = [message["content"] for message in room["messages"] if message["content"].startswith(f"{number} ")]
        while seen[-1:] != [f"{number} after"]:
            seen.append((await bob.expect("receiveMessage"))["content"])
        assert seen == [f"{number} before", f"{number} after"]
        names = [heard.name for heard in bob.log if heard.name in {"joinedRoom", "receiveMessage"}]
        assert names[0] == "joinedRoom"
        await bob.client.disconnect()
