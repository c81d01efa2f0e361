"""Tokens: who is let in, with which claims, and what is said to everybody else."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.auth import Authenticator, identity_from, issue_token
from shared.contracts.errors import ChatError, ErrorCode
from shared.settings import DEVELOPMENT_SECRET, Settings, SettingsError

SECRET = "a-secret-of-64-bytes-so-that-every-hmac-algorithm-is-content-with-it"


def settings(**values: Any) -> Settings:
    """Settings with a usable secret."""
    return Settings(**{"jwt_secret": SECRET, **values})


def token(claims: dict[str, Any] | None = None, *, secret: str = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    """A signed token; `claims` instead of the usual ones, `more` beside them."""
    usual = {"sub": "alice", "exp": time.time() + 60}
    return jwt.encode({**(usual if claims is None else claims), **more}, secret, algorithm=algorithm)


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    """A private and a public key, PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


async def refusal(value: str | None, **values: Any) -> ChatError:
    """Why a token is refused."""
    with pytest.raises(ChatError) as caught:
        await Authenticator(settings(**values)).authenticate(value)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    assert not value or value not in caught.value.message
    return caught.value


class TestAccepted:
    async def test_a_token_proves_its_claims(self) -> None:
        """Names, avatar, roles and tenant come from it."""
        claims = {"name": "Alice", "avatar": "https://example.org/a.png", "roles": ["admin"], "tenant": "acme"}
        expires = int(time.time()) + 60
        identity = await Authenticator(settings()).authenticate(token({"sub": "alice", "exp": expires, **claims}))
        actor = identity.actor
        assert (actor.id, actor.name, actor.tenant, actor.roles) == ("alice", "Alice", "acme", ("admin",))
        assert (identity.expires, identity.tenant_claimed) == (expires, True)

    async def test_tokens_issued_here_are_accepted_here(self) -> None:
        """Tools and tests use the same claims."""
        issued = issue_token(SECRET, sub="bob", name="Bob", roles=["admin"], tenant="acme")
        actor = (await Authenticator(settings()).authenticate(issued)).actor
        assert (actor.id, actor.name, actor.roles, actor.tenant) == ("bob", "Bob", ("admin",), "acme")

    async def test_a_little_clock_difference_is_forgiven(self) -> None:
        """Seconds, not minutes."""
        await Authenticator(settings()).authenticate(token(exp=time.time() - 2))
        await refusal(token(exp=time.time() - 30))

    async def test_a_public_key(self, keys: tuple[str, str]) -> None:
        """From one line of an environment file, too."""
        private, public = keys
        signed = token(secret=private, algorithm="RS256")
        for form in (public, public.replace("\n", "\\n")):
            identity = await Authenticator(settings(jwt_public_key=form)).authenticate(signed)
            assert identity.actor.id == "alice"


