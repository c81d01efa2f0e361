"""Reads transcripts: what clients send and are told, line by line. Pure.

    == 1. A section: a test of its own, with people of its own
    # a remark
    alice {"name": "Alice"}                          who somebody is: claims of their token
    alice connects {"auth": {"token": "$alice"}}     options of the client; by default her token, $alice, as the
                                                     dialect's clients give it, in its first namespace
    alice > join_room {"roomId": "$room"} -> {…}     sends an event; after the arrow, what acknowledges it
    alice < joined_room {"roomId": "$room"}          is told an event, of which nothing before was told
    alice !< message_deleted                         has not been told such an event until now
    alice !< message_deleted {"messageId": "$old"}   nor one with this payload
    alice GET /chat/rooms/$room -> 200 {…}           a request, and its response
    alice with {"x-tenant-tag": "acme"} GET …        the same, with headers
    alice soon GET /chat/rooms/$room -> 200 {…}      the same, or `soon >`: it takes a moment, asked until it is so
    alice 999 times POST /chat/messages {…} -> 201   the same so often, all of it at once
    alice refused {"message": "…"}                   instead of `connects`: may not, and why
    alice refused {"auth": {}} -> {"message": "…"}   the same, with options of the client
    alice disconnects

`nobody` has no token. A line that begins with a blank goes on with the one before. `$name` is bound to what is there
when it is first seen, and stands for that from then on; in options, `$server` is where the client connects. `...`
stands for whatever is there: as a value, as the rest of an object's fields, or of an array, at its end or its
beginning; `"x" * 3` for `"xxx"`. What a file's name has before a hyphen is the dialect.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

ANYTHING = "\0anything"
REST = "\0rest"

_LINE = re.compile(
    r"(?P<who>\w+) (?:(?P<soon>soon )|(?P<times>[1-9]\d*) times )?(?:with (?P<headers>\{[^}]*\}) )?"
    r"(?P<verb>connects|disconnects|refused|!<|<|>|GET|POST|PUT|PATCH|DELETE)(?: (?P<what>.*))?"
)
_CLAIMS = re.compile(r"(?P<who>\w+) (?P<claims>\{.*)")
_TOKENS = re.compile(r'"(?:\\.|[^"\\])*"(?: \* \d+)?|\.\.\.|[{}\[\]]|[^"{}\[\].]+|\.')
ARROW = " -> "


@dataclass(frozen=True, slots=True)
class Line:
    """Something that somebody does, or is told."""

    number: int
    who: str
    verb: str
    name: str = ""
    """The event's, or the path."""
    sent: Any = None
    got: Any = None
    """What is told or answered; None where that is not looked at."""
    status: int = 0
    soon: bool = False
    """Whether it may take a moment until it is answered so."""
    times: int = 1
    """How often it is done, all at once and to the same end."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Section:
    """A part of a transcript that stands for itself."""

    title: str
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)


def read(text: str) -> list[Section]:
    """The sections of a transcript.

    Raises:
        ValueError: naming the line that is none.
    """
    sections: list[Section] = []
    for number, line in _joined(text):
        try:
            if line.startswith("== "):
                sections.append(Section(line[3:]))
            elif claims := _CLAIMS.fullmatch(line):
                sections[-1].claims[claims["who"]] = json.loads(claims["claims"])
            else:
                sections[-1].lines.append(_line(number, line))
        except (ValueError, IndexError) as error:
            raise ValueError(f"line {number}: {line}: {error}") from error
    return sections


def _joined(text: str) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] == " ":
            first, start = lines[-1]
            lines[-1] = (first, f"{start} {line.strip()}")
        else:
            lines.append((number, line.rstrip()))
    return lines


def _line(number: int, text: str) -> Line:
    found = _LINE.fullmatch(text)
    if found is None:
        raise ValueError("it says nothing that a transcript can say")
    who, verb, what = found["who"], found["verb"], found["what"] or ""
    before, _, after = what.partition(ARROW)
    if verb in {"connects", "disconnects"}:
        return Line(number, who, verb, sent=parse(what) if what else {})
    if verb == "refused":
        return Line(number, who, verb, sent=parse(before) if after else {}, got=parse(after or before))
    name, _, payload = before.partition(" ")
    value = parse(payload) if payload else None
    if verb in {"<", "!<"}:
        return Line(number, who, verb, name, got=value)
    if verb == ">":
        return Line(number, who, verb, name, sent=value, got=parse(after) if after else None, soon=bool(found["soon"]))
    status, _, body = after.partition(" ")
    return Line(
        number,
        who,
        verb,
        name,
        sent=value,
        got=parse(body) if body else None,
        status=int(status),
        soon=bool(found["soon"]),
        times=int(found["times"] or 1),
        headers=json.loads(found["headers"] or "{}"),
    )


def parse(text: str) -> Any:
    """JSON in which `...` may stand. Raises ValueError."""
    out: list[str] = []
    inside: list[str] = []
    for token in _TOKENS.findall(text):
        if token in "{[":
            inside.append(token)
        elif token in "}]":
            inside.pop()
        if token == "...":
            rest = inside and "".join(out).rstrip()[-1] in "{[,"
            token = json.dumps(REST) + (": 0" if inside[-1] == "{" else "") if rest else json.dumps(ANYTHING)  # noqa: PLW2901
        elif token[0] == '"' and token[-1] != '"':
            text, _, times = token.rpartition(" * ")
            token = json.dumps(json.loads(text) * int(times))  # noqa: PLW2901
        out.append(token)
    return json.loads("".join(out))


class Mismatch(AssertionError):  # noqa: N818 - what is compared is no error in itself
    """What is there is not what a transcript says."""


def match(expected: Any, found: Any, bound: dict[str, Any], at: str = "") -> dict[str, Any]:
    """Compare, and bind variables that are seen for the first time.

    Returns:
        All that is bound then; `bound` stays as it is.

    Raises:
        Mismatch: saying where.
    """
    if expected == ANYTHING:
        return bound
    if isinstance(expected, str) and re.fullmatch(r"\$\w+", expected) and expected[1:] not in bound:
        return {**bound, expected[1:]: found}
    if isinstance(expected, dict) and isinstance(found, dict):
        return _match_fields(expected, found, bound, at)
    if isinstance(expected, list) and isinstance(found, list):
        whole = REST not in expected
        items = [item for item in expected if item != REST]
        if len(found) < len(items) or (whole and len(found) > len(items)):
            raise Mismatch(f"{at or 'it'} has {len(found)} items: {found}")
        first = len(found) - len(items) if expected[:1] == [REST] else 0
        for number, (one, other) in enumerate(zip(items, found[first:], strict=False), start=first):
            bound = match(one, other, bound, f"{at}[{number}]")
        return bound
    if type(expected) is not type(found) or fill(expected, bound) != found:
        raise Mismatch(f"{at or 'it'} is {found!r}, not {fill(expected, bound)!r}")
    return bound


def _match_fields(expected: dict[str, Any], found: dict[str, Any], bound: dict[str, Any], at: str) -> dict[str, Any]:
    missing = expected.keys() - found.keys() - {REST}
    more = found.keys() - expected.keys()
    if missing or (more and REST not in expected):
        raise Mismatch(f"{at or 'it'} lacks {sorted(missing)} and has {sorted(more)} besides: {found}")
    for name, value in expected.items():
        if name != REST:
            bound = match(value, found[name], bound, f"{at}.{name}")
    return bound


def fill(value: Any, bound: dict[str, Any]) -> Any:
    """A value with its variables filled in; those that are not bound stay."""
    if isinstance(value, str):
        if re.fullmatch(r"\$\w+", value):
            return bound.get(value[1:], value)
        return re.sub(r"\$(\w+)", lambda name: str(bound.get(name[1], name[0])), value)
    if isinstance(value, dict):
        return {name: fill(item, bound) for name, item in value.items()}
    if isinstance(value, list):
        return [fill(item, bound) for item in value]
    return value
