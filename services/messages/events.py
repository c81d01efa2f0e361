"""What the messages service listens to: heartbeats, and room events (to forget cached rights, to purge timelines)."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from services.messages.shards import Shards
from shared.access import AccessCache
from shared.bus.access import forget_changed
from shared.bus.codec import JSON, encode_actor, encode_event, readable_events, to_json, unique_id
from shared.bus.consumer import Consumer
from shared.bus.publisher import Publisher
from shared.bus.requests import Requests
from shared.bus.topology import EVENTS
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.messages import PurgeRoom, WorkerBeat
from shared.contracts.rooms import RoomDeleted
from shared.logging import get_logger

log = get_logger(__name__)

SERVICE_ACTOR = Actor(id="messages", roles=("service",))


class RoomEvents:
    """This worker's own queue: every room event and every heartbeat, missed ones made good by forgetting all."""

    def __init__(self, consumer: Consumer, access: AccessCache) -> None:
        self._consumer = consumer
        self._access = access

    async def run(self, shards: Shards) -> None:
        """Apply what arrives. Ends only by cancellation."""
        while True:
            deliveries = await self._consumer.take(64)
            for delivery in deliveries:
                for envelope in readable_events(delivery.body):
                    self._apply(envelope, shards)
            await self._consumer.settle(deliveries)

    def _apply(self, envelope: JSON, shards: Shards) -> None:
        data: Any = envelope["data"]
        if envelope["type"] == WorkerBeat.TYPE:
            shards.heard(str(data.get("worker")), alive=bool(data.get("alive")))
        else:
            forget_changed(self._access, envelope)


class Purges:
    """The durable queue of room events: a deleted room's timeline is purged by its shard's writer, sooner or later."""

    def __init__(self, consumer: Consumer, requests: Requests) -> None:
        self._consumer = consumer
        self._requests = requests
        self._actor = encode_actor(SERVICE_ACTOR)

    async def run(self) -> None:
        """Turn each `room.deleted` into a purge and ack it when that is done. Ends only by cancellation."""
        while True:
            deliveries = await self._consumer.take(32)
            for delivery in deliveries:
                for envelope in readable_events(delivery.body):
                    if envelope["type"] == RoomDeleted.TYPE:
                        await self._purge(envelope)
            await self._consumer.settle(deliveries)

    async def _purge(self, envelope: JSON) -> None:
        try:
            wish = PurgeRoom.model_validate({"room_id": envelope["subject"], "until": envelope.get("time")})
        except ValidationError as error:
            log.error("malformed event dropped", type=RoomDeleted.TYPE, error=str(error)[:200])
            return
        while True:
            with suppress(ChatError):
                await self._requests.ask(wish, self._actor, SERVICE_ACTOR.tenant)
                return
            log.warning("purge did not succeed yet", room_id=wish.room_id)
            await asyncio.sleep(1.0)


async def beat(publisher: Publisher, worker: str, *, alive: bool) -> None:
    """Publish a heartbeat; lost ones do not matter."""
    data = WorkerBeat(worker=worker, alive=alive)
    event = encode_event(
        id=unique_id(),
        source=f"/{worker}",
        type=data.TYPE,
        subject=worker,
        tenant=SERVICE_ACTOR.tenant,
        time=datetime.now(UTC),
        data=to_json(data),
    )
    with suppress(ChatError):
        publisher.submit(EVENTS, data.TOPIC + ".messages", event)
