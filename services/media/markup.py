"""Recognises text that a browser or a shell would run: HTML, SVG, XML that becomes either, scripts. Pure.

Looks for markers at the start, as browsers do that sniff (https://mimesniff.spec.whatwg.org, section 7.1), behind byte
order marks, blanks and comments, and in UTF-16.
"""

import re

from services.media.kinds import HTML, SCRIPT, SVG, XML

_BLANK = "\ufeff\x00 \t\n\x0b\x0c\r"
_SKIPPED = re.compile(
    r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!doctype\s+(?!html|svg)[^<>\[]*(?:\[.*?\]\s*)?>?", re.DOTALL | re.IGNORECASE
)
_TAGS = re.compile(
    r"<(?:!doctype\s+html|(?:html|head|body|script|iframe|frameset|object|embed|applet|style|title|meta|link|base|form|"
    r"img|video|audio|math|h[1-6]|div|font|table|a|b|br|p|span|center|template|noscript)(?=[\s/>]|\Z))",
    re.IGNORECASE,
)
_SVG = re.compile(r"<!doctype\s+svg|<(?:[\w.-]+:)?svg(?=[\s/>]|\Z)", re.IGNORECASE)
_XHTML = re.compile(r"<(?:[\w.-]+:)?html(?=[\s/>]|\Z)|http://www\.w3\.org/1999/xhtml|<\?xml-stylesheet", re.IGNORECASE)
_SVG_ANYWHERE = re.compile(r"http://www\.w3\.org/2000/svg", re.IGNORECASE)
_ROOT = re.compile(r"<[\w:.-]+(?=[\s/>]|\Z)")


def markup_in(head: bytes) -> str | None:
    """What a text is that begins so, where it is one that could be run, or XML; None for anything else."""
    for text in _readings(head):
        if (found := _named(text.lstrip(_BLANK))) is not None:
            return found
    return None


def _readings(head: bytes) -> list[str]:
    """The head as text: a byte for a character, which leaves ASCII legible; and as UTF-16 where it may be that."""
    readings = [head.removeprefix(b"\xef\xbb\xbf").decode("latin-1")]
    if b"\x00" in head[:64] or head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        readings += [head.decode("utf-16-le", "replace"), head.decode("utf-16-be", "replace")]
    return readings


def _named(text: str) -> str | None:
    if text.startswith("#!"):
        return SCRIPT
    if not text.startswith("<"):
        return None
    begin = _begin(text)
    if _SVG.match(begin):
        return SVG
    if _TAGS.match(begin):
        return HTML
    declared = text[:5].lower() == "<?xml"
    if declared or _ROOT.match(begin):
        # Elements of these namespaces work wherever in a document they stand, under whatever name.
        return SVG if _SVG_ANYWHERE.search(text) else HTML if _XHTML.search(text) else XML if declared else None
    return HTML if not begin and "<!--" in text else None  # nothing but a comment: what follows it is not seen


def _begin(text: str) -> str:
    """The text from its first element on."""
    while (skipped := _SKIPPED.match(text)) is not None and skipped.end():
        text = text[skipped.end() :].lstrip(_BLANK)
    return text
