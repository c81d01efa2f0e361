"""Events from outside, purely: what each says, and that order and repetition do not matter."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.schemas.externals import DATA, shown
from services.rooms.integration_facts import (
    MOST,
    MOST_ARRIVALS,
    Facts,
    Key,
    Name,
    Said,
    Stamp,
    Wanted,
    hear,
    may_set,
    members,
    merge,
    wanted,
)
from services.rooms.integrations import INTEGRATIONS, About, Object, Telling, envelope_of, read
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.integration import EXTERNALS, ParticipationStatus
from shared.contracts.membership import Role, RoomType

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
USERS = ("ann", "bob", "carl")


def telling(type: str, *, at: int | None = 1, number: str = "e", **data: Any) -> Telling:
    """What an event tells that happened `at` seconds before noon's last hour; None for no time."""
    item: dict[str, Any] = {"id": number, "source": "/outside", "type": type, "data": data}
    if at is not None:
        item["time"] = (NOW - timedelta(hours=1) + timedelta(seconds=at)).isoformat()
    return read(envelope_of(item), "default", NOW)


def after(tellings: Iterable[Telling], facts: Facts | None = None) -> Facts:
    """The facts after these, in this order."""
    facts = facts or Facts()
    for number, told in enumerate(tellings):
        facts = hear(facts, told.statement, number)
    return facts


people = st.lists(st.sampled_from(USERS), unique=True, max_size=3)
ONE: dict[str, Any] = {"event_id": "1"}
EVENTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "event.created": st.fixed_dictionaries(
        {"event_id": st.just("1")},
        optional={"title": st.sampled_from("AB"), "creator_id": st.sampled_from(USERS), "participants": people},
    ),
    "event.updated": st.fixed_dictionaries(
        {"event_id": st.just("1")}, optional={"title": st.sampled_from("CD"), "participants": people}
    ),
    "event.cancelled": st.just(ONE),
    "event.participant_added": st.sampled_from(USERS).map(lambda user: {**ONE, "user_id": user}),
    "event.participant_removed": st.sampled_from(USERS).map(lambda user: {**ONE, "user_id": user}),
    "room.members_set": st.dictionaries(st.sampled_from(USERS), st.sampled_from(list(Role)), max_size=3).map(
        lambda roles: {
            "external": {"kind": "event", "id": "1"},
            "members": [{"user_id": user, "role": role.value} for user, role in roles.items()],
        }
    ),
}
OUTINGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "sortie.created": st.just({"sortie_id": "1", "titre": "A", "createur_id": "ann"}),
    "sortie.updated": st.sampled_from("BC").map(lambda title: {"sortie_id": "1", "titre": title}),
    "sortie.deleted": st.just({"sortie_id": "1"}),
    "participation.requested": st.sampled_from(USERS).map(
        lambda user: {"participation_id": f"p-{user}", "sortie_id": "1", "user_id": user}
    ),
    "participation.status_changed": st.builds(
        lambda user, status, number: {
            "participation_id": f"p{number}-{user}", "sortie_id": "1", "user_id": user, "status": status.value
        },
        st.sampled_from(USERS), st.sampled_from(list(ParticipationStatus)), st.integers(0, 1),
    ),
}  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Telling]:
    """What is told of one object; some of it at the same moment, some by the same id."""
    table = draw(st.sampled_from([EVENTS, OUTINGS]))
    kinds = draw(st.lists(st.sampled_from(sorted(table)), max_size=9))
    return [
        telling(kind, at=draw(st.integers(0, 5)), number=draw(st.sampled_from("xyz")), **draw(table[kind]))
        for kind in kinds
    ]


