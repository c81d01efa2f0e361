"""The collections of what other systems have said: `facts` and `participations`. Stores and finds; decides nothing.

A document of facts is *due* until its room follows from it; who brings it in line claims it for a while first.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from services.rooms.integration_facts import Facts, Key, Name, Said, Stamp, members
from services.rooms.integrations import EPOCH, About, Object
from services.rooms.repository import Conflict, entry_document
from shared import ids
from shared.contracts.integration import ParticipationStatus, ParticipationView
from shared.contracts.membership import AuditEntry, External
from shared.mongo import (
    ASCENDING,
    Document,
    IndexModel,
    Mongo,
    PyMongoError,
    ReplaceOne,
    ReturnDocument,
    Session,
    is_conflict,
    is_duplicate,
)

LEASE = timedelta(seconds=10)
"""How long a claim holds: bringing a room in line takes some transactions."""

LONGEST_DELAY = timedelta(minutes=15)
"""Between attempts at a room that cannot be brought in line."""

PAGE = 200


@dataclass(frozen=True, slots=True)
class Stored:
    """The facts about an object as they lie there."""

    object: Object
    facts: Facts
    version: int = 0
    due: bool = False
    """Whether its room may not follow from them yet."""
    failures: int = 0
    settled: Mapping[str, Any] | None = None
    """What its room was last brought in line with."""


class Participation(NamedTuple):
    """A participation, and what it is in."""

    object: Object
    view: ParticipationView


class FactsRepository:
    """Reads and writes of one process."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._facts = mongo.collection("facts")
        self._participations = mongo.collection("participations")
        self._audit = mongo.collection("audit")

    async def prepare(self) -> None:
        """Create the indexes."""
        by_person = IndexModel([("tenant", ASCENDING), ("people", ASCENDING)])
        await self._mongo.ensure_indexes("facts", [IndexModel([("due", ASCENDING)], sparse=True), by_person])
        by_object = [("tenant", ASCENDING), ("kind", ASCENDING), ("of", ASCENDING), ("participation", ASCENDING)]
        await self._mongo.ensure_indexes("participations", [IndexModel(by_object)])

    async def load(self, about: Object) -> Stored:
        """The facts about an object; none where nothing was ever said of it."""
        document = await self._facts.find_one({"_id": about.key})
        return Stored(about, Facts()) if document is None else _stored(document)

    async def save(self, before: Stored, facts: Facts, due: datetime, entry: AuditEntry | None = None) -> None:
        """Write the facts that follow on `before`.

        Args:
            entry: who has said it, where that is somebody here.

        Raises:
            Conflict: where a rival was faster; nothing is written.
        """
        values = _content(before.object, facts) | {"version": before.version + 1, "due": due, "failures": 0}
        said = [
            (key.of, now)
            for key, now in facts.registers.items()
            if key.name is Name.PARTICIPATION and before.facts.registers.get(key) != now
        ]

        async def work(session: Session) -> None:
            await self._write(before, values, session)
            documents = [_participation(before.object, of, now) for of, now in said]
            replacing = [ReplaceOne({"_id": item["_id"]}, item, upsert=True) for item in documents]
            if replacing:
                await self._participations.bulk_write(replacing, session=session)
            if entry is not None:
                await self._audit.insert_one(entry_document(before.object.tenant, entry), session=session)

        try:
            await (self._mongo.transaction(work) if said or entry else self._write(before, values))
        except PyMongoError as error:
            if is_conflict(error) or is_duplicate(error):
                raise Conflict(f"{before.object.key} is being written by another") from error
            raise

    async def _write(self, before: Stored, values: Document, session: Session | None = None) -> None:
        key = before.object.key
        if before.version == 0:
            await self._facts.insert_one({"_id": key, **values}, session=session)
            return
        result = await self._facts.update_one(
            {"_id": key, "version": before.version}, {"$set": values}, session=session
        )
        if not result.matched_count:
            raise Conflict(f"{key} is not at version {before.version} any more")

    # ── what is due ──────────────────────────────────────────────────────────────────────────────────────────────

    async def claim(self, key: str, claimant: str, now: datetime) -> Stored | None:
        """Take a due object for LEASE; None where it is not due, or somebody else has it."""
        free = {"_id": key, "due": {"$exists": True}, "claimed_until": {"$not": {"$gt": now}}}
        claim = {"$set": {"claimant": claimant, "claimed_until": now + LEASE, "due": now + LEASE}}
        found = await self._facts.find_one_and_update(free, claim, return_document=ReturnDocument.AFTER)
        document = cast(Document | None, found)  # its types forget that there may be none
        return None if document is None else _stored(document)

    async def finish(self, claimed: Stored, claimant: str, settled: Mapping[str, Any]) -> bool:
        """Note that the room is in line. False where the facts have changed meanwhile: the claim is given up."""
        mine = {"_id": claimed.object.key, "claimant": claimant}
        done = {
            "$set": {"settled": dict(settled), "failures": 0},
            "$unset": {"due": "", "claimant": "", "claimed_until": ""},
        }
        result = await self._facts.update_one({**mine, "version": claimed.version}, done)
        if result.matched_count:
            return True
        await self._facts.update_one(mine, {"$unset": {"claimant": "", "claimed_until": ""}})
        return False

    async def fail(self, claimed: Stored, claimant: str, now: datetime) -> None:
        """Give a claim up; the object is due again after a while, which grows."""
        delay = min(timedelta(seconds=2**claimed.failures), LONGEST_DELAY)
        mine = {"_id": claimed.object.key, "claimant": claimant}
        given_up = {
            "$set": {"due": now + delay, "failures": min(claimed.failures + 1, 20)},
            "$unset": {"claimant": "", "claimed_until": ""},
        }
        await self._facts.update_one(mine, given_up)

    async def is_due(self, key: str) -> bool:
        """Whether an object's room may not be in line yet."""
        return await self._facts.find_one({"_id": key, "due": {"$exists": True}}, {"_id": 1}) is not None

    async def due(self, now: datetime) -> list[str]:
        """The keys of a page of objects that are due by now, the oldest first."""
        found = self._facts.find({"due": {"$lte": now}}, {"_id": 1}).sort("due", ASCENDING)
        return [document["_id"] for document in await found.to_list(PAGE)]

    async def touch(self, tenant: str, person: str, due: datetime) -> list[str]:
        """Make all objects due that somebody takes part in; their keys."""
        theirs = {"tenant": tenant, "people": person}
        await self._facts.update_many(theirs, {"$inc": {"version": 1}, "$set": {"due": due}})
        return [document["_id"] async for document in self._facts.find(theirs, {"_id": 1})]

    async def gone(self, tenant: str, user_ids: Collection[str]) -> frozenset[str]:
        """Those of the users that are no more."""
        keys = [Object(tenant, About.USER, "user", user_id).key for user_id in user_ids]
        found = self._facts.find({"_id": {"$in": keys}, "deleted": True}, {"id": 1})
        return frozenset([document["id"] async for document in found])

    # ── participations ───────────────────────────────────────────────────────────────────────────────────────────

    async def participation(self, tenant: str, participation_id: str) -> Participation | None:
        """A participation by its id."""
        document = await self._participations.find_one({"_id": _participation_key(tenant, participation_id)})
        return None if document is None else _read_participation(document)

    async def participations(
        self, about: Object, user_id: str | None, after: str | None, limit: int
    ) -> tuple[list[ParticipationView], str | None]:
        """A page of the participations in an object, of one user where that is given, and where the next begins."""
        wanted: Document = {"tenant": about.tenant, "kind": about.kind, "of": about.id}
        if user_id is not None:
            wanted["user_id"] = user_id
        if after is not None:
            wanted["participation"] = {"$gt": after}
        found = await self._participations.find(wanted).sort("participation", ASCENDING).to_list(limit + 1)
        page = [_read_participation(document).view for document in found[:limit]]
        return page, page[-1].id if len(found) > limit else None


