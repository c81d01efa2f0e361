"""Judges a run by what the clients saw and what the database holds. Pure, and knows nothing of how Parley works.

Each rule states a promise and returns the ways in which it was broken, as sentences that name room, message and client.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.record import DELETE, EDIT, REACT, SEND, UNREACT, Answered, Asked, ClientLog, Stored, Told, Written

CREATED = "message.created"
AFRESH = frozenset({"reset", "room.reset", "room.gone"})
REFUSALS = frozenset({"conflict", "not_found", "forbidden", "invalid"})
"""Errors that say that a request had no effect; the others leave it open."""

SAME_FOR_ALL_ACKS = ("message_id", "seq", "rev", "created_at")


@dataclass(frozen=True, slots=True)
class _Request:
    """A request with its answer, where one came."""

    user: str
    asked: Asked
    answer: Answered | None

    @property
    def acked(self) -> bool:
        return self.answer is not None and not self.answer.error

    @property
    def refused(self) -> bool:
        """Whether the answer says that it had no effect."""
        return self.answer is not None and self.answer.error in REFUSALS


@dataclass(slots=True)
class _Run:
    """Everything that is known, indexed."""

    logs: Sequence[ClientLog]
    stored: Sequence[Stored]
    written: Sequence[Written]
    by_id: dict[str, Stored] = field(default_factory=dict)
    sends: dict[tuple[str, str], list[_Request]] = field(default_factory=lambda: defaultdict(list))
    changes: dict[str, list[_Request]] = field(default_factory=lambda: defaultdict(list))


def check(logs: Sequence[ClientLog], stored: Sequence[Stored], written: Sequence[Written]) -> list[str]:
    """Every broken promise, in words; empty where all hold.

    Args:
        logs: of all clients of the rooms, connected from before the first message to the end.
        stored: all messages of those rooms.
        written: every change of them, in the order in which the database made it.
    """
    run = _Run(logs, stored, written, {message.id: message for message in stored})
    for log in logs:
        answers = {entry.number: entry for entry in log.entries if isinstance(entry, Answered)}
        for asked in (entry for entry in log.entries if isinstance(entry, Asked)):
            request = _Request(log.user, asked, answers.get(asked.number))
            if asked.kind == SEND:
                run.sends[log.user, asked.target].append(request)
            else:
                run.changes[asked.target].append(request)
    rules = (
        _dense,
        _unique,
        _written_in_order,
        _nothing_foreign,
        _acks_hold,
        _acks_agree,
        _changes_hold,
        _told_in_order,
        _told_all,
    )
    return [broken for rule in rules for broken in rule(run)]


def given_up(logs: Sequence[ClientLog]) -> list[str]:
    """Requests whose client gave up: no promise broken, but nothing proven either."""
    return [
        f"{log.user} gave up request {entry.number}: {entry.error}"
        for log in logs
        for entry in log.entries
        if isinstance(entry, Answered) and entry.error and entry.error not in REFUSALS
    ]


# ── the database by itself ───────────────────────────────────────────────────────────────────────────────────────


def _dense(run: _Run) -> Iterator[str]:
    for room_id, messages in _by_room(run.stored).items():
        seqs = [message.seq for message in messages]
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"room {room_id}: the stored seq are not 1..{len(seqs)}: {_strange(seqs)}"


def _unique(run: _Run) -> Iterator[str]:
    keys = {
        "rev": ((message.room_id, message.rev) for message in run.stored),
        "message id": (message.id for message in run.stored),
        "message of a client_id": ((message.room_id, message.sender, message.client_id) for message in run.stored),
    }
    for what, values in keys.items():
        for value, count in Counter[Any](values).items():
            if count > 1:
                yield f"{what} {value} is stored {count} times"


def _written_in_order(run: _Run) -> Iterator[str]:
    """Who has seen a `rev` has seen all before it: no later one may be stored first, and none left out."""
    revs: dict[str, list[int]] = defaultdict(list)
    standing: dict[str, tuple[int, str]] = {}
    for change in run.written:
        # A message written as it stands has only got to know of a request that had nothing to change.
        if standing.get(change.id) != (change.rev, change.state):
            revs[change.room_id].append(change.rev)
        standing[change.id] = (change.rev, change.state)
    for room_id, order in revs.items():
        at = next((place for place, rev in enumerate(order, start=1) if rev != place), None)
        if at is not None:
            around = order[max(0, at - 4) : at + 4]
            yield f"room {room_id}: change {at} was stored as rev {order[at - 1]}, among {around}"


def _nothing_foreign(run: _Run) -> Iterator[str]:
    for message in run.stored:
        sends = run.sends.get((message.sender, message.client_id), [])
        contents = {request.asked.value for request in sends if request.asked.room_id == message.room_id}
        changes = run.changes.get(message.id, [])
        contents |= {request.asked.value for request in changes if request.asked.kind == EDIT}
        if not sends:
            yield f"message {message.id} (seq {message.seq} of {message.room_id}) was never sent"
        elif message.deleted:
            if all(request.asked.kind != DELETE for request in changes):
                yield f"message {message.id} was deleted, but nobody asked for it"
        elif message.content not in contents:
            yield f"message {message.id} says {message.content!r}, which nobody wrote: {sorted(contents)}"


# ── answers against the database ─────────────────────────────────────────────────────────────────────────────────


def _acks_hold(run: _Run) -> Iterator[str]:
    for (user, client_id), requests in run.sends.items():
        for request in requests:
            if not request.acked or request.answer is None:
                continue
            ack = request.answer.result
            message = run.by_id.get(ack["message_id"])
            if message is None:
                yield f"lost: {user}'s {client_id} was acked as {ack['message_id']} and is not stored"
                continue
            said = (ack["seq"], ack["rev"], ack["created_at"], request.asked.room_id, user, client_id)
            holds = (message.seq, message.born, message.created_at, message.room_id, message.sender, message.client_id)
            if said != holds:
                yield f"{user}'s {client_id} was acked as {said}, stored is {holds}"


def _acks_agree(run: _Run) -> Iterator[str]:
    for (user, client_id), requests in run.sends.items():
        acks = {
            tuple(request.answer.result[name] for name in SAME_FOR_ALL_ACKS)
            for request in requests
            if request.acked and request.answer is not None
        }
        if len(acks) > 1:
            yield f"{user}'s {client_id} got different acks: {sorted(acks)}"


def _changes_hold(run: _Run) -> Iterator[str]:
    """What was acked last holds, unless something asked later, and never answered, has changed it."""
    for message in run.stored:
        changes = [request for request in run.changes.get(message.id, []) if not request.refused]
        text = [request for request in changes if request.asked.kind in {EDIT, DELETE}]
        state = None if message.deleted else message.content
        possible = _possible(text, lambda asked: None if asked.kind == DELETE else asked.value)
        if possible and state not in possible:
            yield f"message {message.id} ended as {state!r}; the acked changes leave {possible}"
        if message.deleted:
            continue  # its reactions went with it
        reactions = [request for request in changes if request.asked.kind in {REACT, UNREACT}]
        for user, emoji in {(request.user, request.asked.value) for request in reactions}:
            own = [request for request in reactions if (request.user, request.asked.value) == (user, emoji)]
            chosen = user in message.users.get(emoji, ())
            possible = _possible(own, lambda asked: asked.kind == REACT)
            if possible and chosen not in possible:
                yield f"message {message.id}: {user}'s {emoji} ended as {chosen}; the acked changes leave {possible}"


def _possible(requests: Sequence[_Request], effect: Any) -> list[Any]:
    """The states that requests made one after the other may leave; empty where none of them need have happened."""
    states: list[Any] = []
    for request in sorted(requests, key=lambda request: request.asked.at):
        if request.acked:
            states = [effect(request.asked)]
        elif states:
            states.append(effect(request.asked))
    return states


# ── what clients were told ───────────────────────────────────────────────────────────────────────────────────────


def _told_in_order(run: _Run) -> Iterator[str]:
    rooms = _by_room(run.stored)
    for log in run.logs:
        told: dict[str, list[tuple[int, str]]] = defaultdict(list)
        known: set[str] = set()
        for entry in _timeline(log):
            message = entry.message
            if message is None:
                yield f"{log.user} was told to start {entry.room_id} afresh ({entry.type}: {entry.detail})"
            elif entry.room_id not in log.rooms:
                yield f"{log.user} was told of {message['id']} in {entry.room_id}, where they are no member"
            elif entry.type == CREATED:
                told[entry.room_id].append((message["seq"], message["id"]))
                known.add(message["id"])
            elif message["id"] not in known:
                yield f"{log.user} was told of a change of {message['id']} before they were told of the message"
        for room_id in sorted(log.rooms):
            expected = [(message.seq, message.id) for message in rooms.get(room_id, [])]
            if told[room_id] != expected:
                yield f"{log.user} in {room_id}: {_difference(expected, told[room_id])}"


def _told_all(run: _Run) -> Iterator[str]:
    """State by state: what a client shows at the end is what is stored."""
    for log in run.logs:
        shown: dict[str, Mapping[str, Any]] = {}
        for entry in _timeline(log):
            view = entry.message
            if view is not None and view["rev"] >= shown.get(view["id"], {"rev": 0})["rev"]:
                shown[view["id"]] = view
        for message in run.stored:
            if message.room_id not in log.rooms or message.id not in shown:
                continue  # the missing are the other rule's
            view = shown[message.id]
            users = {item["emoji"]: tuple(item["users"]) for item in view.get("reactions", ())}
            seen = (view["rev"], view["content"], view.get("deleted_at") is not None, users)
            holds = (message.rev, message.content, message.deleted, dict(message.users))
            if seen != holds:
                yield f"{log.user} shows {message.id} (seq {message.seq} of {message.room_id}) as {seen}, not {holds}"


def _timeline(log: ClientLog) -> Iterator[Told]:
    """What changes a client's picture of its rooms."""
    for entry in log.entries:
        if isinstance(entry, Told) and (entry.message is not None or entry.type in AFRESH):
            yield entry


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_room(stored: Iterable[Stored]) -> dict[str, list[Stored]]:
    rooms: dict[str, list[Stored]] = defaultdict(list)
    for message in sorted(stored, key=lambda message: message.seq):
        rooms[message.room_id].append(message)
    return rooms


def _strange(seqs: Sequence[int]) -> str:
    missing = sorted(set(range(1, max(seqs, default=0) + 1)) - set(seqs))
    twice = sorted(seq for seq, count in Counter(seqs).items() if count > 1)
    return f"missing {missing[:10]}, twice {twice[:10]}"


def _difference(expected: Sequence[tuple[int, str]], told: Sequence[tuple[int, str]]) -> str:
    was_told, is_stored = set(told), set(expected)
    missing = [item for item in expected if item not in was_told]
    foreign = [item for item in told if item not in is_stored]
    twice = [item for item, count in Counter(told).items() if count > 1]
    parts = {"never told": missing, "told, but not stored": foreign, "told twice": twice}
    found = [f"{what} {items[:5]} ({len(items)})" for what, items in parts.items() if items]
    at = next((place for place, (one, two) in enumerate(zip(expected, told, strict=False)) if one != two), None)
    if at is not None and not found:
        found = [f"told in another order: at {at + 1} {told[at]} instead of {expected[at]}"]
    return "; ".join(found)