class TestAnyOrder:
    @settings(max_examples=400)
    @given(histories(), st.data())
    def test_order_and_repetition_do_not_matter(self, history: list[Telling], data: st.DataObject) -> None:
        """The facts are the same, and so is the room."""
        shuffled = data.draw(
            st.permutations(history + data.draw(st.lists(st.sampled_from(history)) if history else st.just([])))
        )
        assert after(shuffled).registers == after(history).registers
        assert wanted(after(shuffled)) == wanted(after(history))

    @settings(max_examples=200)
    @given(histories(), st.data())
    def test_facts_kept_apart_can_be_merged(self, history: list[Telling], data: st.DataObject) -> None:
        """In any grouping, from either side, and once more: it all comes to the same."""
        cut, other = sorted(data.draw(st.integers(0, len(history))) for _ in range(2))
        one, two, three = after(history[:cut]), after(history[cut:other]), after(history[other:])
        whole = after(history)
        assert merge(merge(one, two), three) == merge(one, merge(two, three)) == whole
        assert merge(two, one) == merge(one, two)
        assert merge(whole, one) == whole

    @given(histories())
    def test_the_last_word_holds(self, history: list[Telling]) -> None:
        """Who was said last to take part does, and who was said not to does not, whatever was said before."""
        last = telling("event.participant_removed", at=100, event_id="1", user_id="bob")
        first = telling("event.created", at=-100, event_id="1", creator_id="zoe")
        facts = after([first, *history, last])
        if facts.value(Name.CREATOR) != "bob":
            assert "bob" not in members(facts)
        facts = after([last, telling("event.participant_added", at=101, event_id="1", user_id="bob"), first, *history])
        assert "bob" in members(facts)

    @pytest.mark.parametrize("numbers", ["abcd", "dcba"])
    def test_coarse_clocks_do_no_harm(self, numbers: str) -> None:
        """What is made, filled and ended within one tick is not left to the chance of ids."""
        told: list[tuple[str, dict[str, Any]]] = [
            ("event.created", {"creator_id": "ann", "participants": ["bob"]}),
            ("event.participant_added", {"user_id": "carl"}),
            ("event.updated", {"participants": ["dora"]}),
            ("event.cancelled", {}),
        ]
        created, added, listed, cancelled = (
            telling(kind, number=number, **ONE, **data) for number, (kind, data) in zip(numbers, told, strict=True)
        )
        assert set(members(after([added, created]))) == {"ann", "bob", "carl"}
        room = wanted(after([cancelled, added, listed, created]))
        assert room.closed
        assert set(room.members or {}) == {"ann", "carl", "dora"}
        wish: dict[str, Any] = {"participation_id": "1", "sortie_id": "1", "user_id": "bob"}
        accepted = telling("participation.status_changed", number=numbers[0], **wish, status="ACCEPTEE")
        requested = telling("participation.requested", number=numbers[1], **wish)
        assert set(members(after([accepted, requested]))) == {"bob"}

    def test_an_event_without_a_time_counts_from_when_it_first_came(self) -> None:
        """So it may come again after what outweighs it; unless very much has come since."""
        created = telling("event.created", at=None, number="1", event_id="1", creator_id="ann")
        cancelled = telling("event.cancelled", at=None, number="2", event_id="1")
        facts = after([created, cancelled, created])
        assert wanted(facts).closed
        many = [
            telling("event.updated", at=None, number=f"u{number}", event_id="1", title="A") for number in range(500)
        ]
        assert len(after(many, facts).arrivals) == MOST_ARRIVALS


