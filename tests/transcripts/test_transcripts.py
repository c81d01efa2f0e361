"""Every dialect's transcript, played against the stack by python-socketio and plain requests.

What the tables alone make of the same lines, without any server, is `test_codecs.py`.
"""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from tests.conftest import TokenOf
from tests.transcripts.play import Player
from tests.transcripts.script import Section, read

TRANSCRIPTS = {path.stem: read(path.read_text()) for path in sorted(Path(__file__).parent.glob("*.txt"))}
SECTIONS = [
    pytest.param(name, section, id=f"{name}: {section.title}")
    for name, sections in TRANSCRIPTS.items()
    for section in sections
]


def dialect_of(name: str) -> str:
    """The dialect of a transcript: `team` of `team` and `team-lists`."""
    return name.partition("-")[0]


@pytest.mark.parametrize(("name", "section"), SECTIONS)
async def test_section(
    name: str,
    section: Section,
    stack: Stack,
    token: TokenOf,
    http: ClientSession,
    closing: AsyncExitStack,
) -> None:
    """Everybody is told what the transcript says, and everything is answered as it says."""
    await Player(stack.gateway_urls, dialect_of(name), http, token, closing).play(section)
