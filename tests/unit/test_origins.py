"""Whose pages are let in, and whose cookies count."""

import pytest

from services.gateway.origins import Origins

HOST = "chat.example.com"


def test_any_page_is_let_in_without_cookies_by_a_star() -> None:
    """Files and sandboxed frames too, whose origin is `null`; cookies count on pages of the same host alone."""
    origins = Origins("*")
    for origin in ("https://elsewhere.example", "null", "http://localhost:3000", "nonsense", ""):
        assert origins.allows(origin, HOST), origin
        assert not origins.trusts(origin, HOST), origin
    assert origins.trusts(f"https://{HOST}", HOST)


def test_listed_pages_are_let_in_with_cookies() -> None:
    """And nobody else; what is listed may be a whole address, in capitals, or with the usual port."""
    origins = Origins(" https://App.example.com/start , http://localhost:5173,https://x.example:443 ")
    for origin in ("https://app.example.com", "http://localhost:5173", "https://x.example", f"http://{HOST}"):
        assert origins.allows(origin, HOST), origin
        assert origins.trusts(origin, HOST), origin
    for origin in ("http://app.example.com", "https://app.example.com.evil.example", "http://localhost", "null", "x"):
        assert not origins.allows(origin, HOST), origin


def test_a_star_beside_a_list_lets_everybody_in_and_trusts_the_list() -> None:
    """As an application with cookies wants it whose API is open."""
    origins = Origins("*,https://app.example.com")
    assert origins.trusts("https://app.example.com", HOST)
    assert origins.allows("https://other.example", HOST)
    assert not origins.trusts("https://other.example", HOST)


def test_nothing_means_the_same_host() -> None:
    """Whatever it is reached by."""
    origins = Origins("")
    assert origins.allows("http://127.0.0.1:3000", "127.0.0.1:3000")
    assert not origins.allows("http://127.0.0.1:3001", "127.0.0.1:3000")
    assert not origins.allows("null", "127.0.0.1:3000")


@pytest.mark.parametrize(
    "text", ["app.example.com", "null", "https://", "https://a.example:x", "https://*.example.com", "http://u@h"]
)
def test_what_is_no_origin_is_named(text: str) -> None:
    """At the start, not when the first page asks."""
    with pytest.raises(ValueError, match="is no origin"):
        Origins(f"https://fine.example,{text}")
