"""What holds for every file of the house and cannot be said in .importlinter."""

import ast
import re
import sys
from configparser import ConfigParser
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
"""Files have some 300 lines; past this they are two files."""

IMPURE = frozenset({
    "aio_pika", "aiohttp", "asyncio", "jwt", "motor", "os", "pymongo", "random", "secrets", "socket", "structlog",
    "time", "uuid",
})  # fmt: skip
CLOCKS = re.compile(r"\b(?:datetime\.(?:now|utcnow|today)|date\.today)\(")
CONSTRUCTED = frozenset({
    "Announcer", "Attendance", "Authenticator", "Consumer", "Dispatcher", "Edge", "Fanout", "Hub", "Link", "Mongo",
    "PeopleStore", "PresenceStore", "PresenceSweep", "Presences", "Publisher", "Repository", "Requests", "Responder",
    "Rest", "Shards", "Subscriptions", "Summaries", "Typists", "Watching",
})  # fmt: skip
"""What a process has one of, or of each kind."""


def modules(*packages: str) -> list[Path]:
    """Every Python file of these packages."""
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def docstring(path: Path) -> str:
    """A module's docstring; empty where there is none."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def is_pure(path: Path) -> bool:
    """Whether a module says of itself that it is pure."""
    return re.search(r"\bPure\b", docstring(path)) is not None


def imported(path: Path) -> set[str]:
    """The top-level packages and modules a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module.partition(".")[0])
    return found


def constructed(path: Path) -> set[str]:
    """The names of classes of CONSTRUCTED that a file makes instances of."""
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)} & CONSTRUCTED


PRODUCT = modules("services", "shared")
PURE = [path for path in PRODUCT if is_pure(path)]
every = pytest.mark.parametrize("path", PRODUCT, ids=module_name)
pure = pytest.mark.parametrize("path", PURE, ids=module_name)


@every
def test_a_module_says_its_job(path: Path) -> None:
    """In its docstring, in a first sentence."""
    assert re.match(r".+[.:!?]", docstring(path), re.DOTALL), f"{path} has no docstring"


@pytest.mark.parametrize("path", modules("services", "shared", "deploy", "benchmarks", "tests"), ids=module_name)
def test_files_are_short(path: Path) -> None:
    """A file too long to be read at once holds two things."""
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_LINES, f"{path} has {lines} lines: split it"


def test_the_rules_are_pure() -> None:
    """The heart of each service, and what everybody computes alike, say of themselves that they are."""
    names = {module_name(path) for path in PURE}
    assert {
        "services.messages.domain", "services.rooms.domain", "services.gateway.feeds", "shared.bus.topology",
        "shared.ids", "shared.permissions",
    } <= names  # fmt: skip


@pure
def test_pure_modules_wait_for_nothing_and_know_no_time(path: Path) -> None:
    """No `async def`, no driver, no clock, no chance: time and ids arrive as arguments."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
    assert not imported(path) & IMPURE
    assert not CLOCKS.search(text)


@pure
def test_pure_modules_are_held_to_it_by_the_import_rules_too(path: Path) -> None:
    """There, what they import counts as well."""
    rules = ConfigParser()
    rules.read(ROOT / ".importlinter", encoding="utf-8")
    patterns = rules["importlinter:contract:pure"]["source_modules"].split()
    name = module_name(path)
    assert any(fnmatchcase(name, pattern) or name.startswith(f"{pattern}.") for pattern in patterns)


@pytest.mark.parametrize("path", modules("shared/contracts"), ids=module_name)
def test_contracts_import_pydantic_and_the_standard_library(path: Path) -> None:
    """And each other: whoever reads them needs nothing else."""
    foreign = imported(path) - sys.stdlib_module_names - {"pydantic", "shared", "typing_extensions"}
    assert not foreign, f"{path} imports {', '.join(sorted(foreign))}"


@pytest.mark.parametrize("path", [path for path in PRODUCT if path.name != "__main__.py"], ids=module_name)
def test_only_main_puts_things_together(path: Path) -> None:
    """Everybody else is given what they need."""
    assert not constructed(path)


def test_every_package_is_one() -> None:
    """A directory with modules has its `__init__`, or the import rules would not see it."""
    directories = {path.parent for path in modules("services", "shared", "tests", "benchmarks")}
    assert not [directory for directory in directories if not (directory / "__init__.py").exists()]
