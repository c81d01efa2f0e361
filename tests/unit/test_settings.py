"""Settings come from the environment, and a wrong one is named, never guessed."""

from typing import Any

import pytest

from shared.settings import Settings, SettingsError, load_settings, unlimited


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    for name in ("WEBSOCKET_CORS_ORIGIN", "FRONTEND_URL", "NEXT_PUBLIC_JWT_SECRET"):
        monkeypatch.delenv(name, raising=False)


def test_defaults_are_the_documented_ones() -> None:
    """An empty environment is usable, but for the keys of tokens."""
    settings = load_settings()
    assert (settings.port, settings.shards, settings.messages_per_minute) == (3000, 4, 60)
    assert (settings.connections_per_user, settings.max_message_length) == (5, 10_000)
    assert settings.jwt_secret == ""
    assert not settings.embedded


def test_variables_are_read_in_upper_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every tool writes them; what belongs to others is left alone."""
    monkeypatch.setenv("SHARDS", "8")
    monkeypatch.setenv("EMBEDDED", "1")
    monkeypatch.setenv("COMMAND_TIMEOUT", "2.5")
    monkeypatch.setenv("SOMETHING_ELSE", "x")
    settings = load_settings()
    assert (settings.shards, settings.embedded, settings.command_timeout) == (8, True, 2.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHARDS", "0"), ("SHARDS", "257"), ("SHARDS", "four"), ("PORT", "70000"), ("MAX_IN_FLIGHT", "0"),
        ("MESSAGES_PER_MINUTE", "-1"), ("COMMAND_TIMEOUT", "0"), ("LOG_LEVEL", "loud"), ("MAX_FRAME_BYTES", "10"),
    ],
)  # fmt: skip
def test_a_malformed_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """With the variable and the value, so that nobody has to search."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"{name}: .*{value}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("WEBSOCKET_CORS_ORIGIN", "https://app.example.com", "allowed_origins"),
        ("FRONTEND_URL", "http://localhost:3000", "allowed_origins"),
        ("NEXT_PUBLIC_JWT_SECRET", "x" * 40, "jwt_secret"),
    ],
)
def test_names_that_other_servers_had_are_read(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    """And the setting's own name before them; in the code it has one name."""
    monkeypatch.setenv(name, value)
    assert getattr(load_settings(), field) == value
    monkeypatch.setenv(field.upper(), "http://own.example")
    assert getattr(load_settings(), field) == "http://own.example"
    given: dict[str, Any] = {field: "given"}
    assert getattr(Settings(**given), field) == "given"


def test_all_malformed_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start tells everything."""
    monkeypatch.setenv("SHARDS", "x")
    monkeypatch.setenv("PORT", "y")
    with pytest.raises(SettingsError, match=r"(?s)PORT.*SHARDS"):
        load_settings()


def test_a_secret_is_never_repeated() -> None:
    """Nothing that holds one has a rule it could break, so no message can show it."""
    secrets = [name for name in Settings.model_fields if "secret" in name or name.endswith("_url")]
    assert secrets
    assert all(Settings.model_fields[name].annotation is str for name in secrets)
    assert not any(Settings.model_fields[name].metadata for name in secrets)


def test_every_variable_is_described() -> None:
    """docs/generated/settings.md is made of this."""
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_an_unnamed_process_gets_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues bear it, so two processes must not share one."""
    assert load_settings().name
    monkeypatch.setenv("INSTANCE", "messages-0")
    assert load_settings().name == "messages-0"


def test_zero_means_unlimited() -> None:
    """As a number to compare with."""
    assert unlimited(0) == float("inf")
    assert unlimited(5) == 5
