"""Names of files: any that somebody sends is made harmless, and told by a header that it cannot break. Pure."""

import re
import unicodedata
from urllib.parse import quote

from services.media.kinds import ENDING_OF, ENDINGS, TEXTS, alike, ending
from shared.contracts.media import MAX_NAME

NAMELESS = "file"

_HARMFUL = re.compile(r'[<>:"|?*]')
"""What Windows takes for something else in a name; slashes are cut at."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=\s*(?:\.|\Z))", re.IGNORECASE)
"""Devices of Windows, which no ending makes a file."""

_JOINERS = frozenset("\u200c\u200d")
"""Of the characters that are not seen, those that words and emoji need."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_EDGES = " .\u00a0\u3000" + "".join(_JOINERS)
_LONGEST_ENDING = 16


def safe_name(given: str | None, mime_type: str) -> str:
    """A name for a file of this type: what was given, without its path, and without what deceives or does harm.

    It has 1 to MAX_NAME characters, is in NFC, and ends as its type's names do where it ended in nothing or in
    something else. Made safe again, it stays as it is.
    """
    name = _cleaned(re.split(r"[/\\]", given or "")[-1])
    wanted, has = ENDING_OF.get(mime_type), ending(name)
    fits = wanted is None or _fits(has, mime_type)
    if fits and 0 < len(has) <= _LONGEST_ENDING:
        stem, last = name[: -len(has) - 1], name[-len(has) - 1 :]
    else:
        stem, last = name, "" if fits else f".{wanted}"
    # One character is left for the mark of a reserved name.
    stem = stem[: MAX_NAME - 1 - len(last)].rstrip(_EDGES) or NAMELESS
    return ("_" if _RESERVED.match(stem) else "") + stem + last


def _fits(has: str, mime_type: str) -> bool:
    """Whether a name may end so. Texts have more endings than are known here."""
    if has not in ENDINGS:
        return bool(has) and mime_type in TEXTS
    return alike(ENDINGS[has], mime_type)


def _cleaned(name: str) -> str:
    """A name without characters that are not seen, and with all blanks as plain ones."""
    kept = "".join(
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", name)
        if character.isspace() or character in _JOINERS or unicodedata.category(character) not in _UNSEEN
    )
    return unicodedata.normalize("NFC", _HARMFUL.sub("_", kept)).strip(_EDGES)


def disposition(name: str, *, inline: bool) -> str:
    """The value of a `Content-Disposition` header (RFC 6266), in ASCII: the name as it is by RFC 8187, and nearly so.

    Args:
        name: any text; what cannot stand in a header is replaced.
        inline: whether a browser may show the file, rather than save it.
    """
    kind = "inline" if inline else "attachment"
    plain = "".join(character if " " <= character <= "~" and character not in '"\\%' else "_" for character in name)
    value = f'{kind}; filename="{plain}"'
    if plain == name:
        return value
    encoded = quote(name.encode("utf-8", "replace"), safe="!#$&+-.^_`|~")
    return f"{value}; filename*=UTF-8''{encoded}"
