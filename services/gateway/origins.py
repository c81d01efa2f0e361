"""Whose pages may use the gateway from a browser (`ALLOWED_ORIGINS`). Pure.

A page names its origin (RFC 6454), and only browsers do: whoever sends none is no page. An origin that is listed is
trusted: its pages come with their visitors' cookies. `*` lets any page in that brings a token of its own, which no
foreign page can have; cookies it could use unasked, so with them it stays outside.
"""

from urllib.parse import urlsplit

ANY = "*"
DEFAULT_PORTS = {"http": 80, "https": 443}


class Origins:
    """The origins that are let in.

    Raises:
        ValueError: at construction, naming what is no origin.
    """

    def __init__(self, text: str) -> None:
        listed = [item.strip() for item in text.split(",") if item.strip()]
        self._any = ANY in listed
        self._trusted = {_listed(item) for item in listed if item != ANY}

    def allows(self, origin: str, host: str) -> bool:
        """Whether a page of an origin may ask, having reached the gateway as `host`."""
        return self._any or self.trusts(origin, host)

    def trusts(self, origin: str, host: str) -> bool:
        """Whether it may do so by its visitors' cookies."""
        try:
            return _normal(origin) in self._trusted or urlsplit(origin).netloc == host
        except ValueError:  # `null`, or no address at all
            return False


def origin_of(address: str) -> str:
    """An address that is nothing but an origin, `https://chat.example.com`, in its normal form.

    Raises:
        ValueError: saying why it is none.
    """
    parts = urlsplit(address)
    if parts.scheme not in DEFAULT_PORTS or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"'{address}' is not http://host:port or https://host and no more")
    try:
        return _normal(address)
    except ValueError as error:
        raise ValueError(f"'{address}' is no address of a server ({error})") from error


def _normal(address: str) -> str:
    """An address's origin: where a setting names a whole page, only that counts."""
    parts = urlsplit(address)
    name = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    if not parts.scheme or not name or "@" in parts.netloc or ANY in name:
        raise ValueError("it has no scheme and host")
    host = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{host}" if port == DEFAULT_PORTS.get(parts.scheme) else f"{parts.scheme}://{host}:{port}"


def _listed(address: str) -> str:
    try:
        return _normal(address)
    except ValueError as error:
        raise ValueError(
            f"'{address}' is no origin, as https://app.example.com is one ({error}), nor '{ANY}'"
        ) from error
