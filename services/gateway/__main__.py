"""`python -m services.gateway`: one gateway. Constructs everything; decides nothing."""

import asyncio
import time
from contextlib import suppress
from functools import partial

from aiohttp import web

from services.gateway.attendance import Attendance
from services.gateway.carrying import Carrier
from services.gateway.cors import Cors
from services.gateway.delivered import Delivered
from services.gateway.dialects.choice import ALL, DIALECTS
from services.gateway.dialects.endpoints import Endpoints
from services.gateway.dialects.refusals import Refusals
from services.gateway.dialects.uploads import Uploads
from services.gateway.dispatch import Dispatcher
from services.gateway.edge import Edge
from services.gateway.fanout import Fanout
from services.gateway.figures import Figures
from services.gateway.hub import Hub
from services.gateway.limits import RateLimit
from services.gateway.linking import CONTRACTS, Linking
from services.gateway.listeners import AUTO, TEAM, Listener, MisboundError, listeners_of
from services.gateway.listening import Listening
from services.gateway.looking import Onlookers
from services.gateway.naming import Naming
from services.gateway.passing import Passing, means_of
from services.gateway.register import Register
from services.gateway.rest import Rest, answer_errors
from services.gateway.sio.recall import Recall
from services.gateway.sio.server import ENGINE, Sessions
from services.gateway.sio.session import Serving
from services.gateway.sio.voice import Voices
from services.gateway.socket import NativeSocket
from services.gateway.steps import Steps
from services.gateway.subscriptions import Subscriptions
from services.gateway.typing import Typists
from services.gateway.v1 import PASSES, ROUTES
from services.gateway.watching import Watching
from services.gateway.web.pages import add_pages
from shared.auth import LEEWAY, Authenticator
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.overflow import watch_overflows
from shared.bus.publisher import Publisher
from shared.bus.requests import Requests
from shared.bus.signals import Signals
from shared.bus.topology import GATEWAY_KEYS, durable_queues, events_queue
from shared.contracts.errors import CloseCode
from shared.service import Service, run
from shared.settings import Settings, SettingsError, unlimited

PREFETCH = 256
TEAM_ENGINE = "chat"
"""Engine.IO's path that clients of `team` may have been told."""

GOODBYE = 2.0
"""Seconds clients have to answer the close frame of a restart."""


async def main(service: Service) -> None:
    """Run until stopped."""
    settings, name, tasks = service.settings, service.settings.name, service.tasks
    listeners = _listeners(settings)
    linking, carrier = means_of(settings)
    link = Link(settings.amqp_url, name, durable_queues(settings.shards))
    publisher = Publisher(link, tasks, settings.command_timeout)
    replies, events, room_events = (Consumer(link, PREFETCH, lazy=True) for _ in range(3))
    overflows = Consumer(link, prefetch=1)
    requests = Requests(
        replies,
        publisher,
        name=name,
        shards=settings.shards,
        timeout=settings.command_timeout,
        max_pending=settings.max_pending,
        echo=True,
        refine=linking.results(CONTRACTS),
    )
    hub = Hub(
        per_user=unlimited(settings.connections_per_user),
        in_total=unlimited(settings.max_connections),
        heartbeat=settings.heartbeat,
    )
    register = Register(requests, hub.now)
    edge = Edge(settings, Authenticator(settings))
    watching = Watching(hub, requests)
    delivered = Delivered(hub, requests, max_members=settings.receipts_max_members)
    fanout = Fanout(hub, events, requests, watching, delivered, Naming(hub, requests, tasks), linking)
    attendance = Attendance(hub, requests, name=name, lease=settings.presence_lease)
    subscriptions = Subscriptions(hub, fanout, requests, room_events, tasks, max_rooms=settings.max_rooms_subscribed)
    typists, onlookers = _signs_of_life(hub, publisher, settings)
    dispatcher = Dispatcher(
        requests,
        hub,
        RateLimit(settings.messages_per_minute, "messages"),
        delivered,
        max_in_flight=settings.max_in_flight,
    )
    socket = NativeSocket(
        settings=settings,
        edge=edge,
        hub=hub,
        dispatcher=dispatcher,
        subscriptions=subscriptions,
        typists=typists,
        onlookers=onlookers,
        watching=watching,
        register=register,
        tasks=tasks,
    )
    serving = Serving(
        settings=settings,
        hub=hub,
        dispatcher=dispatcher,
        subscriptions=subscriptions,
        steps=Steps(hub, subscriptions, typists, onlookers, watching, tasks),
        typists=typists,
        watching=watching,
        register=register,
        tasks=tasks,
        voices=Voices(ALL),
        recall=Recall(hub.now),
    )
    speaking: list[Sessions] = []
    doors = (edge, socket, Passing(edge, register, carrier), linking)
    application = partial(_application, service, serving, *doors, Figures(hub, requests), speaking)

    await requests.start()
    await events.add(events_queue(name, *GATEWAY_KEYS))
    await room_events.add(events_queue(f"{name}.rooms", "room.#"))

    async def restored(_connection: object) -> None:
        fanout.heal_all()
        subscriptions.reconcile_all()

    link.on_change(restored)
    work = {
        "link": link.run(),
        "replies": requests.run(hub.flush_soon),
        "timeouts": requests.sweep(),
        "events": fanout.run(),
        "healing": fanout.run_healing(),
        "room events": subscriptions.run(),
        "overflows": watch_overflows(overflows, {name: fanout.heal_all, f"{name}.rooms": subscriptions.reconcile_all}),
        "typing": typists.run(),
        "looking": onlookers.run(),
        "delivered": delivered.run(),
        "watch": hub.watch(),
        "expiry": _expire(hub),
        "attendance": attendance.run(),
    }
    for name_of_work, loop in work.items():
        tasks.spawn(loop, name_of_work, vital=True)
    service.checks["rabbitmq"] = link.check

    listening = Listening(application, settings.host)
    await listening.open(listeners)

    async def answer_what_is_asked() -> None:
        await listening.stop()
        await requests.quiet.wait()

    async def say_goodbye() -> None:
        hub.close_all(CloseCode.RESTART, "the server restarts; reconnect")
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await hub.empty.wait()
        onlookers.end()
        attendance.leave()

    service.on_drain += [delivered.report, answer_what_is_asked, say_goodbye, publisher.flush, carrier.drain]
    await service.until_stopped()
    await _close(speaking, listening, carrier)


