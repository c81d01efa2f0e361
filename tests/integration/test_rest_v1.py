"""Every endpoint of `/v1`: what it answers, and how it refuses. Rows are taken from the table."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from services.gateway.rows import Route
from services.gateway.v1 import ROUTES
from shared.auth import issue_token
from tests.conftest import ClientOf
from tests.harness.gateway import Gateway
from tests.harness.rest import Answer, Api
from tests.harness.scene import OUTING, OUTSIDE, PARTICIPATION, UNKNOWN_MESSAGE, Scene, scene

JSON = dict[str, Any]
ApiOf = Callable[..., Api]
ROWS = {f"{route.method} {route.path}": route for route in ROUTES}
THUMB = quote("👍")


class Callers:
    """A scene, whose people call by REST."""

    def __init__(self, scene: Scene, stack: Stack, http: ClientSession) -> None:
        self.scene = scene
        self._secret = stack.jwt_secret
        self._http = http
        self._url = stack.gateway_urls[0]

    def __getitem__(self, sub: str) -> Api:
        person = getattr(self.scene, sub)
        user = person.ready["user"]
        token = issue_token(self._secret, sub=user["id"], tenant=user["tenant"], roles=user["roles"])
        return Api(self._http, self._url, token)

    @property
    def nobody(self) -> Api:
        return Api(self._http, self._url, None)

    def path(self, route: Route, **given: str) -> str:
        values = {
            "room_id": self.scene.room.id,
            "message_id": self.scene.message.message_id,
            "user_id": "bob",
            "emoji": THUMB,
            "action": "send",
            "kind": "sortie",
            "id": OUTING,
            "participation_id": PARTICIPATION,
            "media_id": "0" * 32,
            **given,
        }
        return route.path.format(**values)


@pytest.fixture
async def callers(stack: Stack, http: ClientSession) -> AsyncIterator[Callers]:
    """A scene that the test may change."""
    async with scene(stack) as fresh:
        yield Callers(fresh, stack, http)


@pytest.fixture(scope="module")
async def still(stack: Stack) -> AsyncIterator[Callers]:
    """A scene that all tests here share, for requests that are refused and change nothing."""
    async with ClientSession() as http, scene(stack) as shared:
        yield Callers(shared, stack, http)


# ── what succeeds ────────────────────────────────────────────────────────────────────────────────────────────────

Step = tuple[str, JSON | None, Callable[[Any], object]]

SUCCEEDS: dict[str, Step] = {
    "POST /v1/rooms": ("bob", {"name": "new"}, lambda it: (it["name"], it["role"]) == ("new", "owner")),
    "GET /v1/rooms": ("bob", None, lambda it: [room["name"] for room in it["rooms"]] == ["scene"]),
    "GET /v1/rooms/{room_id}": ("bob", None, lambda it: it["name"] == "scene"),
    "PATCH /v1/rooms/{room_id}": ("alice", {"name": "renamed"}, lambda it: it["name"] == "renamed"),
    "DELETE /v1/rooms/{room_id}": ("alice", None, lambda it: "user_id" not in it),
    "POST /v1/rooms/{room_id}/leave": ("bob", None, lambda it: it["user_id"] == "bob"),
    "GET /v1/rooms/{room_id}/members": ("bob", None, lambda it: len(it["members"]) == 3),
    "POST /v1/rooms/{room_id}/members": ("alice", {"user_id": "outsider"}, lambda it: it["role"] == "member"),
    "PATCH /v1/rooms/{room_id}/members/{user_id}": ("alice", {"role": "admin"}, lambda it: it["role"] == "admin"),
    "DELETE /v1/rooms/{room_id}/members/{user_id}": ("alice", None, lambda it: it["user_id"] == "bob"),
    "PUT /v1/rooms/{room_id}/members": (
        "alice", {"members": [{"user_id": "alice", "role": "owner"}]},
        lambda it: (it["added"], it["removed"], it["changed"]) == (0, 2, 0),
    ),
    "PUT /v1/rooms/{room_id}/members/{user_id}/mute": ("alice", {}, lambda it: it["muted"]),
    "POST /v1/rooms/{room_id}/close": ("alice", {}, lambda it: it["closed"]),
    "GET /v1/rooms/{room_id}/rights/{action}": ("reader", None, lambda it: not it["allowed"] and it["rule"]),
    "GET /v1/externals/{kind}/{id}/room": ("organizer", None, lambda it: it["external"]["id"] == OUTING),
    "GET /v1/externals/{kind}/{id}/participations": (
        "organizer", None, lambda it: [wish["user_id"] for wish in it["participations"]] == ["bob"]
    ),
    "PATCH /v1/participations/{participation_id}/status": (
        "organizer", {"status": "REFUSEE"}, lambda it: (it["user_id"], it["status"]) == ("bob", "REFUSEE")
    ),
    "POST /v1/integration/events": (
        "service", {"events": OUTSIDE}, lambda it: [result["effective"] for result in it["results"]] == [False, False]
    ),
    "GET /v1/audit": ("admin", None, lambda it: "room.create" in {entry["act"] for entry in it["entries"]}),
    "POST /v1/rooms/{room_id}/messages": ("bob", {"content": "hi"}, lambda it: (it["seq"], it["rev"]) == (2, 2)),
    "GET /v1/rooms/{room_id}/messages": ("bob", None, lambda it: it["messages"][0]["content"] == "first"),
    "POST /v1/rooms/{room_id}/read": ("bob", {"seq": 1}, lambda it: it["read_seq"] == 1),
    "POST /v1/rooms/{room_id}/delivered": (
        "bob", {"seq": 1}, lambda it: (it["read_seq"], it["delivered_seq"]) == (0, 1)
    ),
    "POST /v1/rooms/{room_id}/unread": ("bob", {"seq": 1}, lambda it: it["unread_from"] == 1),
    "GET /v1/rooms/{room_id}/receipts": ("bob", None, lambda it: it["receipts"][0]["read_seq"] == 1),
    "POST /v1/rooms/{room_id}/clear": ("alice", {}, lambda it: (it["seq"], it["rev"], it["changed"]) == (1, 2, True)),
    "GET /v1/messages/{message_id}/revisions": ("alice", None, lambda it: it["revisions"] == []),
    "GET /v1/messages/{message_id}": ("bob", None, lambda it: it["content"] == "first"),
    "GET /v1/messages/{message_id}/status": ("bob", None, lambda it: it["read_by"] == []),
    "PATCH /v1/messages/{message_id}": ("alice", {"content": "1st"}, lambda it: it["changed"] and it["rev"] == 2),
    "DELETE /v1/messages/{message_id}": ("alice", None, lambda it: it["changed"]),
    "PUT /v1/messages/{message_id}/reactions/{emoji}": ("bob", None, lambda it: it["changed"]),
    "DELETE /v1/messages/{message_id}/reactions/{emoji}": ("bob", None, lambda it: not it["changed"]),
    "GET /v1/rooms/{room_id}/online": ("bob", None, lambda it: it["users"] is not None),
    "PUT /v1/presence": ("bob", {"status": "away"}, lambda it: it["status"] == "away"),
    "POST /v1/presence/query": ("bob", {"user_ids": ["nobody"]}, lambda it: it["users"][0]["status"] == "offline"),
    "POST /v1/users/query": ("bob", {"user_ids": ["nobody"]}, lambda it: it["users"] == []),
    "GET /v1/people": ("bob", None, lambda it: it["people"] == []),
    "GET /v1/favorites": ("bob", None, lambda it: it["favorites"] == []),
    "POST /v1/favorites/toggle": (
        "bob", {"kind": "room", "id": "nowhere", "favorite": False}, lambda it: it["favorites"] == []
    ),
    "POST /v1/sync": ("bob", {"cursors": {"nowhere": None}}, lambda it: it["errors"] == {"nowhere": "not_found"}),
    "POST /v1/rooms/states": ("bob", {"room_ids": ["nowhere"]}, lambda it: it["states"] == []),
}  # fmt: skip


OF_FILES = {"GET /v1/media/{media_id}", "DELETE /v1/media/{media_id}"}
"""What needs a file to succeed, or to be another's: see test_media_handlers.py."""


