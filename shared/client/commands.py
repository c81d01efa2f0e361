"""What a user can do, as methods: one frame of the protocol each, and its answer as the contract's view."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from shared.client.connection import JSON
from shared.contracts.membership import RoomView
from shared.contracts.timeline import (
    ChangedView,
    ClearedView,
    HistoryView,
    ReceiptView,
    RevisionsView,
    SentView,
    SyncView,
)


class Commands(ABC):
    """The frames of the native protocol. All raise ChatError where the server refuses; see `call` for repetition."""

    @abstractmethod
    async def request(self, type: str, data: JSON) -> JSON:
        """Send a frame once; the data of its ack."""

    @abstractmethod
    async def call(self, type: str, data: JSON, *, patience: float | None = None) -> JSON:
        """Send a frame until it is answered; the data of its ack."""

    async def send(self, room_id: str, content: str, *, client_id: str | None = None, **more: Any) -> SentView:
        """Write a message; returns when it is durable. The same `client_id` again gives the same answer."""
        body = {"room_id": room_id, "content": content, "client_id": client_id or uuid4().hex, **more}
        return SentView.model_validate(await self.call("message.send", body))

    async def edit(self, message_id: str, content: str) -> ChangedView:
        """Replace a message's content."""
        return await self._change("message.edit", message_id, content=content)

    async def delete(self, message_id: str) -> ChangedView:
        """Delete a message."""
        return await self._change("message.delete", message_id)

    async def react(self, message_id: str, emoji: str) -> ChangedView:
        """Add one's reaction."""
        return await self._change("message.react", message_id, emoji=emoji)

    async def unreact(self, message_id: str, emoji: str) -> ChangedView:
        """Take one's reaction back."""
        return await self._change("message.unreact", message_id, emoji=emoji)

    async def clear(self, room_id: str) -> ClearedView:
        """Clear a conversation."""
        return ClearedView.model_validate(await self.call("timeline.clear", {"room_id": room_id}))

    async def revisions(self, message_id: str) -> RevisionsView:
        """What a message said before its edits."""
        return RevisionsView.model_validate(await self.call("revisions.get", {"message_id": message_id}))

    async def mark_read(self, room_id: str, seq: int) -> ReceiptView:
        """Mark everything up to `seq` as read."""
        return ReceiptView.model_validate(await self.call("read.mark", {"room_id": room_id, "seq": seq}))

    async def history(self, room_id: str, **page: int | str) -> HistoryView:
        """A page of messages: `limit`, and one of the places that `history.get` knows, or none for the latest."""
        return HistoryView.model_validate(await self.call("history.get", {"room_id": room_id, **page}))

    async def sync(self, cursors: Mapping[str, str | None], **limit: int) -> SyncView:
        """One page of what has changed since the cursors."""
        return SyncView.model_validate(await self.call("sync", {"cursors": dict(cursors), **limit}))

    async def create_room(self, **room: Any) -> RoomView:
        """Make a room: `type`, `name`, `members`, `metadata`, `client_id`."""
        return RoomView.model_validate((await self.call("room.create", room))["room"])

    async def typing(self, room_id: str, *, started: bool = True) -> None:
        """Show that one is typing, or not any more."""
        await self.request("typing.start" if started else "typing.stop", {"room_id": room_id})

    async def _change(self, type: str, message_id: str, **more: Any) -> ChangedView:
        return ChangedView.model_validate(await self.call(type, {"message_id": message_id, **more}))
