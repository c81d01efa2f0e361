"""The collection `users`: the people of each tenant, as tokens and other systems name them. Decides nothing."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from shared.contracts.envelope import Actor
from shared.contracts.people import UserView
from shared.mongo import Mongo, Session, readable

NAMES = ("name", "first_name", "last_name", "avatar")
"""What the directory keeps of a user beside their roles."""


class Directory:
    """Reads and writes of one process."""

    def __init__(self, mongo: Mongo) -> None:
        self._users = mongo.collection("users")

    async def people(self, tenant: str, user_ids: Iterable[str], session: Session | None = None) -> dict[str, UserView]:
        """Those of the given users whom the directory knows, by id."""
        keys = [person_id(tenant, user_id) for user_id in dict.fromkeys(user_ids)]
        living = {"_id": {"$in": keys}, "deleted": {"$ne": True}}
        documents = await self._users.find(living, session=session).to_list(None)
        return {person.id: person for person in readable(documents, _person)}

    async def record(self, actor: Actor, now: datetime) -> None:
        """Keep an actor's claims where they say something new. A claim that is absent erases nothing.

        Who is deleted stays so: an old token is no return.
        """
        gone = {"_id": person_id(actor.tenant, actor.id), "deleted": True}
        if await self._users.find_one(gone, {"_id": 1}) is None:
            await self.enter(actor.tenant, actor.id, claims_of(actor), now)

    async def enter(self, tenant: str, user_id: str, entries: Mapping[str, Any], now: datetime) -> None:
        """Set some of what is kept of a user: NAMES (None removes one) and `roles`, a list. Who was deleted is back."""
        key = person_id(tenant, user_id)
        known = await self._users.find_one({"_id": key})
        living = known is not None and not known.get("deleted")
        if known is not None and living and all(known.get(name) == value for name, value in entries.items()):
            return
        entry = {**entries, "tenant": tenant, "user_id": user_id, "updated_at": now}
        await self._users.update_one({"_id": key}, {"$set": entry, "$unset": {"deleted": ""}}, upsert=True)

    async def bury(self, tenant: str, user_id: str, now: datetime) -> None:
        """Forget a user but for the fact that they are no more."""
        entry = {"tenant": tenant, "user_id": user_id, "updated_at": now, "deleted": True}
        forgotten = dict.fromkeys((*NAMES, "roles"), "")
        await self._users.update_one(
            {"_id": person_id(tenant, user_id)}, {"$set": entry, "$unset": forgotten}, upsert=True
        )


def claims_of(actor: Actor) -> dict[str, Any]:
    """What an actor's token says of them."""
    claims: dict[str, Any] = {name: value for name in NAMES if (value := getattr(actor, name)) is not None}
    return claims | ({"roles": list(actor.roles)} if actor.roles else {})


def person_id(tenant: str, user_id: str) -> str:
    """The key of a directory entry. Ids hold no space, so no two pairs share one."""
    return f"{tenant} {user_id}"


def _person(document: Mapping[str, Any]) -> UserView:
    names = {name: document.get(name) for name in NAMES}
    return UserView(id=document["user_id"], roles=tuple(document.get("roles") or ()), **names)
