"""The door: who may come in, from where, with which token. The same for sockets and REST."""

from aiohttp import web
from pydantic import ValidationError

from services.gateway.limits import RateLimit
from services.gateway.native import SUBPROTOCOL
from services.gateway.origins import Origins
from shared.auth import Authenticator, Identity
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.settings import Settings, SettingsError

COOKIES = ("token", "jwt")
BEARER_PROTOCOL = "bearer."


class Edge:
    """Admission and identity.

    Raises:
        SettingsError: at construction, where ALLOWED_ORIGINS cannot be read.
    """

    def __init__(self, settings: Settings, authenticator: Authenticator) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self.origins = _origins_of(settings)
        self._connects = RateLimit(settings.connections_per_minute_per_ip, "connections from your address")

    def admit(self, address: str, now: float) -> None:
        """Count a connection of an address. Raises ChatError `rate_limited`."""
        self._connects.take(address, now)

    async def authenticate(self, token: str | None) -> Identity:
        """Who a token stands for. Raises ChatError `unauthenticated`."""
        return await self._authenticator.authenticate(token)

    async def identify(self, request: web.Request, token: str | None) -> Identity:
        """Who sends a request, with the tenant its header names taken into account.

        Raises:
            ChatError: `unauthenticated`, or `forbidden` for a foreign origin or tenant.
        """
        if token is None:
            token = self._cookie(request)
        identity = await self.authenticate(token)
        tag = request.headers.get("x-tenant-tag")
        if tag is None or tag == identity.actor.tenant:
            return identity
        if self._settings.trust_tenant_header and not identity.tenant_claimed:
            return Identity(_in_tenant(identity.actor, tag), identity.expires, tenant_claimed=False)
        raise ChatError(ErrorCode.FORBIDDEN, "The header x-tenant-tag names another tenant than the token.")

    def _cookie(self, request: web.Request) -> str | None:
        token = next((request.cookies[name] for name in COOKIES if name in request.cookies), None)
        if token is not None and not self._same_site(request):
            # Browsers send cookies from any page: without this check any site could chat in its visitors' names.
            raise ChatError(ErrorCode.FORBIDDEN, "A cookie token is not accepted from this origin (ALLOWED_ORIGINS).")
        return token

    def _same_site(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        if origin is None:
            return request.method in ("GET", "HEAD") and "Upgrade" not in request.headers
        return self.origins.trusts(origin, request.host)


def _origins_of(settings: Settings) -> Origins:
    try:
        return Origins(settings.allowed_origins)
    except ValueError as error:
        raise SettingsError(f"ALLOWED_ORIGINS: {error}") from error


def _in_tenant(actor: Actor, tenant: str) -> Actor:
    try:
        return Actor.model_validate({**actor.model_dump(), "tenant": tenant})
    except ValidationError as error:
        raise ChatError(ErrorCode.INVALID, "The header x-tenant-tag cannot be a tenant's id.") from error


def token_of(request: web.Request) -> str | None:
    """The token a request carries outside its cookies: Bearer header, `?token=`, or a `bearer.<jwt>` subprotocol."""
    header = request.headers.get("Authorization", "")
    if header[:7].lower() == "bearer ":
        return header[7:].strip()
    if "token" in request.query:
        return request.query["token"]
    offered = (item.strip() for item in request.headers.get("Sec-WebSocket-Protocol", "").split(","))
    return next((item.removeprefix(BEARER_PROTOCOL) for item in offered if item.startswith(BEARER_PROTOCOL)), None)


def protocols_of(request: web.Request) -> tuple[str, ...]:
    """The subprotocols to accept: never the one that carries the token."""
    return (SUBPROTOCOL,) if SUBPROTOCOL in request.headers.get("Sec-WebSocket-Protocol", "") else ()


def client_address(request: web.Request) -> str:
    """The peer's address."""
    return request.remote or "unknown"
