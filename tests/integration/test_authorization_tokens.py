"""Tokens, tenant headers and cookies that somebody has tampered with: on the socket and over REST."""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.embedded.stack import Stack
from tests.harness.gateway import Gateway
from tests.harness.rawsocket import RawSocket
from tests.harness.rest import Answer, Api

SOON = int(time.time()) + 3600
CLAIMS = {"sub": "mallory", "exp": SOON}

PUBLIC_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
PEM = PUBLIC_KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def b64(raw: bytes) -> str:
    """Base64 as JWTs have it."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed_with(key: bytes, header: bytes, payload: bytes, digest: str = "sha256") -> str:
    """A token of raw header and payload with a HMAC as signature, whatever the header says."""
    text = f"{b64(header)}.{b64(payload)}"
    return f"{text}.{b64(hmac.digest(key, text.encode(), digest))}"


def unsigned(header: bytes, payload: bytes = orjson.dumps(CLAIMS)) -> str:
    """A token with an empty signature."""
    return f"{b64(header)}.{b64(payload)}."


HS256 = b'{"alg":"HS256","typ":"JWT"}'


def claims(**changes: Any) -> bytes:
    """A payload in order, but for the changes; `...` leaves a claim out."""
    return orjson.dumps({name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...})


def spliced(text: str) -> bytes:
    """Claims with raw JSON that no serializer writes."""
    return claims()[:-1] + b"," + text.encode() + b"}"


FORGED: dict[str, Callable[[bytes], str]] = {
    "nothing": lambda _: "",
    "no token at all": lambda _: "hello",
    "two dots": lambda _: "..",
    "alg none": lambda _: unsigned(b'{"alg":"none"}'),
    "alg None": lambda _: unsigned(b'{"alg":"None"}'),
    "no alg": lambda _: unsigned(b"{}"),
    "alg a list": lambda _: unsigned(b'{"alg":["HS256"]}'),
    "another key": lambda _: signed_with(b"another secret of more than 32 bytes", HS256, claims()),
    "an empty key": lambda _: signed_with(b"", HS256, claims()),
    "HS512": lambda key: signed_with(key, b'{"alg":"HS512"}', claims(), "sha512"),
    "RS256 named, HMAC signed": lambda key: signed_with(key, b'{"alg":"RS256"}', claims()),
    "a public key as secret": lambda _: signed_with(PEM.encode(), HS256, claims()),
    "signature cut": lambda key: signed_with(key, HS256, claims())[:-4],
    "payload changed": lambda key: signed_with(key, HS256, claims()).replace(b64(claims()), b64(claims(sub="alice"))),
    "header nested": lambda _: unsigned(b"[" * 2000),
    "payload nested": lambda key: signed_with(key, HS256, b'{"a":' + b"[" * 3000),
    "payload a list": lambda key: signed_with(key, HS256, b"[]"),
    "critical extension": lambda key: signed_with(key, b'{"alg":"HS256","crit":["x"],"x":1}', claims()),
    "payload detached": lambda key: signed_with(key, b'{"alg":"HS256","b64":false,"crit":["b64"]}', claims()),
    "kid a number": lambda key: signed_with(key, b'{"alg":"HS256","kid":1}', claims()),
    "kid a path, empty key": lambda _: signed_with(b"", b'{"alg":"HS256","kid":"../../../dev/null"}', claims()),
    "kid an injection": lambda _: signed_with(b"x", b'{"alg":"HS256","kid":"x\' UNION SELECT \'x"}', claims()),
    "jwk in the header": lambda _: signed_with(b"x", b'{"alg":"HS256","jwk":{"kty":"oct","k":"eA"}}', claims()),
    "jku in the header": lambda _: signed_with(b"x", b'{"alg":"HS256","jku":"http://127.0.0.1:1/"}', claims()),
    "no exp": lambda key: signed_with(key, HS256, claims(exp=...)),
    "exp null": lambda key: signed_with(key, HS256, claims(exp=None)),
    "exp a word": lambda key: signed_with(key, HS256, claims(exp="tomorrow")),
    "exp an object": lambda key: signed_with(key, HS256, claims(exp={"$gt": 0})),
    "exp infinite": lambda key: signed_with(key, HS256, spliced('"exp":1e999')),
    "exp of 400 digits": lambda key: signed_with(key, HS256, spliced('"exp":1' + "0" * 400)),
    "expired": lambda key: signed_with(key, HS256, claims(exp=int(time.time()) - 60)),
    "not valid yet": lambda key: signed_with(key, HS256, claims(nbf=SOON)),
    "nbf a list": lambda key: signed_with(key, HS256, claims(nbf=[0])),
    "issued in the future": lambda key: signed_with(key, HS256, claims(iat=SOON)),
    "no sub": lambda key: signed_with(key, HS256, claims(sub=...)),
    "sub empty": lambda key: signed_with(key, HS256, claims(sub="")),
    "sub a number": lambda key: signed_with(key, HS256, claims(sub=1)),
    "sub an operator": lambda key: signed_with(key, HS256, claims(sub={"$ne": None})),
    "sub a list": lambda key: signed_with(key, HS256, claims(sub=["alice"])),
    "sub with a space": lambda key: signed_with(key, HS256, claims(sub="alice bob")),
    "sub with a newline": lambda key: signed_with(key, HS256, claims(sub="alice\n")),
    "sub with a null": lambda key: signed_with(key, HS256, claims(sub="alice\0")),
    "sub that looks like alice": lambda key: signed_with(key, HS256, claims(sub="аlice")),  # noqa: RUF001 - Cyrillic
    "sub with zero width": lambda key: signed_with(key, HS256, claims(sub="ali\u200bce")),
    "sub half a character": lambda key: signed_with(key, HS256, spliced('"sub":"\\ud800"')),
    "sub too long": lambda key: signed_with(key, HS256, claims(sub="a" * 129)),
    "tenant an operator": lambda key: signed_with(key, HS256, claims(tenant={"$ne": None})),
    "tenant null": lambda key: signed_with(key, HS256, claims(tenant=None)),
    "tenant empty": lambda key: signed_with(key, HS256, claims(tenant="")),
    "tenant with a space": lambda key: signed_with(key, HS256, claims(tenant="a b")),
    "name an object": lambda key: signed_with(key, HS256, claims(name={"first": "M"})),
    "name too long": lambda key: signed_with(key, HS256, claims(name="m" * 201)),
    "roles an object": lambda key: signed_with(key, HS256, claims(roles={"admin": False})),
    "roles of objects": lambda key: signed_with(key, HS256, claims(roles=[{"name": "admin"}])),
    "roles nested": lambda key: signed_with(key, HS256, claims(roles=[["admin"]])),
    "roles a number": lambda key: signed_with(key, HS256, claims(roles=1)),
    "roles true": lambda key: signed_with(key, HS256, claims(roles=True)),
    "roles too many": lambda key: signed_with(key, HS256, claims(roles=["r"] * 51)),
    "roles half a character": lambda key: signed_with(key, HS256, spliced('"roles":["\\ud800"]')),
}


@pytest.fixture
def secret(stack: Stack) -> bytes:
    """What the stack's tokens are signed with."""
    return stack.jwt_secret.encode()


