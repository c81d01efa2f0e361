"""The reference client of the native protocol: reconnects, resumes exactly, repeats what was not acked.

    async with Client(["http://127.0.0.1:3000"], token) as client:
        await client.send(room_id, "hello")
        async for event in client:
            print(event.type, event.data)

Knows the protocol and the contracts only, and records nothing: who wants a log takes it from the events.
"""

from shared.client.client import Client
from shared.client.timeline import Event, Position

__all__ = ["Client", "Event", "Position"]
