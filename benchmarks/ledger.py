"""What was sent, acked and delivered, and whether it adds up.

Pure bookkeeping: no socket, no clock. The clients report what they see; at the end of a run `Room.audit`
compares it. Nothing here may be sampled or skipped: a benchmark that loses messages quickly has measured
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

RECENT: Final = 1024
"""Frames remembered per room, for comparison with the same frame at the room's other members."""

SENDER_BITS: Final = 40


def token(sender: int, number: int) -> int:
    """The identity of a message: its sender's index and that sender's running number, in one integer."""
    return sender << SENDER_BITS | number


def read_stamp(content: str) -> tuple[int, int]:
    """Read the stamp that the clients put in front of a content.

    Args:
        content: `<sender>.<number>.<perf_counter_ns> <padding>`.

    Returns:
        The message's token and the nanosecond at which it was sent.

    Raises:
        ValueError: for a content that no client of this benchmark wrote.
    """
    sender, number, sent_at = content.partition(" ")[0].split(".")
    return token(int(sender), int(number)), int(sent_at)


class Room:
    """One room as the benchmark knows it: every message that any member saw, and every ack.

    `frames` maps the latest seqs to the frame as it first arrived and the nanosecond it was sent: a member
    that receives the same bytes under the expected seq needs no parsing to know that all is well.
    """

    __slots__ = ("acked", "faults", "frames", "id", "in_doubt", "last", "log", "sent")

    def __init__(self, room_id: str, faults: Counter[str]) -> None:
        self.id = room_id
        self.faults = faults
        self.frames: dict[int, tuple[bytes, int]] = {}
        self.log: dict[int, tuple[int, int]] = {}
        self.acked: dict[int, int] = {}
        self.last = 0  # the highest seq that anybody saw or was told in an ack
        self.sent: set[int] = set()
        self.in_doubt: set[int] = set()

    def saw(self, seq: int, rev: int, content: str) -> int:
        """Note a message that a member received; returns the nanosecond at which it was sent."""
        message, sent_at = read_stamp(content)
        known = self.log.setdefault(seq, (message, rev))
        if known[0] != message:
            self.faults["diverged"] += 1
        self.last = max(self.last, seq)
        return sent_at

    def remember(self, seq: int, payload: bytes, sent_at: int) -> None:
        """Keep the frame of a message for the members who are still to receive it."""
        self.frames[seq] = (payload, sent_at)
        self.frames.pop(seq - RECENT, None)

    def ack(self, message: int, seq: int) -> None:
        """Note the ack of a message."""
        if self.acked.setdefault(seq, message) != message:
            self.faults["ack mismatch"] += 1
        self.last = max(self.last, seq)

    def refuse(self, message: int) -> None:
        """Note a send that was answered with an error: the message may exist, but need not."""
        self.in_doubt.add(message)

    def audit(self, base: int) -> None:
        """Compare acks, sends and what arrived, at the end of a run.

        Args:
            base: the room's seq before the first send.
        """
        stored = Counter(message for message, _ in self.log.values())
        self._fault("stored twice", (message for message, count in stored.items() if count > 1))
        self._fault("lost", (seq for seq in range(base + 1, self.last + 1) if seq not in self.log))
        logged = {seq: message for seq, (message, _) in self.log.items()}
        self._fault("ack mismatch", (s for s, m in self.acked.items() if logged.get(s, m) != m))
        self._fault("never delivered", (m for m in self.sent if m not in stored and m not in self.in_doubt))
        self._fault("unknown", (message for message in stored if message not in self.sent))

    def _fault(self, name: str, cases: Iterable[int]) -> None:
        count = sum(1 for _ in cases)
        if count:
            self.faults[name] += count


class Reading:
    """The irregular part of one client's reading of one room: gaps, late arrivals, repetitions.

    The regular part (the next seq is the last one plus one) is an integer that the client itself advances.
    """

    __slots__ = ("faults", "missing")

    def __init__(self, faults: Counter[str]) -> None:
        self.faults = faults
        self.missing: set[int] = set()

    def irregular(self, last: int, seq: int) -> int:
        """Judge a seq that is not `last + 1`; returns the new last one."""
        if seq > last:
            self.faults["gap"] += 1
            self.missing.update(range(last + 1, seq))
            return seq
        if seq in self.missing:
            self.faults["out of order"] += 1
            self.missing.discard(seq)
        else:
            self.faults["duplicated"] += 1
        return last

    def finish(self, last: int, room_last: int) -> None:
        """Count what this client never received, once the run has settled."""
        lost = len(self.missing) + max(0, room_last - last)
        if lost:
            self.faults["lost"] += lost