class TestRefused:
    @pytest.mark.parametrize("nothing", [None, ""])
    async def test_no_token(self, nothing: str | None) -> None:
        """The answer says how to send one."""
        assert "Bearer" in (await refusal(nothing)).message

    async def test_expired(self) -> None:
        """In words a client can show."""
        assert "expired" in (await refusal(issue_token(SECRET, sub="alice", ttl=-60))).message

    @pytest.mark.parametrize(
        "claims", [{"sub": "alice"}, {"exp": 4e9}, {"sub": "", "exp": 4e9}, {"sub": "a b", "exp": 4e9}]
    )
    async def test_a_missing_or_unusable_subject_or_end(self, claims: dict[str, Any]) -> None:
        """A token without an end would be valid for ever."""
        await refusal(token(claims))

    @pytest.mark.parametrize("garbage", ["x", "a.b.c", "é", "Bearer ", "\0", "." * 5000])
    async def test_garbage(self, garbage: str) -> None:
        """Whatever is sent is answered the same way."""
        await refusal(garbage)

    async def test_another_secret(self) -> None:
        """Signed by somebody else."""
        await refusal(token(secret="another-secret-of-thirty-two-bytes!"))

    async def test_unsigned(self) -> None:
        """`alg: none` is no signature."""
        await refusal(jwt.encode({"sub": "alice", "exp": 4e9}, "", algorithm="none"))

    async def test_algorithms_are_pinned_by_the_key(self, keys: tuple[str, str]) -> None:
        """A public key is no shared secret (RFC 8725 section 2.1), and one HMAC is as good as no other."""
        _, public = keys
        await refusal(token(algorithm="HS512"))
        await refusal(token(), jwt_public_key=public)

    async def test_audience_and_issuer_where_they_are_asked_for(self) -> None:
        """A token for another application is not for this one."""
        wanted = {"jwt_audience": "chat", "jwt_issuer": "shop"}
        await Authenticator(settings(**wanted)).authenticate(token(aud="chat", iss="shop"))
        await refusal(token(aud="other", iss="shop"), **wanted)
        await refusal(token(aud="chat", iss="other"), **wanted)
        await refusal(token(), **wanted)
        await Authenticator(settings()).authenticate(token(aud="other", iss="other"))


class TestClaims:
    def actor(self, **claims: Any) -> Any:
        """The actor of claims."""
        return identity_from({"sub": "alice", "exp": 4e9, **claims}).actor

    @pytest.mark.parametrize(
        ("claims", "roles"),
        [
            ({}, ()),
            ({"role": "admin"}, ("admin",)),
            ({"roles": "admin"}, ("admin",)),
            ({"roles": ["a", "b"]}, ("a", "b")),
            ({"roles": ["a"], "role": "b"}, ("a",)),
            ({"roles": None}, ()),
        ],
    )
    def test_roles_in_every_usual_form(self, claims: dict[str, Any], roles: tuple[str, ...]) -> None:
        """One or many, in either claim."""
        assert self.actor(**claims).roles == roles

    def test_a_name_is_made_of_its_parts(self) -> None:
        """Where there is no whole one."""
        assert self.actor(first_name="Ada", last_name="Lovelace").name == "Ada Lovelace"
        assert self.actor(first_name="Ada", name="Countess").name == "Countess"
        assert self.actor().name is None

    def test_without_a_tenant_it_is_the_default_one(self) -> None:
        """And a header may be trusted to name it."""
        identity = identity_from({"sub": "alice", "exp": 4e9})
        assert (identity.actor.tenant, identity.tenant_claimed) == ("default", False)

    @pytest.mark.parametrize(
        ("claim", "value"),
        [("tenant", ""), ("tenant", 5), ("name", "x" * 201), ("roles", 5), ("roles", [5]), ("roles", ["x"] * 51),
         ("avatar", {}), ("sub", None)],
    )  # fmt: skip
    def test_an_unusable_claim_is_named(self, claim: str, value: Any) -> None:
        """The owner of the issuer will want to know which."""
        with pytest.raises(ChatError, match=claim):
            self.actor(**{claim: value})


class TestSecrets:
    def test_a_start_without_a_usable_secret_is_refused(self) -> None:
        """None, too short, or the one everybody knows."""
        for secret, reason in (("", "not set"), ("short", "5 bytes"), (DEVELOPMENT_SECRET, "public development")):
            with pytest.raises(SettingsError, match=reason):
                Authenticator(settings(jwt_secret=secret))

    async def test_embedded_mode_knows_the_development_secret(self) -> None:
        """There, and nowhere else."""
        authenticator = Authenticator(settings(jwt_secret="", embedded=True))
        identity = await authenticator.authenticate(issue_token(DEVELOPMENT_SECRET, sub="alice"))
        assert identity.actor.id == "alice"

    def test_bytes_count_not_characters(self) -> None:
        """Sixteen umlauts are thirty-two bytes."""
        Authenticator(settings(jwt_secret="ä" * 16))
