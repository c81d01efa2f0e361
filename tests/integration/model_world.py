"""The domain in its plainest form: rooms, members, messages and marks as dicts and lists, one command after the other.

Written from the documentation, owing nothing to the services' code: no table of rights, no batches, no retries. Every
method says what the command must be answered with, `OK` or an error code, and changes the model where it is OK.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.contracts.errors import ErrorCode
from tests.integration.model_timeline import Message, Timeline

OK = None
Outcome = ErrorCode | None

RANK = {"owner": 3, "admin": 2, "member": 1, "read_only": 0}
WRITERS = {"owner", "admin", "member"}
MODERATORS = {"owner", "admin"}


@dataclass(frozen=True)
class User:
    """Somebody with a token: `office` is their role in the whole tenant, `admin` or `assistant` or none."""

    id: str
    tenant: str
    office: str | None = None


@dataclass
class Member:
    """A user in a room. `since` numbers the changes of the room: who came with an earlier one is longer there."""

    role: str
    since: int
    muted: bool = False


@dataclass
class Room:
    """A room with its members and its timeline. `told` is what its members have to be told of it, in order."""

    id: str
    tenant: str
    kind: str
    members: dict[str, Member]
    name: str | None = None
    closed: bool = False
    deleted: bool = False
    version: int = 1
    timeline: Timeline = field(default_factory=Timeline)
    past: list[Timeline] = field(default_factory=list)
    told: list[tuple[int, str, str | None]] = field(default_factory=lambda: [(1, "room.created", None)])

    # ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────

    def role(self, user: User) -> str | None:
        """A member's; nobody else has one, and nobody of another tenant is a member."""
        member = self.members.get(user.id) if user.tenant == self.tenant else None
        return None if member is None else member.role

    def assisted(self, user: User) -> bool:
        """Assistants enter the sessions of their tenant."""
        return user.office == "assistant" and self.kind == "session"

    def visible(self, user: User, *, allowed: bool) -> Outcome:
        """What there is not, or not in one's tenant, is not found; the rest is a matter of rights."""
        if self.deleted or user.tenant != self.tenant:
            return ErrorCode.NOT_FOUND
        return OK if allowed else ErrorCode.FORBIDDEN

    def may_read(self, user: User) -> Outcome:
        """Members, admins of the tenant, and assistants in sessions."""
        allowed = self.role(user) is not None or user.office == "admin" or self.assisted(user)
        return self.visible(user, allowed=allowed)

    def may_mark(self, user: User) -> Outcome:
        """Members have marks, nobody else."""
        return self.visible(user, allowed=self.role(user) is not None)

    def may_talk(self, user: User) -> Outcome:
        """Members who are more than readers and not muted, and assistants in sessions, until the room is closed."""
        muted = user.id in self.members and self.members[user.id].muted
        allowed = self.role(user) in WRITERS or self.assisted(user)
        return self.visible(user, allowed=allowed and not muted and not self.closed)

    def may_moderate(self, user: User) -> Outcome:
        """Owners and admins of a room that is not a pair's, and admins of the tenant."""
        inside = self.kind != "direct" and self.role(user) in MODERATORS
        return self.visible(user, allowed=inside or user.office == "admin")

    def may_own(self, user: User) -> Outcome:
        """Owners of a room that is not a pair's, and admins of the tenant."""
        inside = self.kind != "direct" and self.role(user) == "owner"
        return self.visible(user, allowed=inside or user.office == "admin")

    def may_govern(self, user: User, roles: set[str]) -> Outcome:
        """Only groups are governed from within; all rooms are by admins of the tenant."""
        inside = self.kind == "group" and self.role(user) in roles
        return self.visible(user, allowed=inside or user.office == "admin")

    def may_administer(self, user: User) -> Outcome:
        """Whoever deals in a group's members."""
        return self.may_govern(user, MODERATORS)

    def may_edit(self, user: User, message: Message) -> Outcome:
        """One's own while one may talk, and in sessions the owner everything."""
        if message.sender == user.id or (self.kind == "session" and self.role(user) == "owner"):
            return self.may_talk(user)
        return self.visible(user, allowed=False)

    def may_remove(self, user: User, message: Message) -> Outcome:
        """Writers their own, moderators everything, in closed rooms, too."""
        own = message.sender == user.id and (self.role(user) in WRITERS or self.assisted(user))
        return self.visible(user, allowed=own or self.may_moderate(user) is OK)

    def may_see_revisions(self, user: User, message: Message) -> Outcome:
        """Who wrote the message and may still read it, and who moderates."""
        return self.may_read(user) if message.sender == user.id else self.may_moderate(user)

    def outranks(self, user: User, role: str) -> bool:
        """Owners outrank everybody, others those below."""
        own = self.role(user)
        return user.office == "admin" or own == "owner" or (own is not None and RANK[own] > RANK[role])

    def owners(self) -> list[str]:
        """Who owns the room."""
        return [user_id for user_id, member in self.members.items() if member.role == "owner"]

    # ── the room ─────────────────────────────────────────────────────────────────────────────────────────────────

    def rename(self, user: User, name: str) -> Outcome:
        """In groups moderators, in sessions the owner."""
        outcome = self.may_own(user) if self.kind == "session" else self.may_govern(user, MODERATORS)
        if outcome is OK and name != self.name:
            self.name = name
            self._changed(("room.updated", None))
        return outcome

    def close(self, user: User, *, closed: bool) -> Outcome:
        """Owners."""
        outcome = self.may_own(user)
        if outcome is OK and closed != self.closed:
            self.closed = closed
            self._changed(("room.updated", None))
        return outcome

    def end(self, user: User) -> Outcome:
        """Owners."""
        outcome = self.may_own(user)
        if outcome is OK:
            self._end()
        return outcome

    def revive(self, members: dict[str, str]) -> None:
        """A pair's room was deleted and made again: the same id, and nothing of what was there."""
        self.deleted = self.closed = False
        self.name = None
        self.past.append(self.timeline)
        self.timeline = Timeline()
        self.members = {user_id: Member(role, self.version + 1) for user_id, role in members.items()}
        self._changed(("room.created", None))

    # ── members ──────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, user: User, other: str, role: str) -> Outcome:
        """With a role that one outranks; a member stays as they are, and a pair stays a pair."""
        outcome = self.may_govern(user, MODERATORS)
        if outcome is not OK or other in self.members:
            return outcome
        if self.kind == "direct":
            return ErrorCode.CONFLICT
        if not self.outranks(user, role):
            return ErrorCode.FORBIDDEN
        self.members[other] = Member(role, self.version + 1)
        self._changed(("member.added", other))
        return OK

    def expel(self, user: User, other: str) -> Outcome:
        """Whom one outranks, but never the last owner of a group, nor one of a pair."""
        outcome = self.may_govern(user, MODERATORS)
        if outcome is not OK:
            return outcome
        if other not in self.members:
            return ErrorCode.NOT_FOUND
        if self.kind == "direct":
            return ErrorCode.CONFLICT
        if not self.outranks(user, self.members[other].role):
            return ErrorCode.FORBIDDEN
        if self._last_owner(other):
            return ErrorCode.CONFLICT
        del self.members[other]
        self._changed(("member.removed", other))
        return OK

    def set_role(self, user: User, other: str, role: str) -> Outcome:
        """Owners; one owner of a group stays."""
        outcome = self.may_govern(user, {"owner"})
        if outcome is not OK:
            return outcome
        if other not in self.members:
            return ErrorCode.NOT_FOUND
        member = self.members[other]
        if role == member.role:
            return OK
        if self._last_owner(other):
            return ErrorCode.CONFLICT
        member.role = role
        self._changed(("member.updated", other))
        return OK

    def mute(self, user: User, other: str, *, muted: bool) -> Outcome:
        """Whom one outranks."""
        outcome = self.may_govern(user, MODERATORS)
        if outcome is not OK:
            return outcome
        if other not in self.members:
            return ErrorCode.NOT_FOUND
        member = self.members[other]
        if not self.outranks(user, member.role):
            return ErrorCode.FORBIDDEN
        if muted != member.muted:
            member.muted = muted
            self._changed(("member.updated", other))
        return OK

    def set_members(self, user: User, wanted: Mapping[str, str]) -> Outcome:
        """Owners; a group keeps one, and who stays has been there all the time, and stays muted."""
        outcome = self.may_govern(user, {"owner"})
        if outcome is not OK:
            return outcome
        if self.kind == "direct" or (self.kind == "group" and "owner" not in wanted.values()):
            return ErrorCode.CONFLICT
        joined = [("member.added", user_id) for user_id in wanted if user_id not in self.members]
        left = [("member.removed", user_id) for user_id in sorted(self.members.keys() - wanted.keys())]
        changed = [
            ("member.updated", user_id)
            for user_id, member in sorted(self.members.items())
            if user_id in wanted and wanted[user_id] != member.role
        ]
        self.members = {
            user_id: Member(role, self.version + 1)
            if user_id not in self.members
            else Member(role, self.members[user_id].since, self.members[user_id].muted)
            for user_id, role in wanted.items()
        }
        if joined or changed or left:
            self._changed(*joined, *changed, *left)
        return OK

    def leave(self, user: User) -> Outcome:
        """Whoever is in a group; the next in line takes over, and an empty group ends."""
        outcome = self.visible(user, allowed=self.kind == "group" and self.role(user) is not None)
        if outcome is not OK:
            return outcome
        others = {user_id: member for user_id, member in self.members.items() if user_id != user.id}
        if not others:
            self._end()
            return OK
        heir = []
        if self._last_owner(user.id):
            # Of the highest role the longest-standing; of those who came together, the first by name.
            first = min(others, key=lambda it: (-RANK[others[it].role], others[it].since, it))
            others[first].role = "owner"
            heir = [("member.updated", first)]
        self.members = others
        self._changed(*heir, ("member.removed", user.id))
        return OK

    def _last_owner(self, user_id: str) -> bool:
        return self.kind == "group" and self.owners() == [user_id]

    def _end(self) -> None:
        self.deleted = True
        self.members = {}
        self._changed(("room.deleted", None))

    def _changed(self, *told: tuple[str, str | None]) -> None:
        self.version += 1
        self.told += [(self.version, kind, user_id) for kind, user_id in told]
