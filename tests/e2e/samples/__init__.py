"""The sample code of the dialects' documents, as they print it: a file for each piece."""

from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def sample(name: str, places: Mapping[str, str] | None = None) -> str:
    """A piece with its placeholders filled in, each of which must be there."""
    text = (HERE / name).read_text()
    for placeholder, value in (places or {}).items():
        assert placeholder in text, f"{name} has no {placeholder}"
        text = text.replace(placeholder, value)
    return text