def _signs_of_life(hub: Hub, publisher: Publisher, settings: Settings) -> tuple[Typists, Onlookers]:
    signals = Signals(publisher, source=f"/{settings.name}", shards=settings.shards)
    return Typists(hub, signals), Onlookers(hub, signals)


def _application(
    service: Service, serving: Serving, edge: Edge, socket: NativeSocket, passing: Passing, linking: Linking,
    figures: Figures, speaking: list[Sessions], dialect: str,
) -> web.Application:  # fmt: skip
    """What is served where a dialect is spoken: its own API, what others have besides, and the canonical one."""
    bound = DIALECTS.get(dialect)
    refusals = Refusals(bound)
    cors = Cors(edge.origins, refusals.refuse)
    app = web.Application(
        middlewares=[cors.guard, answer_errors, refusals.answer_unknown],
        client_max_size=service.settings.max_frame_bytes,
    )
    app.on_response_prepare.append(cors.mark)
    service.add_ops_routes(app, figures.answer)
    app.router.add_get("/ws", socket.handle)
    places = {ENGINE: dialect}
    if TEAM in DIALECTS and dialect in (AUTO, TEAM):
        places[TEAM_ENGINE] = TEAM
    for path, spoken in places.items():
        speaking.append(Sessions(serving, edge, dialect=spoken, path=path))
        speaking[-1].add_routes(app)
    others = (other for other in DIALECTS.values() if other is not bound)
    endpoints = Endpoints(edge, serving.register, serving.dispatcher, serving.steps)
    spoken_here = tuple(others) if bound is None else (bound, *others)
    refusals.spoken = endpoints.add_routes(app, spoken_here)
    refusals.spoken |= Uploads(passing, linking).add_routes(app, spoken_here)
    Rest(edge, serving.register, serving.dispatcher).add_routes(app, ROUTES)
    passing.add_routes(app, PASSES)
    add_pages(app, service.settings.shards)
    return app


async def _close(speaking: list[Sessions], listening: Listening, carrier: Carrier) -> None:
    for sessions in speaking:
        await sessions.close()
    await listening.close()
    await carrier.close()


def _listeners(settings: Settings) -> tuple[Listener, ...]:
    try:
        return listeners_of(
            settings.listeners, port=settings.port, team_port=settings.chat_server_port, dialects=DIALECTS
        )
    except MisboundError as error:
        raise SettingsError(f"LISTENERS: {error}") from error


async def _expire(hub: Hub) -> None:
    while True:
        await asyncio.sleep(1.0)
        hub.close_expired(
            time.time() - LEEWAY
        )  # as new connections are judged: else clients would come back for nothing


if __name__ == "__main__":
    run("gateway", main)
