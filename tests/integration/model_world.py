"""The domain in its plainest form: rooms, members, messages and marks as dicts and lists, one command after the other.

Written from the documentation, owing nothing to the services' code: no table of rights, no batches, no retries. Every
method says what the command must be answered with, `OK` or an error code, and changes the model where it is OK.
"""

from dataclasses import dataclass, field

from shared.contracts.errors import ErrorCode

OK = None
Outcome = ErrorCode | None

RANK = {"owner": 3, "admin": 2, "member": 1, "read_only": 0}
WRITERS = {"owner", "admin", "member"}
MODERATORS = {"owner", "admin"}


@dataclass
class Message:
    """A message as it stands."""

    id: str
    seq: int
    sender: str
    content: str
    reply_to: str | None = None
    mentions: set[str] = field(default_factory=set)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    edits: list[str] = field(default_factory=list)
    deleted: bool = False

    def end(self) -> None:
        """It has nothing to say any more."""
        self.deleted = True
        self.content, self.reply_to, self.mentions, self.reactions, self.edits = "", None, set(), {}, []


@dataclass
class Room:
    """A room with its members in the order they came, and its timeline."""

    id: str
    kind: str
    members: dict[str, str]
    muted: set[str] = field(default_factory=set)
    closed: bool = False
    deleted: bool = False
    messages: list[Message] = field(default_factory=list)
    cleared: int = 0
    changes: int = 0
    read: dict[str, int] = field(default_factory=dict)
    unread_from: dict[str, int] = field(default_factory=dict)

    @property
    def seq(self) -> int:
        """The last message's place."""
        return len(self.messages)

    @property
    def living(self) -> list[Message]:
        """What has not been cleared."""
        return self.messages[self.cleared :]

    def find(self, message_id: str) -> Message | None:
        """A message that has not been cleared."""
        return next((message for message in self.living if message.id == message_id), None)

    def owners(self) -> list[str]:
        """Who owns the room."""
        return [user for user, role in self.members.items() if role == "owner"]

    def unread(self, user: str) -> range:
        """The places of what a user has yet to read."""
        first = max(self.read.get(user, 0), self.cleared) + 1
        if user in self.unread_from:
            first = max(min(first, self.unread_from[user]), self.cleared + 1)
        return range(first, self.seq + 1)

    def mentioned(self, user: str) -> int:
        """How many of those name the user."""
        return sum(user in self.messages[seq - 1].mentions for seq in self.unread(user))

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    def may_talk(self, user: str) -> Outcome:
        """Members who are more than readers, not muted, in a room that is not over."""
        if self.deleted:
            return ErrorCode.NOT_FOUND
        talks = self.members.get(user) in WRITERS and user not in self.muted and not self.closed
        return OK if talks else ErrorCode.FORBIDDEN

    def may_read(self, user: str) -> Outcome:
        """Members."""
        if self.deleted:
            return ErrorCode.NOT_FOUND
        return OK if user in self.members else ErrorCode.FORBIDDEN

    def send(self, user: str, message_id: str, content: str, reply_to: str | None, named: set[str]) -> None:
        """A message was written; writing is reading."""
        mentions = named & self.members.keys()
        self.messages.append(Message(message_id, self.seq + 1, user, content, reply_to, mentions))
        self.changes += 1
        self.read[user] = self.seq

    def may_reply(self, user: str, target: str | None) -> Outcome:
        """To what is there and says something."""
        outcome = self.may_talk(user)
        if outcome is OK and target is not None:
            quoted = self.find(target)
            if quoted is None:
                return ErrorCode.INVALID
            return ErrorCode.CONFLICT if quoted.deleted else OK
        return outcome

    def edit(self, user: str, message: Message, content: str) -> Outcome:
        """One's own only."""
        outcome = self.may_talk(user) if message.sender == user else (self.may_read(user) or ErrorCode.FORBIDDEN)
        if outcome is not OK:
            return outcome
        if message.deleted:
            return ErrorCode.CONFLICT
        if content != message.content:
            message.edits.append(message.content)
            message.content, message.mentions = content, set()
            self.changes += 1
        return OK

    def remove(self, user: str, message: Message) -> Outcome:
        """Writers their own; in groups, moderators everybody's."""
        if self.deleted:
            return ErrorCode.NOT_FOUND
        role = self.members.get(user)
        own = message.sender == user and role in WRITERS
        if not own and not (message.sender != user and self.kind == "group" and role in MODERATORS):
            return ErrorCode.FORBIDDEN
        if not message.deleted:
            message.end()
            self.changes += 1
        return OK

    def react(self, user: str, message: Message, emoji: str) -> Outcome:
        """Once per user and emoji."""
        outcome = self.may_talk(user)
        if outcome is not OK:
            return outcome
        if message.deleted:
            return ErrorCode.CONFLICT
        if user not in message.reactions.setdefault(emoji, []):
            message.reactions[emoji].append(user)
            self.changes += 1
        return OK

    def unreact(self, user: str, message: Message, emoji: str) -> Outcome:
        """Take one's own back."""
        outcome = self.may_talk(user)
        if outcome is OK and user in message.reactions.get(emoji, []):
            message.reactions[emoji].remove(user)
            if not message.reactions[emoji]:
                del message.reactions[emoji]
            self.changes += 1
        return outcome

    def mark_read(self, user: str, seq: int) -> Outcome:
        """Forward only, and never beyond the last message."""
        outcome = self.may_read(user)
        if outcome is OK:
            self.read[user] = max(self.read.get(user, 0), min(seq, self.seq))
            self.unread_from.pop(user, None)
        return outcome

    def mark_unread(self, user: str, seq: int) -> Outcome:
        """From there on, to oneself."""
        outcome = self.may_read(user)
        if outcome is OK:
            self.unread_from[user] = seq
        return outcome

    def clear(self, user: str) -> Outcome:
        """Owners of groups."""
        outcome = self.may_govern(user, {"owner"})
        if outcome is OK and self.cleared < self.seq:
            for message in self.messages:
                message.end()
            self.cleared = self.seq
            self.changes += 1
        return outcome

    # ── members ──────────────────────────────────────────────────────────────────────────────────────────────────

    def may_govern(self, user: str, roles: set[str]) -> Outcome:
        """Only groups are governed from within."""
        if self.deleted:
            return ErrorCode.NOT_FOUND
        governs = self.kind == "group" and self.members.get(user) in roles
        return OK if governs else ErrorCode.FORBIDDEN

    def outranks(self, user: str, role: str) -> bool:
        """Owners outrank everybody, others those below."""
        own = self.members[user]
        return own == "owner" or RANK[own] > RANK[role]

    def add(self, user: str, other: str, role: str) -> Outcome:
        """Whom one outranks."""
        outcome = self.may_govern(user, MODERATORS)
        if outcome is not OK or other in self.members:
            return outcome
        if not self.outranks(user, role):
            return ErrorCode.FORBIDDEN
        self.members[other] = role
        return OK

    def expel(self, user: str, other: str) -> Outcome:
        """Whom one outranks, but never the last owner."""
        outcome = self.may_govern(user, MODERATORS)
        if outcome is not OK:
            return outcome
        if other not in self.members:
            return ErrorCode.NOT_FOUND
        if not self.outranks(user, self.members[other]):
            return ErrorCode.FORBIDDEN
        if self.owners() == [other]:
            return ErrorCode.CONFLICT
        self._part(other)
        return OK

    def set_role(self, user: str, other: str, role: str) -> Outcome:
        """Owners; one owner stays."""
        outcome = self.may_govern(user, {"owner"})
        if outcome is not OK:
            return outcome
        if other not in self.members:
            return ErrorCode.NOT_FOUND
        if role != self.members[other] and self.owners() == [other]:
            return ErrorCode.CONFLICT
        self.members[other] = role
        return OK

    def mute(self, user: str, other: str, *, muted: bool) -> Outcome:
        """Whom one outranks."""
        outcome = self.may_govern(user, MODERATORS)
        if outcome is not OK:
            return outcome
        if other not in self.members:
            return ErrorCode.NOT_FOUND
        if not self.outranks(user, self.members[other]):
            return ErrorCode.FORBIDDEN
        (self.muted.add if muted else self.muted.discard)(other)
        return OK

    def close(self, user: str, *, closed: bool) -> Outcome:
        """Owners."""
        outcome = self.may_govern(user, {"owner"})
        if outcome is OK:
            self.closed = closed
        return outcome

    def leave(self, user: str) -> Outcome:
        """Whoever is in a group; the next in line takes over, and an empty group ends."""
        outcome = self.may_govern(user, set(RANK))
        if outcome is not OK:
            return outcome
        if self.owners() == [user] and len(self.members) > 1:
            others = [other for other in self.members if other != user]
            heir = max(others, key=lambda other: RANK[self.members[other]])  # the first among equals: they came first
            self.members[heir] = "owner"
        self._part(user)
        self.deleted = not self.members
        return OK

    def end(self, user: str) -> Outcome:
        """Owners of groups."""
        outcome = self.may_govern(user, {"owner"})
        if outcome is OK:
            self.deleted = True
        return outcome

    def _part(self, user: str) -> None:
        del self.members[user]
        self.muted.discard(user)
