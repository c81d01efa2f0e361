"""From an accepted wish to its owner and back: in-flight limits, rate limits, and the answer to who asked."""

from collections.abc import Callable

from services.gateway.connection import Connection
from services.gateway.delivered import BRINGS, Delivered
from services.gateway.hub import Hub
from services.gateway.limits import RateLimit
from shared.auth import Identity
from shared.bus.codec import JSON, encode_actor
from shared.bus.requests import Requests
from shared.contracts.base import Command, Query
from shared.contracts.errors import ChatError, ErrorCode

Answered = Callable[[JSON | None, ChatError | None], None]


class Dispatcher:
    """Sends commands and queries on behalf of clients.

    Args:
        max_in_flight: unanswered requests per connection.
    """

    def __init__(
        self, requests: Requests, hub: Hub, messages: RateLimit, delivered: Delivered, *, max_in_flight: int
    ) -> None:
        self._requests = requests
        self._hub = hub
        self._messages = messages
        self._delivered = delivered
        self._max_in_flight = max_in_flight

    def submit(
        self, connection: Connection, request: Command | Query, body: JSON, answered: Answered, *, counted: bool
    ) -> None:
        """Send a socket's request; `answered` is called once, and what it posts is flushed with its batch.

        Raises:
            ChatError: `rate_limited` or `overloaded`, at once.
        """
        if counted:
            self.count(connection.identity)

        brings = type(request) in BRINGS

        def done(result: JSON | None, error: ChatError | None) -> None:
            connection.in_flight -= 1
            answered(result, error)
            if brings and result is not None and connection.open:
                self._delivered.brought(connection.user, request, result)

        self._requests.send(request, connection.actor, connection.identity.actor.tenant, done, body=body)
        connection.in_flight += 1

    def send(self, identity: Identity, request: Command | Query, body: JSON, answered: Answered) -> None:
        """Send a REST caller's request; `answered` is called once. Raises ChatError at once."""
        actor = identity.actor

        def done(result: JSON | None, error: ChatError | None) -> None:
            answered(result, error)
            if result is not None:
                self._delivered.brought((actor.tenant, actor.id), request, result)

        self._requests.send(request, encode_actor(actor), actor.tenant, done, body=body)

    def check_in_flight(self, connection: Connection) -> None:
        """Raise ChatError `overloaded` where the connection has too many unanswered requests."""
        if connection.in_flight >= self._max_in_flight:
            raise ChatError(
                ErrorCode.OVERLOADED,
                f"{self._max_in_flight} requests are unanswered, which is the limit; wait for an answer.",
                retry_after=0.1,
            )

    async def ask(
        self, identity: Identity, request: Command | Query, *, traceparent: str | None = None, counted: bool = False
    ) -> JSON:
        """Send a REST caller's request and wait for the result. Raises ChatError."""
        if counted:
            self.count(identity)
        actor = identity.actor
        result = await self._requests.ask(request, encode_actor(actor), actor.tenant, traceparent=traceparent)
        self._delivered.brought((actor.tenant, actor.id), request, result)
        return result

    def count(self, identity: Identity) -> None:
        """Count a message of a user. Raises ChatError `rate_limited`."""
        self._messages.take((identity.actor.tenant, identity.actor.id), self._hub.now())
