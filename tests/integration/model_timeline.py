"""What was said in a room, in its plainest form. Rights are the room's business (model_world.py)."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.errors import ErrorCode

OK = None
Outcome = ErrorCode | None
JSON = dict[str, Any]
QUOTED = 200


@dataclass(eq=False)
class Message:
    """A message as it stands, and the `rev` of its latest change."""

    id: str
    seq: int
    rev: int
    sender: str
    content: str
    reply_to: "Message | None" = None
    mentions: list[str] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    revisions: list[str] = field(default_factory=list)
    deleted: bool = False

    def shown(self) -> JSON:
        """What readers see of it, a reply with what it answers as that is now."""
        view: JSON = {
            "id": self.id,
            "seq": self.seq,
            "rev": self.rev,
            "sender": self.sender,
            "content": self.content,
            "mentions": list(self.mentions),
            "reactions": [(emoji, list(users)) for emoji, users in self.reactions.items()],
            "deleted": self.deleted,
            "edited": bool(self.revisions),
            "quote": None,
        }
        if self.reply_to is not None:
            quoted = self.reply_to
            view["quote"] = (quoted.id, quoted.seq, quoted.sender, quoted.content[:QUOTED], quoted.deleted)
        return view


@dataclass
class Timeline:
    """A room's messages, what was cleared of them, and everybody's marks.

    `told` is what everybody who follows the room has to be told: the `rev`, the kind, and the message or the place.
    """

    messages: list[Message] = field(default_factory=list)
    rev: int = 0
    cleared: int = 0
    read: dict[str, int] = field(default_factory=dict)
    delivered: dict[str, int] = field(default_factory=dict)
    unread_from: dict[str, int] = field(default_factory=dict)
    told: list[tuple[int, str, Any]] = field(default_factory=list)

    @property
    def seq(self) -> int:
        """The last message's place."""
        return len(self.messages)

    @property
    def living(self) -> list[Message]:
        """What has not been cleared."""
        return self.messages[self.cleared :]

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    def may_answer(self, target: Message) -> Outcome:
        """What is there in this room and says something."""
        if target not in self.living:
            return ErrorCode.INVALID
        return ErrorCode.CONFLICT if target.deleted else OK

    def send(
        self, user_id: str, message_id: str, content: str, answered: Message | None, mentions: list[str]
    ) -> Message:
        """A message was written; writing is reading."""
        message = Message(message_id, self.seq + 1, 0, user_id, content, answered, mentions)
        self.messages.append(message)
        self.read[user_id] = self.delivered[user_id] = message.seq
        self._changed("message.created", message)
        return message

    def edit(self, message: Message, content: str, mentions: list[str]) -> Outcome:
        """What was said before is kept; saying the same is no edit."""
        if message not in self.living:
            return ErrorCode.NOT_FOUND
        if message.deleted:
            return ErrorCode.CONFLICT
        if content != message.content:
            message.revisions.append(message.content)
            message.content, message.mentions = content, mentions
            self._changed("message.updated", message)
        return OK

    def remove(self, message: Message) -> Outcome:
        """It keeps its place, and has nothing to say any more."""
        if message not in self.living:
            return ErrorCode.NOT_FOUND
        if not message.deleted:
            message.deleted = True
            message.content, message.reply_to = "", None
            message.mentions, message.reactions, message.revisions = [], {}, []
            self._changed("message.deleted", message)
        return OK

    def react(self, user_id: str, message: Message, emoji: str) -> Outcome:
        """Once per user and emoji."""
        if message not in self.living:
            return ErrorCode.NOT_FOUND
        if message.deleted:
            return ErrorCode.CONFLICT
        users = message.reactions.setdefault(emoji, [])
        if user_id not in users:
            users.append(user_id)
            self._changed("message.reacted", message)
        return OK

    def unreact(self, user_id: str, message: Message, emoji: str) -> Outcome:
        """Take one's own back."""
        if message not in self.living:
            return ErrorCode.NOT_FOUND
        users = message.reactions.get(emoji, [])
        if user_id in users:
            users.remove(user_id)
            if not users:
                del message.reactions[emoji]
            self._changed("message.reacted", message)
        return OK

    def clear(self) -> None:
        """Everything there is, in one change."""
        if self.cleared < self.seq:
            self.cleared = self.seq
            self._changed("timeline.cleared", None)

    def _changed(self, kind: str, message: Message | None) -> None:
        self.rev += 1
        if message is None:
            self.told.append((self.rev, kind, self.seq))
        else:
            message.rev = self.rev
            self.told.append((self.rev, kind, message.shown()))

    # ── marks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def mark_read(self, user_id: str, seq: int) -> None:
        """Forward only, and never beyond the last message; what is read was delivered."""
        self.read[user_id] = max(self.read.get(user_id, 0), min(seq, self.seq))
        self.mark_delivered(user_id, self.read[user_id])
        self.unread_from.pop(user_id, None)

    def mark_delivered(self, user_id: str, seq: int) -> None:
        """Likewise."""
        self.delivered[user_id] = max(self.delivered.get(user_id, 0), min(seq, self.seq))

    def mark_unread(self, user_id: str, seq: int) -> None:
        """From there on, to oneself, until the next time one reads."""
        self.unread_from[user_id] = seq

    def unread(self, user_id: str) -> list[Message]:
        """What a user has yet to read: what comes after their mark, or after where they have put it back to."""
        first = min(self.read.get(user_id, 0) + 1, self.unread_from.get(user_id, self.seq + 1))
        return [message for message in self.living if message.seq >= first]

    def mentioned(self, user_id: str) -> int:
        """How many of those name the user."""
        return sum(user_id in message.mentions for message in self.unread(user_id))


def mentions_in(content: str, named: list[str], members: Collection[str], sender: str) -> list[str]:
    """Those named, then those the words of the content begin with `@`: members, each once, never the sender."""
    spelled = [word[1:] for word in content.split() if word.startswith("@")]
    return [user_id for user_id in dict.fromkeys([*named, *spelled]) if user_id in members and user_id != sender]