class TestWanted:
    @pytest.mark.parametrize(
        ("history", "room"),
        [
            ([], Wanted()),
            ([("event.updated", {"title": "A", "participants": ["bob"]})], Wanted(name="A")),
            ([("event.participant_added", {"user_id": "bob"})], Wanted()),
            (
                [("event.created", {"creator_id": "ann", "participants": ["bob"]})],
                Wanted(type=RoomType.EVENT, members={"ann": Role.OWNER, "bob": Role.MEMBER}),
            ),
            (
                [("event.cancelled", {}), ("event.created", {"title": "A"})],
                Wanted(type=RoomType.EVENT, name="A", members={}),
            ),
            (
                [("event.created", {}), ("event.cancelled", {}), ("event.participant_added", {"user_id": "bob"})],
                Wanted(type=RoomType.EVENT, closed=True, members={"bob": Role.MEMBER}),
            ),
        ],
    )
    def test_the_room_of_an_event(self, history: list[tuple[str, dict[str, Any]]], room: Wanted) -> None:
        """Each a second later."""
        facts = after(telling(kind, at=at, **ONE, **data) for at, (kind, data) in enumerate(history))
        assert wanted(facts) == room

    def test_a_creator_is_always_in_unless_the_members_were_set(self) -> None:
        """Whoever sets them, sets the owners too; a later list of participants is about participants only."""
        created = telling("event.created", at=1, **ONE, creator_id="ann", participants=[])
        removed = telling("event.participant_removed", at=2, **ONE, user_id="ann")
        assert members(after([created, removed])) == {"ann": Role.OWNER}
        external = {"kind": "event", "id": "1"}
        taken_over = telling("room.members_set", at=3, external=external, members=[{"user_id": "bob", "role": "owner"}])
        assert members(after([created, removed, taken_over])) == {"bob": Role.OWNER}
        listed = telling("event.updated", at=4, **ONE, participants=["carl"])
        assert members(after([created, taken_over, listed])) == {"ann": Role.OWNER, "carl": Role.MEMBER}

    def test_one_accepted_participation_of_several_is_enough(self) -> None:
        """Who was refused and asked anew may have been accepted then."""
        refused: dict[str, Any] = {"participation_id": "1", "sortie_id": "1", "user_id": "bob", "status": "REFUSEE"}
        accepted = {**refused, "participation_id": "2", "status": "ACCEPTEE"}
        told = [telling("participation.status_changed", at=at, **data) for at, data in ((3, refused), (2, accepted))]
        assert members(after(told)) == {"bob": Role.MEMBER}

    def test_what_is_deleted_has_no_room_until_it_is_made_again(self) -> None:
        """By an event that is later."""
        created = telling("sortie.created", at=1, sortie_id="1", createur_id="ann")
        deleted = telling("sortie.deleted", at=2, sortie_id="1")
        again = telling("sortie.created", at=3, sortie_id="1", createur_id="ann")
        assert wanted(after([deleted, created])) == Wanted(deleted=True)
        assert wanted(after([again, deleted, created])).members == {"ann": Role.OWNER}

    def test_who_is_no_more_is_in_no_room(self) -> None:
        """Not even as its owner."""
        created = telling("event.created", **ONE, creator_id="ann", participants=["bob"])
        assert wanted(after([created]), frozenset({"ann"})).members == {"bob": Role.MEMBER}

    def test_a_profile_ends_with_its_user(self) -> None:
        """Nothing of it is kept, nor comes back with them."""
        first = telling("user.upserted", at=1, id="bob", name="Bob", avatar="x")
        facts = after([first, telling("user.deleted", at=2, id="bob")])
        assert facts.deleted
        assert not list(facts.of(Name.PROFILE))
        facts = after([telling("user.upserted", at=3, id="bob", name="Bobby")], facts)
        assert {name: said.value for name, said in after([first], facts).of(Name.PROFILE)} == {"name": "Bobby"}


class TestBounds:
    def test_no_more_take_part_than_a_room_holds(self) -> None:
        """One too many is refused, and nothing is changed."""
        full = after([telling("event.created", **ONE, participants=[f"u{number}" for number in range(MOST)])])
        with pytest.raises(ChatError) as caught:
            after([telling("event.participant_added", at=2, **ONE, user_id="late")], full)
        assert caught.value.code is ErrorCode.TOO_LARGE
        one_less = telling("event.participant_removed", at=2, **ONE, user_id="u0")
        assert (
            len(members(after([one_less, telling("event.participant_added", at=3, **ONE, user_id="late")], full)))
            == MOST
        )

    def test_those_who_left_long_ago_are_forgotten(self) -> None:
        """The oldest first."""
        registers = {
            Key(Name.PERSON, f"u{number}"): Said(Stamp(number, 0, "1"), value=False) for number in range(MOST + 5)
        }
        everybody = merge(Facts(), Facts(registers))
        left = [int(of.removeprefix("u")) for of, _ in everybody.of(Name.PERSON)]
        assert sorted(left) == list(range(5, MOST + 5))


