"""A client of which it is not known yet what it speaks.

It is greeted in all tongues at once, and understood by its first event: what it is told until then has the fields of
every dialect that could be meant.
"""

from services.gateway.dialects.rows import Greet, Say, Shape, at, dialect


class Person(Shape):
    """Who has connected, for those who look into an envelope."""

    userId: str = at("id")
    message: str = "Connected"


class Connected(Shape):
    """The client is connected."""

    userId: str = at("me.id")
    user_id: str = at("me.id")
    socketId: str = at("connection")
    message: str = "Connected"
    type: str = "system"
    data: Person = at("me")
    timestamp: str = at("now")


class Failed(Shape):
    """Something was refused."""

    message: str = at("error.message")
    code: str = at("error.code")
    event: str = at("event")
    timestamp: str = at("now")


AUTO = dialect(
    "auto",
    on=(),
    emit=(),
    greet=(Greet(Say("connected", Connected)),),
    routes=(),
    failure=Say("error", Failed),
    problem=Failed,
    undecided=True,
)