def test_every_endpoint_is_shown_to_succeed() -> None:
    """A new row without a step here fails."""
    assert SUCCEEDS.keys() | OF_FILES == ROWS.keys()


@pytest.mark.parametrize("row", SUCCEEDS)
async def test_an_endpoint_answers_as_its_row_says(callers: Callers, row: str) -> None:
    """Status and body are those that the row and its contract name."""
    route, (sub, body, check) = ROWS[row], SUCCEEDS[row]
    answer = await callers[sub](route.method, callers.path(route), body)
    assert answer.status == route.status, answer
    view = route.contract.RESULT
    (view if route.unwrap is None else view.model_fields[route.unwrap].annotation).model_validate(answer.body)  # type: ignore[union-attr]
    assert check(answer.body), answer
    assert answer.headers["Content-Type"].startswith("application/json")


# ── what is refused, by the shape of the row ─────────────────────────────────────────────────────────────────────


def refused(answer: Answer, status: int, code: str) -> JSON:
    """Check an answer's status and error code; its error."""
    assert (answer.status, answer.error) == (status, code), answer
    error: JSON = answer.body["error"]
    assert error["message"]
    assert error["retryable"] is (status in {429, 503, 504})
    return error


def valid(row: str) -> JSON | None:
    """A body that the endpoint would accept."""
    body = SUCCEEDS[row][1] if row in SUCCEEDS else None
    return dict(body) if body is not None else None