class TestRows:
    def test_every_type_has_a_row_and_an_example(self) -> None:
        """The vocabulary, the rows and the documents speak of the same."""
        assert set(INTEGRATIONS) == set(EXTERNALS) == set(DATA)

    @pytest.mark.parametrize("kind", INTEGRATIONS)
    def test_its_example_is_understood(self, kind: str) -> None:
        """And says something."""
        told = read(envelope_of(shown(kind)), "default", NOW)
        assert told.statement.values
        assert " " not in told.object.id

    @pytest.mark.parametrize("kind", INTEGRATIONS)
    def test_unknown_fields_are_none_of_ours(self, kind: str) -> None:
        """Other systems say more than we need."""
        item = {**shown(kind), "dataschema": "x", "color": "red"}
        item["data"] = {**DATA[kind], "price": 12}
        assert read(envelope_of(item), "t", NOW) == read(envelope_of(shown(kind)), "t", NOW)

    @pytest.mark.parametrize(
        ("item", "reason"),
        [
            (17, "the event is malformed"),
            ({}, "field 'id'"),
            ({**shown("event.created"), "specversion": "0.3"}, "specversion"),
            ({**shown("event.created"), "type": "event.exploded"}, "not known here"),
            ({**shown("event.created"), "data": []}, "field 'data'"),
            ({**shown("event.created"), "data": {}}, "event_id"),
            ({**shown("event.created"), "tenant": "a b"}, "tenant"),
            ({**shown("event.created"), "time": "yesterday"}, "time"),
            ({**shown("event.created"), "time": "2027-01-01T00:00:00Z"}, "in the future"),
            ({**shown("room.members_set"), "data": {"members": []}}, "not both"),
            (
                {**shown("participation.requested"), "data": {**DATA["participation.requested"], "status": "OUI"}},
                "status",
            ),
        ],
    )
    def test_what_is_wrong_is_said(self, item: Any, reason: str) -> None:
        """So that its sender can be repaired."""
        with pytest.raises(ChatError, match=reason) as caught:
            read(envelope_of(item), "default", NOW)
        assert caught.value.code is ErrorCode.INVALID

    def test_the_page_for_developers_has_every_type_with_its_fields(self) -> None:
        """What may be left out has a `?`."""
        page = (Path(__file__).parents[2] / "docs/integration.md").read_text()
        table = page.partition("## What can be told")[2].partition("\n\nOther fields")[0]
        told: dict[str, dict[str, bool]] = {}
        for line in table.splitlines()[4:]:
            kinds, fields, _ = line.strip("| ").split(" | ")
            named = re.findall(r"`([a-z_]+)(\??)(?:: [^`]*)?`", fields)
            # Of the two ways to name a room one is needed; the model says so itself.
            told |= {key: {name: not optional for name, optional in named} for key in re.findall(r"`([^`]+)`", kinds)}
        told["room.members_set"] |= {"room_id": False, "external": False}
        models = {
            kind: {name: field.is_required() for name, field in model.model_fields.items()}
            for kind, model in EXTERNALS.items()
        }
        assert told == models

    def test_the_page_s_request_is_understood(self) -> None:
        """As somebody would copy it."""
        page = (Path(__file__).parents[2] / "docs/integration.md").read_text()
        body = page.partition("--data '")[2].partition("'")[0]
        assert read(envelope_of(json.loads(body)), "default", NOW).object.id == "42"

    def test_objects_do_not_share_keys(self) -> None:
        """Tenant, what it is, kind and id: each tells them apart."""
        objects = [
            Object(tenant, about, kind, of)
            for tenant in ("a", "b") for about in About for kind in ("event", "user") for of in ("1", "2")
        ]  # fmt: skip
        assert len({item.key for item in objects}) == len(objects)


class TestParticipations:
    @pytest.mark.parametrize("status", ParticipationStatus)
    def test_who_may_set_what(self, status: ParticipationStatus) -> None:
        """The owner everything, who takes part may cancel, nobody else anything."""
        may_set(status, ParticipationStatus.EN_ATTENTE, owner=True, participant=False)
        for participant in (True, False):
            if participant and status is ParticipationStatus.ANNULEE:
                may_set(status, ParticipationStatus.EN_ATTENTE, owner=False, participant=True)
                continue
            with pytest.raises(ChatError) as caught:
                may_set(status, ParticipationStatus.EN_ATTENTE, owner=False, participant=participant)
            assert caught.value.code is ErrorCode.FORBIDDEN

    def test_what_was_cancelled_is_over(self) -> None:
        """Cancelling again is no contradiction."""
        cancelled = ParticipationStatus.ANNULEE
        may_set(cancelled, cancelled, owner=True, participant=False)
        with pytest.raises(ChatError) as caught:
            may_set(ParticipationStatus.ACCEPTEE, cancelled, owner=True, participant=False)
        assert caught.value.code is ErrorCode.CONFLICT


def test_stamps_order_by_time_then_id() -> None:
    """Two things said at the same moment have an order that is the same for everybody."""
    tellings = [telling("event.updated", at=at, number=number, **ONE, title="A") for at in (1, 2) for number in "ab"]
    stamps = [after([told]).stamp(Name.TITLE) for told in tellings]
    assert all(one < other for one, other in pairwise(stamps))
