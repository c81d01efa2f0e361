"""Tokens: from a JWT to an Actor, and back for tools and tests. The only module that imports jwt.

Algorithms are pinned by the kind of key (RFC 8725 section 3.1): a secret verifies HS256 only, a public key or
JWKS RS256 and ES256 only. `exp` is required.
"""

import asyncio
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from pydantic import ValidationError

from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.settings import DEVELOPMENT_SECRET, MIN_SECRET, Settings, SettingsError

LEEWAY = 5
"""Seconds of clock difference between issuer and gateway that are forgiven."""

VOUCHED = 60
"""Seconds in which a gateway's request has to reach the media service."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is connected, and until when (`expires`, seconds since the epoch)."""

    actor: Actor
    expires: float
    tenant_claimed: bool


class Authenticator:
    """Verifies tokens with the keys the settings name.

    Raises:
        SettingsError: at construction, where there is no key, the secret is too short, or the public development
            secret is used outside embedded mode.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jwks: jwt.PyJWKClient | None = None
        self._key: str | None = None
        if settings.jwt_jwks_url:
            self._jwks = jwt.PyJWKClient(settings.jwt_jwks_url, cache_keys=True, timeout=5)
            self._algorithms = ["RS256", "ES256"]
        elif settings.jwt_public_key:
            self._key = settings.jwt_public_key.replace("\\n", "\n")
            self._algorithms = ["RS256", "ES256"]
        else:
            self._key = checked_secret(settings)
            self._algorithms = ["HS256"]

    async def authenticate(self, token: str | None) -> Identity:
        """The identity a token proves.

        Raises:
            ChatError: `unauthenticated`, saying what is wrong with the token (never repeating it).
        """
        if not token:
            raise _refused("No token was given: send it as a Bearer header, ?token=, cookie or subprotocol.")
        if not token.isascii():
            raise _refused("The token is not valid: it has characters that are in no JWT.")
        try:
            key = self._key if self._jwks is None else await self._jwks_key(token)
            claims = jwt.decode(
                token.removeprefix("Bearer "),
                key or "",
                algorithms=self._algorithms,
                leeway=LEEWAY,
                audience=self._settings.jwt_audience or None,
                issuer=self._settings.jwt_issuer or None,
                options={"require": ["exp", "sub"], "verify_aud": bool(self._settings.jwt_audience)},
            )
        except jwt.ExpiredSignatureError as error:
            raise _refused("The token has expired: get a new one.") from error
        except jwt.PyJWKClientConnectionError as error:
            raise ChatError(ErrorCode.UNAVAILABLE, "The token keys cannot be fetched; try again.") from error
        except jwt.PyJWTError as error:
            raise _refused(f"The token is not valid: {str(error).rstrip('.')}.") from error
        return identity_from(claims)

    async def _jwks_key(self, token: str) -> Any:
        client = self._jwks
        assert client is not None  # noqa: S101 - only called where there is one
        return (await asyncio.to_thread(client.get_signing_key_from_jwt, token)).key


def identity_from(claims: Mapping[str, Any]) -> Identity:
    """Read the claims of a verified token: `sub`, names, `avatar`, `roles` or `role`, `tenant`, `exp`.

    Raises:
        ChatError: `unauthenticated`, naming the claim that cannot be used.
    """
    try:
        actor = Actor(
            id=claims["sub"],
            tenant=claims.get("tenant", "default"),
            name=claims.get("name") or _joined(claims),
            first_name=claims.get("first_name"),
            last_name=claims.get("last_name"),
            avatar=claims.get("avatar"),
            roles=_roles(claims.get("roles", claims.get("role"))),
        )
        expires = float(claims["exp"])
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
        raise _refused(f"The token's claim '{'sub' if field == 'id' else field}' cannot be used.") from error
    except OverflowError as error:
        raise _refused("The token's claim 'exp' cannot be used.") from error
    return Identity(actor=actor, expires=expires, tenant_claimed="tenant" in claims)


def issue_token(
    secret: str,
    *,
    sub: str,
    ttl: int = 3600,
    name: str | None = None,
    roles: Sequence[str] = (),
    tenant: str | None = None,
) -> str:
    """A token for `sub`, valid for `ttl` seconds (negative: already expired). For tools and tests."""
    claims: dict[str, Any] = {"sub": sub, "exp": int(time.time()) + ttl}
    if name is not None:
        claims["name"] = name
    if roles:
        claims["roles"] = list(roles)
    if tenant is not None:
        claims["tenant"] = tenant
    return jwt.encode(claims, secret, algorithm="HS256")


def checked_secret(settings: Settings) -> str:
    """The HS256 secret, if it may be used here. Raises SettingsError otherwise."""
    secret = settings.jwt_secret
    if settings.embedded:
        return secret or DEVELOPMENT_SECRET
    if not secret:
        raise SettingsError("JWT_SECRET is not set: give a random secret of at least 32 bytes, or a public key.")
    if secret == DEVELOPMENT_SECRET:
        raise SettingsError("JWT_SECRET is the public development secret: give a random one of at least 32 bytes.")
    if len(secret.encode()) < MIN_SECRET:
        raise SettingsError(f"JWT_SECRET is {len(secret.encode())} bytes long: at least {MIN_SECRET} are needed.")
    return secret


class Vouchers:
    """What gateways say to the media service about who asks: a token of their own, for a minute and this purpose only.

    Args:
        secret: `media_secret`; what signs is derived from it, so that no user's token is taken for one of these.
    """

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"parley: vouchers of gateways", "sha256")

    def issue(self, actor: Actor) -> str:
        """Vouch for somebody."""
        claims = {"actor": actor.model_dump(mode="json", exclude_none=True), "exp": int(time.time()) + VOUCHED}
        return jwt.encode(claims, self._key, algorithm="HS256")

    def read(self, voucher: str) -> Actor:
        """Who is vouched for. Raises ChatError `unauthenticated`."""
        try:
            claims = jwt.decode(voucher, self._key, algorithms=["HS256"], leeway=LEEWAY, options={"require": ["exp"]})
            return Actor.model_validate(claims["actor"])
        except (jwt.PyJWTError, KeyError, ValidationError) as error:
            raise _refused("No gateway vouches for this request.") from error


def media_secret(settings: Settings) -> str:
    """The secret that gateways and the media service share. Raises SettingsError where there is none to use."""
    if not settings.media_secret:
        try:
            return checked_secret(settings)
        except SettingsError as error:
            raise SettingsError(f"MEDIA_SECRET is not set, and without it: {error}") from error
    if len(settings.media_secret.encode()) < MIN_SECRET:
        raise SettingsError(f"MEDIA_SECRET is too short: at least {MIN_SECRET} bytes are needed.")
    return settings.media_secret


def _roles(claim: Any) -> Any:
    """One role or a list of them. An object is neither: `{"admin": false}` must not make an admin."""
    if claim is None or isinstance(claim, str):
        return () if claim is None else (claim,)
    return tuple(claim) if isinstance(claim, list) else claim


def _joined(claims: Mapping[str, Any]) -> str | None:
    names = [claims[key] for key in ("first_name", "last_name") if isinstance(claims.get(key), str)]
    return " ".join(names)[:200] or None


def _refused(message: str) -> ChatError:
    return ChatError(ErrorCode.UNAUTHENTICATED, message)
