"""Fixtures of the tests of the outing dialect: people on sockets, and an outing."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from tests.conftest import TokenOf
from tests.harness.rest import Api
from tests.harness.sio import SioPerson
from tests.integration.dialect_outing import SORTIE, Outing, PeopleOf
from tests.integration.integration_client import Outside, Rooms


@pytest.fixture
def people(stack: Stack, token: TokenOf, closing: AsyncExitStack) -> PeopleOf:
    """Connects users who speak whatever their first event tells."""

    async def connect(name: str, gateway: int = 0, **claims: Any) -> SioPerson:
        person = SioPerson(stack.gateway_urls[gateway], auth={"token": token(name, **claims)})
        return await closing.enter_async_context(person)

    return connect


@pytest.fixture
async def outing(outside: Outside, service: Api, api: Callable[..., Api], rooms: Rooms) -> Outing:
    """An outing that has just been made."""
    made = Outing(outside, service, api, rooms, outside.room("sortie", SORTIE))
    await made.tell("sortie.created", titre="Plage", createur_id="ann")
    return made
