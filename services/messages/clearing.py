"""The rule of clearing a conversation: one record, one `rev`, however many messages there are. Pure.

The messages themselves stay as they are; readers and rules leave out what lies at or before the record's `seq`, and
services.messages.archive takes their content away behind the message path.
"""

from dataclasses import replace

from services.messages.batch import Batch
from services.messages.changes import remembered, repeated
from services.messages.notes import note_act, unnote_all, unnote_files
from services.messages.state import MAX_REVS, Announcement, Clearing, Request
from shared.contracts.membership import Action, RoomAccess
from shared.contracts.messages import ClearTimeline, TimelineCleared
from shared.contracts.timeline import ClearedView


def clear(batch: Batch, request: Request, command: ClearTimeline) -> ClearedView | None:
    """Clear everything there is."""
    access = batch.access(command.room_id, request.actor, Action.CLEAR)
    timeline = batch.timeline(command.room_id)
    before = batch.clearing(command.room_id)
    known = before or Clearing(command.room_id, access.tenant, 0, 0, (), request.actor.id, batch.now)
    if repeated(known.applied, request) or known.seq == timeline.seq:
        if repeated(known.applied, request):
            _note(batch, known, request, access)
        return _unchanged(batch, request, known, before)
    rev = timeline.rev + 1
    after = Clearing(
        room_id=command.room_id,
        tenant=access.tenant,
        seq=timeline.seq,
        rev=rev,
        revs=(*known.revs, rev)[-MAX_REVS:],
        by=request.actor.id,
        at=batch.now,
        applied=remembered(known.applied, request),
        swept=known.swept,
    )
    batch.put_clearing(after, None if before is None else before.rev)
    _announce(batch, after, request, new=True)
    _note(batch, after, request, access)
    return None if request.echo else _cleared(after, changed=True)


def _unchanged(batch: Batch, request: Request, known: Clearing, before: Clearing | None) -> ClearedView:
    if not repeated(known.applied, request):
        # Remembered all the same: should it come again, it must not clear what was written since.
        known = replace(known, applied=remembered(known.applied, request))
        batch.put_clearing(known, None if before is None else before.rev)
    if known.rev:
        _announce(batch, known, request)
    return _cleared(known, changed=False)


def _cleared(clearing: Clearing, *, changed: bool) -> ClearedView:
    return ClearedView(room_id=clearing.room_id, seq=clearing.seq, rev=clearing.rev, changed=changed)


def _note(batch: Batch, clearing: Clearing, request: Request, access: RoomAccess) -> None:
    unnote_all(batch, request, access, clearing.seq)
    unnote_files(batch, request, clearing)
    note_act(batch, request, access)


def _announce(batch: Batch, clearing: Clearing, request: Request, *, new: bool = False) -> None:
    event = TimelineCleared(
        room_id=clearing.room_id, seq=clearing.seq, rev=clearing.rev, by=clearing.by, at=clearing.at
    )
    batch.plan.announcements.append(
        Announcement(
            event=event,
            room_id=clearing.room_id,
            tenant=clearing.tenant,
            id=f"{clearing.room_id}:cleared:{clearing.rev}",
            traceparent=request.traceparent,
            seq=clearing.seq,
            rev=clearing.rev,
            cause=request.id if new and request.echo else None,
        )
    )
