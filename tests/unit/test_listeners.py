"""Which dialect is spoken at which port."""

import pytest

from services.gateway.listeners import Listener, MisboundError, listeners_of


def parsed(text: str, team_port: int = 0) -> list[Listener]:
    return list(listeners_of(text, port=3000, team_port=team_port, dialects=("booking", "team")))


def test_one_port_for_everybody_by_default() -> None:
    """`PORT`, where sockets tell by themselves what they speak."""
    assert parsed("") == parsed(" ") == [Listener(3000, "auto")]


def test_ports_are_bound_as_listed() -> None:
    """In order; spaces do not matter; several ports may have the same dialect."""
    expected = [Listener(3000, "auto"), Listener(3001, "booking"), Listener(3002, "booking")]
    assert parsed("3000=auto, 3001 = booking,3002=booking") == expected


def test_team_has_its_own_setting() -> None:
    """Which adds a port, once."""
    assert parsed("", 3003) == [Listener(3000, "auto"), Listener(3003, "team")]
    assert parsed("3003=team", 3003) == [Listener(3003, "team")]
    with pytest.raises(MisboundError, match="port 3003 is there twice"):
        parsed("3003=booking", 3003)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("booking", "'booking' is not PORT=DIALECT"), ("3000", "'3000' is not"), ("3000=", "is not PORT=DIALECT"),
        ("=auto", "is not"), ("3000=auto,", "'' is not"), ("3000=auto,3001=x", "only auto, booking, team"),
        ("0=auto", "from 1 to 65535"), ("65536=auto", "from 1 to 65535"), ("99999999999=auto", "from 1 to 65535"),
        ("-1=auto", "is not"), ("3000=auto,3000=team", "port 3000 is there twice"), ("\u0663=auto", "is not"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(text: str, named: str) -> None:
    """With what was given, and what would be right."""
    with pytest.raises(MisboundError, match=named):
        parsed(text)
