"""Signed links to files: whoever has one may get that file, until it expires. Pure.

A page cannot send a token along with a picture it shows, so a link carries what it needs. It says neither who may use
it nor what the file is in; whoever is given one has been let in where the file is.
"""

import hmac
from typing import NamedTuple
from urllib.parse import urlencode

from shared.contracts.media import media_path
from shared.contracts.media_terms import VariantName

_LENGTH = 32
"""Hex digits of a signature: 128 bits."""


class SignedLink(NamedTuple):
    """A link, and when it ends (seconds since the epoch)."""

    url: str
    expires: int


class Links:
    """Makes and reads links.

    Args:
        secret: what gateways and the media service share (`shared.auth.media_secret`).
        lifetime: seconds for which a link works at least; twice as long at most.
        origin: what links begin with, `https://chat.example.com`; empty: they are paths.
    """

    def __init__(self, secret: str, lifetime: int, origin: str = "") -> None:
        self._key = hmac.digest(secret.encode(), b"parley: links to files", "sha256")
        self._lifetime = lifetime
        self._origin = origin

    def sign(self, media_id: str, variant: VariantName, now: float) -> SignedLink:
        """A link to a form of a file. Within `lifetime` it stays the same, so that browsers can keep what they have."""
        expires = (int(now) // self._lifetime + 2) * self._lifetime
        query = urlencode({"expires": expires, "signature": self._signature(media_id, variant, expires)})
        return SignedLink(f"{self._origin}{media_path(media_id, variant)}?{query}", expires)

    def holds(self, media_id: str, variant: VariantName, expires: int, signature: str, now: float) -> bool:
        """Whether this server has signed such a link, and it has not expired."""
        expected = self._signature(media_id, variant, expires)
        return hmac.compare_digest(expected.encode(), signature.encode()) and now < expires

    def _signature(self, media_id: str, variant: VariantName, expires: int) -> str:
        text = f"{media_id}/{variant}/{expires}".encode()
        return hmac.digest(self._key, text, "sha256").hex()[:_LENGTH]
