"""People in rooms, for tests that look at one fault closely."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from shared.service import Tasks
from tests.faults.site import Site
from tests.harness.person import Person


class Hall:
    """The people of one tenant. They stay on the gateway they entered by, unless they may use several."""

    def __init__(self, site: Site, tenant: str, people: AsyncExitStack, tasks: Tasks) -> None:
        self._site = site
        self._tenant = tenant
        self._people = people
        self._tasks = tasks
        self._inside: dict[str, Person] = {}

    async def enter(self, name: str, *gateways: int) -> Person:
        """Connect somebody by one gateway, or by the first of several."""
        return await self.enter_by(name, *(self._site.urls[index] for index in gateways))

    async def enter_by(self, name: str, *urls: str) -> Person:
        """The same, by whichever doors."""
        person = Person(urls, lambda: self._site.token(name, self._tenant))
        self._inside[name] = await self._people.enter_async_context(person)
        return person

    def entering(self, name: str, *gateways: int) -> asyncio.Task[Person]:
        """Begin to connect somebody."""
        return self._tasks.spawn(self.enter(name, *gateways), f"{name} enters")

    async def room(self, owner: Person, *members: str) -> str:
        """Make a room, and return its id when everybody who is here follows it."""
        room = await owner.create_room(type="group", name="Room", members=list(members))
        for person in (owner, *(self._inside[name] for name in members if name in self._inside)):
            await person.expect("room.subscribed", room_id=room.id)
        return room.id


@asynccontextmanager
async def hall(site: Site, tenant: str) -> AsyncIterator[Hall]:
    """An empty hall; everybody leaves it in the end."""
    tasks = Tasks()
    async with AsyncExitStack() as people:
        yield Hall(site, tenant, people, tasks)
        await tasks.close()
