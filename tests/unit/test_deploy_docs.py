"""What the documents name exists: links, files, make targets, settings."""

import re
from pathlib import Path

import pytest

from shared.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/adr").glob("*.md")])

ROOTS = ("", "services", "services/gateway", "docs")
"""Where a path in a document may begin."""

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
SUFFIXES = (".py", ".md", ".yaml", ".yml", ".json", ".txt", ".in", ".sh", "/")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")

RUNTIME = (".parley/", "data/", "benchmarks/results/", "/")
"""Files and directories that exist only when something runs."""


def pages() -> pytest.MarkDecorator:
    """Every document, by its name."""
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages()
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a document names a file."""
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


@pages()
def test_files_exist(page: Path) -> None:
    """Every path in backticks exists, from the root or from where such paths usually begin."""
    named = [
        text
        for text in CODE.findall(page.read_text())
        if FILE.fullmatch(text) and "/" in text.rstrip("/") and text.endswith(SUFFIXES) and not text.startswith(RUNTIME)
    ]
    missing = [path for path in named if not any((ROOT / root / path).exists() for root in ROOTS)]
    assert not missing


@pages()
def test_make_targets_exist(page: Path) -> None:
    """Every `make target` of a document is a target of the Makefile."""
    text = page.read_text()
    code = "\n".join([*CODE.findall(text), *re.findall(r"^ {4}.*$", text, re.MULTILINE)])
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(TARGET.findall(code)) <= targets


NO_SETTINGS = {
    *("GATEWAYS", "WORKERS", "RESTART", "PARLEY_DIR"),  # embedded mode's
    *("PUBLISH", "PUBLISH_TEAM", "RABBITMQ_PASSWORD"),  # the compose file's
    *("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "PRECONDITION_FAILED"),  # RabbitMQ's
    *("WEBSOCKET_CORS_ORIGIN", "FRONTEND_URL", "NEXT_PUBLIC_JWT_SECRET"),  # other names of settings
    *("POST", "PATCH", "DELETE"),
}


@pytest.mark.parametrize("name", ["operations.md", "protocol.md", "scaling.md"])
def test_settings_exist(name: str) -> None:
    """What looks like a setting on the pages for users is one."""
    named = {text.partition("=")[0] for text in CODE.findall((ROOT / "docs" / name).read_text())}
    looks = {text for text in named if re.fullmatch(r"[A-Z][A-Z_]{3,}", text)}
    assert looks <= {setting.upper() for setting in Settings.model_fields} | NO_SETTINGS