@pytest.mark.parametrize("row", ROWS)
async def test_nobody_comes_in_without_a_token(still: Callers, row: str) -> None:
    """401 and how to authenticate, before anything else is looked at."""
    route = ROWS[row]
    answer = await still.nobody(route.method, still.path(route), valid(row))
    refused(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    garbled = await still.nobody(route.method, still.path(route), valid(row), Authorization="Bearer garbage")
    refused(garbled, 401, "unauthenticated")


EVERYBODYS_OWN = {"GET /v1/externals/{kind}/{id}/participations", "GET /v1/rooms/{room_id}/rights/{action}"}
"""What tells everybody of themselves: see test_integration_participations.py and `REFUSALS`."""


@pytest.mark.parametrize("row", [row for row in ROWS if "{" in row and row not in EVERYBODYS_OWN | OF_FILES])
async def test_what_is_anothers_is_closed(still: Callers, row: str) -> None:
    """403 within the tenant, 404 from outside it, just as for what does not exist."""
    route = ROWS[row]
    unknown = {"room_id": "nowhere", "message_id": UNKNOWN_MESSAGE, "id": "nowhere", "participation_id": "nowhere"}
    path, nowhere = still.path(route), still.path(route, **unknown)
    refused(await still["outsider"](route.method, path, valid(row)), 403, "forbidden")
    refused(await still["foreigner"](route.method, path, valid(row)), 404, "not_found")
    refused(await still["alice"](route.method, nowhere, valid(row)), 404, "not_found")


@pytest.mark.parametrize("row", ROWS)
async def test_an_unknown_field_is_named(still: Callers, row: str) -> None:
    """In the query as in the body."""
    route = ROWS[row]
    if route.method in {"GET", "DELETE"}:
        answer = await still["bob"](route.method, f"{still.path(route)}?nonsense=1")
    else:
        answer = await still["bob"](route.method, still.path(route), {**(valid(row) or {}), "nonsense": 1})
    error = refused(answer, 400, "invalid")
    assert error["details"] == [{"field": "nonsense", "problem": "Extra inputs are not permitted"}]
    assert row in error["message"]


@pytest.mark.parametrize("row", [row for row, route in ROWS.items() if route.method in {"POST", "PATCH", "PUT"}])
@pytest.mark.parametrize("body", [b"{", b"[1]", b'"text"', b"\xff", b"null"], ids=repr)
async def test_a_body_that_is_no_object_is_refused(still: Callers, row: str, body: bytes) -> None:
    """Broken JSON and JSON of another shape; where a list may come alone, it is for its owner to judge."""
    route = ROWS[row]
    alone = route.gathers is not None and body == b"[1]"
    status, code = (403, "forbidden") if alone else (400, "invalid")
    refused(await still["bob"](route.method, still.path(route), raw=body), status, code)


# ── what is refused, one by one ──────────────────────────────────────────────────────────────────────────────────

REFUSALS: dict[str, tuple[str, str, str, JSON | None, int, str]] = {
    "a member renames": ("bob", "PATCH", "/v1/rooms/{room}", {"name": "x"}, 403, "forbidden"),
    "an old version": ("alice", "PATCH", "/v1/rooms/{room}", {"name": "x", "version": 99}, 409, "conflict"),
    "a reader writes": ("reader", "POST", "/v1/rooms/{room}/messages", {"content": "x"}, 403, "forbidden"),
    "too long": ("bob", "POST", "/v1/rooms/{room}/messages", {"content": "x" * 10_001}, 413, "too_large"),
    "another's message": ("bob", "PATCH", "/v1/messages/{message}", {"content": "x"}, 403, "forbidden"),
    "an id that is none": ("bob", "GET", "/v1/messages/xyz", None, 400, "invalid"),
    "text for a number": ("bob", "GET", "/v1/rooms/{room}/messages?limit=ten", None, 400, "invalid"),
    "an endless number": ("bob", "GET", "/v1/rooms/{room}/messages?limit=" + "9" * 50, None, 400, "invalid"),
    "two bounds": ("bob", "GET", "/v1/rooms/{room}/messages?before=1&after=1", None, 400, "invalid"),
    "a stranger is removed": ("alice", "DELETE", "/v1/rooms/{room}/members/outsider", None, 404, "not_found"),
    "the last owner goes": ("alice", "DELETE", "/v1/rooms/{room}/members/alice", None, 409, "conflict"),
    "another's rights": ("outsider", "GET", "/v1/rooms/{room}/rights/send?user_id=bob", None, 403, "forbidden"),
    "rights abroad": ("foreigner", "GET", "/v1/rooms/{room}/rights/send", None, 404, "not_found"),
    "rights nowhere": ("alice", "GET", "/v1/rooms/nowhere/rights/send", None, 404, "not_found"),
    "no such place": ("bob", "GET", "/v1/castles", None, 404, "not_found"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_wish_is_refused(still: Callers, case: str) -> None:
    """With the status and code that the table says."""
    sub, method, path, body, status, code = REFUSALS[case]
    named = path.format(room=still.scene.room.id, message=still.scene.message.message_id)
    refused(await still[sub](method, named, body), status, code)


async def test_a_method_that_does_not_exist_is_answered_with_those_that_do(still: Callers) -> None:
    """405 and `Allow`, in the one error shape."""
    answer = await still["bob"]("PUT", "/v1/rooms")
    refused(answer, 405, "invalid")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


async def test_a_body_too_large_is_refused(still: Callers) -> None:
    """413, in the one error shape."""
    answer = await still["bob"]("POST", "/v1/rooms", raw=b"[" + b" " * 70_000)
    refused(answer, 413, "too_large")


async def test_refusals_have_left_no_trace(still: Callers) -> None:
    """After all refusals above, room and timeline are as they were."""
    history = await still["bob"]("GET", f"/v1/rooms/{still.scene.room.id}/messages")
    assert [(message["content"], message["rev"]) for message in history.body["messages"]] == [("first", 1)]
    room = await still["bob"]("GET", f"/v1/rooms/{still.scene.room.id}")
    assert (room.body["name"], room.body["version"]) == ("scene", 2)


# ── repetition, tenants, paging, sockets ─────────────────────────────────────────────────────────────────────────


async def test_a_repeated_write_has_one_effect(api: ApiOf) -> None:
    """`Idempotency-Key` is the `client_id`: 201 first, 200 again, 409 for something else."""
    alice = api("alice")
    made = await alice("POST", "/v1/rooms", {"name": "once"}, Idempotency_Key="room-1")
    again = await alice("POST", "/v1/rooms", {"name": "once"}, Idempotency_Key="room-1")
    assert (made.status, again.status, again.body) == (201, 200, made.body)
    path = f"/v1/rooms/{made.body['id']}/messages"
    sent = await alice("POST", path, {"content": "hi"}, Idempotency_Key="message-1")
    resent = await alice("POST", path, {"content": "hi"}, Idempotency_Key="message-1")
    assert (sent.status, resent.status) == (201, 200)
    assert resent.body == {**sent.body, "duplicate": True}
    # The key is the client_id, on every way in.
    assert (await alice("POST", path, {"content": "hi", "client_id": "message-1"})).body == resent.body
    refused(await alice("POST", path, {"content": "ho"}, Idempotency_Key="message-1"), 409, "conflict")
    refused(await alice("POST", "/v1/rooms", {"name": "x"}, Idempotency_Key="room-1"), 409, "conflict")
    refused(await alice("POST", path, {"content": "hi"}, Idempotency_Key="a b"), 400, "invalid")


async def test_a_repetition_through_another_gateway_is_one_message(api: ApiOf, stack: Stack) -> None:
    """No gateway has to remember anything."""
    here, there = api("alice"), api("alice", url=stack.gateway_urls[1])
    room = (await here("POST", "/v1/rooms")).body["id"]
    path = f"/v1/rooms/{room}/messages"
    one = await here("POST", path, {"content": "hi"}, Idempotency_Key="k")
    two = await there("POST", path, {"content": "hi"}, Idempotency_Key="k")
    assert two.body == {**one.body, "duplicate": True}


async def test_the_tenant_header_must_agree(api: ApiOf, tenant: str) -> None:
    """With the token's claim, or with the default tenant where there is none."""
    alice = api("alice")
    assert (await alice("GET", "/v1/rooms", x_tenant_tag=tenant)).status == 200
    refused(await alice("GET", "/v1/rooms", x_tenant_tag="another"), 403, "forbidden")
    unclaimed = api("alice", tenant=None)
    refused(await unclaimed("GET", "/v1/rooms", x_tenant_tag=tenant), 403, "forbidden")
    assert (await unclaimed("GET", "/v1/rooms", x_tenant_tag="default")).status == 200


async def test_a_token_in_the_query_or_a_cookie_of_the_same_site(api: ApiOf, token: Any, stack: Stack) -> None:
    """A cookie alone reads but writes nothing: a foreign form could send it."""
    nobody = api(None)
    assert (await nobody("GET", f"/v1/rooms?token={token('alice')}")).status == 200
    cookie = f"token={token('alice')}"
    assert (await nobody("GET", "/v1/rooms", Cookie=cookie)).status == 200
    refused(await nobody("POST", "/v1/rooms", {}, Cookie=cookie), 403, "forbidden")
    refused(await nobody("GET", "/v1/rooms", Origin="https://evil.example", Cookie=cookie), 403, "forbidden")
    assert (await nobody("POST", "/v1/rooms", {}, Origin=stack.gateway_urls[0], Cookie=cookie)).status == 201


async def test_lists_are_paged(api: ApiOf) -> None:
    """By `after`, until there is no `next`."""
    alice = api("alice")
    made = {(await alice("POST", "/v1/rooms", {"name": str(number)})).body["id"] for number in range(5)}
    seen: list[str] = []
    query = "?limit=2"
    while True:
        page = (await alice("GET", f"/v1/rooms{query}")).body
        seen += [room["id"] for room in page["rooms"]]
        if "next" not in page:
            break
        query = f"?limit=2&after={page['next']}"
    assert seen == sorted(made)
    room = (await alice("POST", "/v1/rooms", {"members": ["a", "b", "c"]})).body["id"]
    first = (await alice("GET", f"/v1/rooms/{room}/members?limit=3")).body
    rest = (await alice("GET", f"/v1/rooms/{room}/members?limit=3&after={first['next']}")).body
    assert [item["user_id"] for item in first["members"] + rest["members"]] == ["a", "alice", "b", "c"]
    history = await alice("GET", f"/v1/rooms/{room}/messages?limit=1&before=5")
    assert history.body == {"messages": [], "has_before": False, "has_after": False, "total": 0}


async def test_states_and_sync_say_where_rooms_stand(callers: Callers) -> None:
    """What a client without a socket needs to catch up."""
    room = callers.scene.room.id
    states = (await callers["bob"]("POST", "/v1/rooms/states", {"room_ids": [room]})).body["states"]
    assert [(state["seq"], state["rev"], state["read_seq"], state["unread"]) for state in states] == [(1, 1, 0, 1)]
    epoch = states[0]["epoch"]
    synced = (await callers["bob"]("POST", "/v1/sync", {"cursors": {room: f"{epoch}:0"}})).body["rooms"][room]
    assert [message["content"] for message in synced["messages"]] == ["first"]
    refused(await callers["bob"]("POST", "/v1/sync", {"cursors": {room: "x"}}), 400, "invalid")


async def test_what_is_done_by_rest_is_told_to_sockets(api: ApiOf, client: ClientOf) -> None:
    """It is the same command, whichever way it came."""
    alice, bob = api("alice", name="Alice"), await client("bob")
    room = (await alice("POST", "/v1/rooms", {"members": ["bob"]})).body["id"]
    await bob.expect("room.subscribed", room_id=room)
    sent = (await alice("POST", f"/v1/rooms/{room}/messages", {"content": "hi"})).body
    assert (await bob.said(room, "hi")).data["sender"] == {"id": "alice", "name": "Alice"}
    await alice("PUT", f"/v1/messages/{sent['message_id']}/reactions/{THUMB}")
    told = await bob.expect("message.reacted", room_id=room)
    assert told.data["reactions"] == [{"emoji": "👍", "users": ["alice"]}]


async def test_messages_per_minute_are_bounded_here_too(gateway_with: Any, api: ApiOf) -> None:
    """429 with `Retry-After`, per user."""
    strict: Gateway = await gateway_with(MESSAGES_PER_MINUTE=2)
    alice, bob = api("alice", url=strict.url), api("bob", url=strict.url)
    room = (await alice("POST", "/v1/rooms", {"members": ["bob"]})).body["id"]
    path = f"/v1/rooms/{room}/messages"
    assert [(await alice("POST", path, {"content": str(number)})).status for number in range(3)] == [201, 201, 429]
    late = await alice("POST", path, {"content": "4"})
    assert refused(late, 429, "rate_limited")["retry_after"] <= 30
    assert 1 <= int(late.headers["Retry-After"]) <= 30
    assert (await bob("POST", path, {"content": "5"})).status == 201
    assert (await alice("GET", path)).status == 200


# ── beside /v1 ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_health_metrics_and_documents_are_served(api: ApiOf) -> None:
    """Without a token."""
    nobody = api(None)
    assert (await nobody("GET", "/livez")).body == {"status": "ok"}
    assert (await nobody("GET", "/readyz")).body == {"status": "ready", "checks": {"rabbitmq": "ok"}}
    assert b"parley_connections" in (await nobody("GET", "/metrics", Accept="text/plain")).body
    described = (await nobody("GET", "/openapi.json")).body["paths"]
    assert {path for path in described if path.startswith("/v1/")} >= {route.path for route in ROUTES}
    assert (await nobody("GET", "/asyncapi.json")).status == 200
    assert (await nobody("GET", "/docs")).status == 200