def _content(about: Object, facts: Facts) -> Document:
    return {
        **about._asdict(),
        "registers": [
            {"name": key.name.value, "of": key.of, **said.stamp._asdict(), "value": said.value}
            for key, said in facts.registers.items()
        ],
        "arrivals": dict(facts.arrivals),
        "people": sorted(members(facts)),
        "deleted": facts.deleted,
    }


def _stored(document: Document) -> Stored:
    registers = {
        Key(Name(item["name"]), item["of"]): Said(Stamp(item["time"], item["rank"], item["id"]), item["value"])
        for item in document["registers"]
    }
    return Stored(
        object=Object(document["tenant"], About(document["about"]), document["kind"], document["id"]),
        facts=Facts(registers, document["arrivals"]),
        version=document["version"],
        due="due" in document,
        failures=document["failures"],
        settled=document.get("settled"),
    )


def _participation_key(tenant: str, participation_id: str) -> str:
    return f"{tenant} {participation_id}"


def _participation(about: Object, of: str, said: Said) -> Document:
    return {
        "_id": _participation_key(about.tenant, of),
        "tenant": about.tenant,
        "kind": about.kind,
        "of": about.id,
        "participation": of,
        "user_id": said.value["user_id"],
        "status": said.value["status"],
        "updated_at": moment(said.stamp),
    }


def moment(stamp: Stamp) -> datetime:
    """A stamp's time in whole milliseconds, as the database keeps it."""
    return EPOCH + timedelta(milliseconds=stamp.time // 1000)


def _read_participation(document: Document) -> Participation:
    external = External(kind=document["kind"], id=document["of"])
    view = ParticipationView(
        id=document["participation"],
        room_id=ids.external_room_id(document["tenant"], external.kind, external.id),
        external=external,
        user_id=document["user_id"],
        status=ParticipationStatus(document["status"]),
        updated_at=document["updated_at"].astimezone(UTC),
    )
    return Participation(Object(document["tenant"], About.EXTERNAL, external.kind, external.id), view)