async def refused_by_socket(socket: RawSocket, code: str, close: int) -> str:
    """The one frame a refused connection gets; its message. The close code is of the same meaning."""
    frame = await socket.receive()
    assert (frame["type"], frame["error"]["code"]) == ("error", code), frame
    assert await socket.closed() == close
    return str(frame["error"]["message"])


def refused_by_rest(answer: Answer, status: int, code: str) -> str:
    """The error of a refused request; its message."""
    assert (answer.status, answer.error) == (status, code), answer.body
    return str(answer.body["error"]["message"])


@pytest.mark.parametrize("case", FORGED)
async def test_a_forged_token_opens_nothing(
    stack: Stack, http: ClientSession, socket: Callable[..., Awaitable[RawSocket]], secret: bytes, case: str
) -> None:
    """By header or in the query: `unauthenticated` with a reason, which never repeats the token."""
    token = FORGED[case](secret)
    by_rest = await Api(http, stack.gateway_urls[0], token)("GET", "/v1/rooms")
    by_socket = await socket(params={"token": token})
    for message in (
        refused_by_rest(by_rest, 401, "unauthenticated"),
        await refused_by_socket(by_socket, "unauthenticated", 4401),
    ):
        assert message.endswith(".")
        assert len(token) < 20 or token not in message
    assert by_rest.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_too_long_for_a_header_is_refused_by_its_length(stack: Stack, http: ClientSession) -> None:
    """What exceeds the server's line limit is a client error, and the server goes on."""
    api = Api(http, stack.gateway_urls[0], "a" * 100_000)
    assert (await api("GET", "/v1/rooms")).status == 400
    assert (await Api(http, stack.gateway_urls[0], None)("GET", "/readyz")).status == 200


@pytest.mark.parametrize("raw", [b"\xff\xfe", "ü".encode(), b"a\x80.b.c"])
async def test_a_token_of_other_bytes_than_ascii_is_refused(stack: Stack, http: ClientSession, raw: bytes) -> None:
    """Bytes that are no text in a header, query or cookie are no token either."""
    url = f"{stack.gateway_urls[0]}/v1/rooms"
    quoted = "".join(f"%{byte:02x}" for byte in raw)
    for answer in (
        await http.get(url, headers={"Authorization": f"Bearer {raw.decode('utf-8', 'surrogateescape')}"}),
        await http.get(f"{url}?token={quoted}"),
        await http.get(url, headers={"Cookie": f"token={raw.decode('utf-8', 'surrogateescape')}"}),
    ):
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "unauthenticated"


async def test_an_honest_token_with_odd_but_legal_claims_is_taken_as_it_is(
    socket: Callable[..., Awaitable[RawSocket]], secret: bytes
) -> None:
    """Operators in a sub are letters, unknown headers are not looked at, a single role may be a text."""
    who = {"sub": "$ne.$where", "tenant": "$gt", "role": "admin", "name": "\u202e\u200b\0", "exp": SOON}
    token = signed_with(secret, b'{"alg":"HS256","kid":"../../../etc/passwd"}', orjson.dumps(who))
    user = (await (await socket(params={"token": token})).ready())["user"]
    assert user == {"id": "$ne.$where", "tenant": "$gt", "roles": ["admin"], "name": "\u202e\u200b\0"}


async def test_a_public_key_is_no_secret(
    gateway_with: Callable[..., Awaitable[Gateway]], http: ClientSession, secret: bytes
) -> None:
    """A gateway that verifies by public key takes neither HMAC by that key nor by a secret (RFC 8725, 2.1)."""
    gateway = await gateway_with(JWT_PUBLIC_KEY=PEM.replace("\n", "\\n"))
    for key, header in ((PEM.encode(), HS256), (PEM.encode(), b'{"alg":"RS256"}'), (secret, HS256)):
        answer = await Api(http, gateway.url, signed_with(key, header, claims()))("GET", "/v1/rooms")
        refused_by_rest(answer, 401, "unauthenticated")


# ── tenants by header ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tag", ["another", "", "$ne", "default"])
async def test_a_header_of_another_tenant_is_refused(
    api: Callable[..., Api], socket: Callable[..., Awaitable[RawSocket]], tag: str
) -> None:
    """`x-tenant-tag` must agree with the token's tenant, on both ways."""
    refused_by_rest(await api("alice")("GET", "/v1/rooms", x_tenant_tag=tag), 403, "forbidden")
    await refused_by_socket(await socket("alice", headers={"x-tenant-tag": tag}), "forbidden", 4403)


async def test_a_header_of_the_same_tenant_is_welcome(api: Callable[..., Api], tenant: str) -> None:
    """What agrees changes nothing."""
    assert (await api("alice")("GET", "/v1/rooms", x_tenant_tag=tenant)).status == 200


async def test_a_trusted_header_decides_only_where_the_token_does_not(
    gateway_with: Callable[..., Awaitable[Gateway]], http: ClientSession, tenant: str, secret: bytes
) -> None:
    """Behind a proxy: the header names the tenant of tokens without one, overrules no claim, and must be an id."""
    gateway = await gateway_with(TRUST_TENANT_HEADER=1)
    plain = Api(http, gateway.url, signed_with(secret, HS256, claims()))
    made = await plain("POST", "/v1/rooms", {"name": "here"}, x_tenant_tag=tenant)
    assert made.body["tenant"] == tenant
    claimed = Api(http, gateway.url, signed_with(secret, HS256, claims(tenant="mine")))
    refused_by_rest(await claimed("GET", "/v1/rooms", x_tenant_tag=tenant), 403, "forbidden")
    for tag in ("", "a b", "x" * 129, "\N{SNOWMAN}"):
        refused_by_rest(await plain("GET", "/v1/rooms", x_tenant_tag=tag), 400, "invalid")


# ── cookies ──────────────────────────────────────────────────────────────────────────────────────────────────────

FOREIGN = ["http://evil.example", "null", "", "http://[", "file://", "http://127.0.0.1@evil.example", "//", "\x80"]


@pytest.mark.parametrize("origin", [*FOREIGN, None])
async def test_a_cookie_is_refused_from_another_site(
    stack: Stack,
    http: ClientSession,
    socket: Callable[..., Awaitable[RawSocket]],
    token: Callable[..., str],
    origin: str | None,
) -> None:
    """Browsers send cookies along from any page: without an origin of our own they open no socket, write nothing."""
    headers = {"Cookie": f"token={token('alice')}"} | ({} if origin is None else {"Origin": origin})
    await refused_by_socket(await socket(headers=headers), "forbidden", 4403)
    async with http.post(f"{stack.gateway_urls[0]}/v1/rooms", data=b"{}", headers=headers) as answer:
        assert answer.status == 403
        assert (await answer.json())["error"]["code"] == "forbidden"


async def test_a_cookie_is_taken_from_the_same_site(
    stack: Stack, socket: Callable[..., Awaitable[RawSocket]], token: Callable[..., str]
) -> None:
    """The origin of the gateway's own pages may connect."""
    headers = {"Cookie": f"jwt={token('alice')}", "Origin": stack.gateway_urls[0]}
    assert (await (await socket(headers=headers)).ready())["user"]["id"] == "alice"


# ── renewal ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_cannot_become_somebody_else(
    socket: Callable[..., Awaitable[RawSocket]], token: Callable[..., str], secret: bytes
) -> None:
    """auth.refresh takes a token of the same user and tenant only, and a forged one leaves all as it was."""
    alice = await socket("alice")
    await alice.ready()
    for other in (token("bob"), token("alice", tenant="elsewhere")):
        assert (await alice.ask("auth.refresh", {"token": other}))["error"]["code"] == "forbidden"
    for name in ("alg none", "another key", "expired", "roles an object", "exp of 400 digits"):
        answer = await alice.ask("auth.refresh", {"token": FORGED[name](secret)})
        assert answer["error"]["code"] == "unauthenticated", name
    assert (await alice.ask("ping"))["type"] == "ack"
