"""WixSettings: which values are refused, and the one error that names them all."""

from __future__ import annotations

import base64
import sys
import traceback
from typing import Any

import pytest
from pydantic import ValidationError

from wix_asgi.errors import SettingsError
from wix_asgi.settings import WixSettings

APP_ID = "11111111-2222-3333-4444-555555555555"
APP_SECRET = "test-app-secret-number-one"
PUBLIC_URL = "https://app.example.com"
REQUIRED = {"app_id": APP_ID, "app_secret": APP_SECRET, "public_url": PUBLIC_URL}
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
CANARY = "canary-hunter2-canary"

BAD = [
    ("app_id", "", "is empty"),
    ("app_id", "<your app id>", "is a placeholder"),
    ("app_id", "your-app-id", "is a placeholder"),
    ("app_id", "YOUR_APP_ID", "is a placeholder"),
    ("app_id", "my-id", "is a placeholder"),
    ("app_id", "two words", "has white space in it"),
    ("app_id", "line\nbreak", "has a line break in it"),
    ("app_secret", "", "is empty"),
    ("app_secret", "short", "is too short"),
    ("app_secret", "your-wix-app-secret-key", "is a placeholder"),
    ("app_secret", "app_secret", "is a placeholder"),
    ("app_secret", "your-secret-goes-here", "is a placeholder"),
    ("app_secret", "My secret of the dashboard", "is a placeholder"),
    ("app_secret", "the_key_from_wix", "is a placeholder"),
    ("app_secret", "changeme", "is a placeholder"),
    ("app_secret", "change-me", "is a placeholder"),
    ("app_secret", "your-app-secret", "is a placeholder"),
    ("app_secret", "YOUR_SECRET_HERE", "is a placeholder"),
    ("app_secret", "<app secret key>", "is a placeholder"),
    ("app_secret", "${WIX_APP_SECRET}", "has a reference in it that nobody replaced"),
    ("app_secret", "xxxxxxxxxxxxxxxx", "is a placeholder"),
    ("previous_app_secrets", "test-app-secret-number-two,secret", "is a placeholder"),
    ("public_url", "", "must begin with https:// and a host"),
    ("public_url", "app.example.com", "must begin with https:// and a host"),
    ("public_url", "https://", "must begin with https:// and a host"),
    ("public_url", "https://[::1", "is not a URL"),
    ("public_url", "https://app.example.com:99999", "is not a URL"),
    ("public_url", "http://app.example.com", "must be https, or http on loopback"),
    ("public_url", "http://10.0.0.1", "must be https, or http on loopback"),
    ("public_url", "http://localhost.evil.example", "must be https, or http on loopback"),
    ("public_url", "ftp://app.example.com", "must be https, or http on loopback"),
    ("public_url", "https://app.example.com/#top", "must not have a query or a fragment"),
    ("public_url", "https://app.example.com/#", "must not have a query or a fragment"),
    ("public_url", "https://app.example.com?a=b", "must not have a query or a fragment"),
    ("public_url", "https://app.example.com?", "must not have a query or a fragment"),
    ("public_url", "https://me@app.example.com", "must not have a user name or password in it"),
    ("public_url", "https://me:pw@app.example.com", "must not have a user name or password in it"),
    ("public_url", "https://@app.example.com", "must not have a user name or password in it"),
    ("public_url", "https://*.example.com", "is not a plain URL"),
    ("public_url", "https://app.example.com\\evil", "is not a plain URL"),
    ("public_url", "https://app.example.com/a b", "is not a plain URL"),
    ("public_url", "https://app.example.com\r\nX: y", "has a line break in it"),
    ("wix_url", "http://www.wix.example", "must be https, or http on loopback"),
    ("api_url", "http://api.wix.example", "must be https, or http on loopback"),
    ("install_path", "", "must begin with / and have plain segments only"),
    ("install_path", "/", "must begin with / and have plain segments only"),
    ("install_path", "wix/install", "must begin with / and have plain segments only"),
    ("install_path", "//wix/install", "must begin with / and have plain segments only"),
    ("install_path", "/wix/../install", "must begin with / and have plain segments only"),
    ("install_path", "/wix/install?x", "must begin with / and have plain segments only"),
    ("install_path", "/wix/in%73tall", "must begin with / and have plain segments only"),
    ("callback_path", "callback", "must begin with / and have plain segments only"),
    ("callback_path", "/wix/install", "must not be the same as install_path"),
    ("webhook_path", "webhook", "must begin with / and have plain segments only"),
    ("webhook_path", "/wix/install", "must not be the same as install_path"),
    ("webhook_path", "/wix/callback", "must not be the same as callback_path"),
    ("webhooks", "both", "has the wrong form"),
    ("webhook_concurrency", 0, "is out of range"),
    ("webhook_concurrency", "many", "has the wrong form"),
    ("token_cache", 0, "is out of range"),
    ("token_cache", "10k", "has the wrong form"),
    ("storage", "wix.db", "The storage is not a URL"),
    ("storage", "mysql://host/db", "No storage backend for mysql://"),
    ("storage", "nosuch://host/db", "No storage backend for nosuch://"),
    ("storage", "sqlite://wix.db", "The storage URL is not that of an SQLite file"),
    (
        "storage",
        f"postgresql://u:{CANARY}@h/db?sslmod=require",
        "The storage URL has a parameter that is not known: sslmod",
    ),
    ("encryption_keys", "changeme", "must be 32 random bytes, written as base64 or hex"),
    ("encryption_keys", f"{KEY},{KEY[:-4]}", "must be 32 random bytes"),
    ("encryption_keys", "00" * 32, "must be random: this key repeats itself"),
    ("after_install", "", "must begin with https:// and a host"),
    ("after_install", "welcome", "must begin with https:// and a host"),
    ("after_install", "//evil.example", "must be a path of this app"),
    ("after_install", "/\\evil.example", "must be a path of this app"),
    ("after_install", "/\tevil", "has invisible characters"),
    ("after_install", "http://app.example.com/x", "must be https, or http on loopback"),
    ("after_install", "javascript://app.example.com/", "must be https, or http on loopback"),
    ("app_name", "", "is empty"),
    ("app_name", "x" * 81, "is too long"),
    ("app_name", "Shop\tSync", "has invisible characters"),
    ("support_url", "", "must begin with https:// and a host"),
    ("support_url", "help@example.com", "must begin with https:// and a host"),
    ("support_url", "http://example.com/help", "must be https, or http on loopback"),
    ("support_url", "javascript://example.com/", "must be https, or http on loopback"),
    ("support_url", "mailto:", "must have one plain address after mailto:"),
    ("support_url", "mailto:a@example.com,b@example.com", "must have one plain address"),
    ("finish_setup", "perhaps", "has the wrong form"),
    ("state_ttl", 0, "is out of range"),
    ("state_ttl", 601, "is out of range"),
    ("state_ttl", "ten minutes", "has the wrong form"),
    ("allowed_permissions", [], "is empty"),
    ("allowed_permissions", ",", "is empty"),
    ("allowed_permissions", "OWNER\tEDITOR", "has invisible characters"),
    ("instance_max_age", -1, "is out of range"),
    ("instance_max_age", 10**10, "is out of range"),
    ("instance_max_age", "a day", "has the wrong form"),
    ("previous_secrets_until", "", "is not a time in ISO 8601"),
    ("previous_secrets_until", "tomorrow", "is not a time in ISO 8601"),
    ("previous_secrets_until", 1796126400, "is not a time in ISO 8601"),
    ("previous_secrets_until", "2026-12-01T12:00:00+01:00", "must be in UTC"),
]

# Where the remedy is not obvious from the name, the error says where in the dashboard it is.
IN_DASHBOARD = [*REQUIRED, "install_path", "callback_path", "webhook_path", "public_key"]


def load(**given: Any) -> WixSettings:
    """Load settings from the required values, with `given` added or in their place."""
    return WixSettings.load(**{**REQUIRED, **given})


def refusal(**given: Any) -> str:
    """Return the message of the error about a wrong value."""
    with pytest.raises(SettingsError) as caught:
        load(**given)
    return str(caught.value)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return "WIX_URL" if name == "wix_url" else f"WIX_{name.upper()}"


@pytest.mark.parametrize(("name", "value", "problem"), BAD)
def test_wrong_value_is_refused(name: str, value: object, problem: str) -> None:
    """A wrong value stops start-up with its setting, variable, problem and remedy (R47)."""
    message = refusal(**{name: value})

    assert message.startswith("One setting is wrong:\n")
    assert f"  {name} ({variable(name)}): {problem}" in message
    assert " Expected: " in message


@pytest.mark.parametrize(("name", "value", "problem"), [row for row in BAD if row[1]])
def test_wrong_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, problem: str
) -> None:
    """The environment is held to the same rules as keywords."""
    monkeypatch.setenv(variable(name), str(value))
    with pytest.raises(SettingsError) as caught:
        WixSettings.load(**{key: text for key, text in REQUIRED.items() if key != name})

    assert f"  {name} ({variable(name)}): {problem}" in str(caught.value)


@pytest.mark.parametrize("name", ["app_secret", "previous_app_secrets", "encryption_keys"])
def test_value_of_another_type_is_refused(name: str) -> None:
    """A keyword of another type is refused like any other wrong value."""
    assert f"{name} ({variable(name)}): has the wrong form." in refusal(**{name: 12345678901})


@pytest.mark.parametrize("secret", ["", " " * 20, "short", "changeme"])
def test_every_previous_secret_is_held_to_the_same_rules(secret: str) -> None:
    """A previous secret verifies signed instances, so each of a list is checked (R47)."""
    message = refusal(previous_app_secrets=["test-app-secret-number-two", secret])

    assert "previous_app_secrets (WIX_PREVIOUS_APP_SECRETS): is " in message


def test_every_permission_is_checked() -> None:
    """A blank among the allowed permissions is no permission (R47)."""
    assert "allowed_permissions (WIX_ALLOWED_PERMISSIONS): is empty" in refusal(
        allowed_permissions=["OWNER", " "]
    )


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_value_is_named(name: str) -> None:
    """A missing required setting is named with its variable and its place (R47)."""
    with pytest.raises(SettingsError) as caught:
        WixSettings.load(**{key: value for key, value in REQUIRED.items() if key != name})

    assert f"  {name} ({variable(name)}): is missing. Expected: " in str(caught.value)


@pytest.mark.parametrize("name", IN_DASHBOARD)
def test_dashboard_place_is_told(name: str) -> None:
    """The error about a value of the Wix dashboard says where the dashboard has it (R47)."""
    message = refusal(**{name: ""})

    assert "Wix dashboard" in message


def test_all_wrong_values_are_in_one_error() -> None:
    """One error names every wrong value, one line each (R47)."""
    wrong = {name: value for name, value, _problem in reversed(BAD)}
    lines = refusal(**wrong).splitlines()

    assert f"{len(wrong)} settings are wrong:" == lines[0]
    assert sorted(wrong) == sorted(line.split()[0] for line in lines[1:])


def test_nothing_given_names_everything_required() -> None:
    """With nothing set, the error names the three required settings and only them (R47)."""
    with pytest.raises(SettingsError) as caught:
        WixSettings.load()
    lines = str(caught.value).splitlines()

    assert "3 settings are wrong:" == lines[0]
    assert sorted(REQUIRED) == sorted(line.split()[0] for line in lines[1:])


@pytest.mark.parametrize("app_id", ["my-own-id", "the-shop", "your-shop-connector", "id", "x-ray"])
def test_an_id_that_only_resembles_a_placeholder_is_taken(app_id: str) -> None:
    """An app ID is taken although placeholders begin with the same words."""
    assert app_id == load(app_id=app_id).app_id


def test_a_missing_driver_is_one_of_the_wrong_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names it with the rest, and no frame of ours holds a secret (R35, R47)."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "wix_asgi_backends.postgres", raising=False)
    with pytest.raises(SettingsError) as caught:
        load(storage=f"postgresql://u:{CANARY}@h/db", app_secret=f"{CANARY}-secret", state_ttl=0)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "wix_asgi" in frame.filename]

    assert "needs the module 'asyncpg'" in str(caught.value)
    assert "state_ttl" in str(caught.value)
    assert CANARY not in repr([frame.locals for frame in ours])


def test_sentences_end_once() -> None:
    """The reason that a backend gives ends with one full stop in the error."""
    assert ".." not in refusal(storage="nosuch://host/db") + refusal(storage="sqlite://wix.db")


def test_unknown_keyword_is_refused() -> None:
    """A misspelt keyword stops start-up by its name, without its value."""
    assert "One setting is wrong:\n  app_secrets: is not a setting" == refusal(app_secrets=CANARY)


def test_keyword_of_the_middleware_is_told_by_its_place() -> None:
    """`require_identity` belongs to the middleware of ASGI apps, and the error says so."""
    expected = "require_identity: is a keyword of WixMiddleware and add_wix alone, for ASGI apps"

    assert f"One setting is wrong:\n  {expected}" == refusal(require_identity=True)


BAD_WITH_CANARY = [
    ("app_id", f"<{CANARY}>"),
    ("app_secret", f"<{CANARY}>"),
    ("app_secret", [CANARY]),
    ("previous_app_secrets", [[CANARY]]),
    ("public_url", f"http://{CANARY}.example"),
    ("public_url", f"https://u:{CANARY}@app.example"),
    ("public_url", f"https://[{CANARY}"),
    ("wix_url", f"http://{CANARY}.example"),
    ("api_url", f"http://{CANARY}.example"),
    ("install_path", CANARY),
    ("callback_path", CANARY),
    ("storage", f"nosuch://user:{CANARY}@host/db"),
    ("storage", CANARY),
    ("storage", f"user:{CANARY}@host/db"),
    ("encryption_keys", CANARY),
    ("encryption_keys", f"{KEY},{CANARY}"),
    ("after_install", f"//{CANARY}"),
    ("finish_setup", CANARY),
    ("state_ttl", CANARY),
    ("instance_max_age", CANARY),
    ("previous_secrets_until", CANARY),
    ("allowed_permissions", f"{CANARY}\t{CANARY}"),
]


@pytest.mark.parametrize(("name", "value"), BAD_WITH_CANARY)
def test_error_shows_no_value(name: str, value: object) -> None:
    """No wrong value is in the error, its chain, or a traceback of ours with locals (R35)."""
    given = {**REQUIRED, name: value}
    with pytest.raises(SettingsError) as caught:
        WixSettings.load(**given)

    assert CANARY not in _everything_told(caught.value)


@pytest.mark.parametrize("name", ["app_secret", "encryption_keys", "storage"])
def test_error_shows_no_other_value(name: str) -> None:
    """A wrong setting does not bring the right ones beside it into the traceback (R35)."""
    right = {"app_secret": CANARY, "encryption_keys": KEY, "storage": f"sqlite:///{CANARY}.db"}
    given = {**REQUIRED, **right, "app_id": ""}
    with pytest.raises(SettingsError) as caught:
        WixSettings.load(**given)

    assert right[name] not in _everything_told(caught.value)


def _everything_told(error: BaseException) -> str:
    """Return all that an error reporter could show of `error` but the frame of the test."""
    assert error.__context__ is None
    assert error.__traceback__ is not None

    ours = error.with_traceback(error.__traceback__.tb_next)
    told = traceback.TracebackException.from_exception(ours, capture_locals=True)
    return repr(error) + "".join(told.format())


def test_plain_construction_hides_input() -> None:
    """Even without `load`, pydantic's own error shows no value (R35, R47)."""
    with pytest.raises(ValidationError) as caught:
        WixSettings(app_id=APP_ID, app_secret=[CANARY], public_url=PUBLIC_URL)  # type: ignore[arg-type] # the wrong type is the point

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("storage", ["memory://", "MEMORY://"])
def test_memory_storage_refuses_several_workers(
    monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    """memory:// with WEB_CONCURRENCY above 1 stops start-up (R48)."""
    monkeypatch.setenv("WEB_CONCURRENCY", "2")

    assert "WEB_CONCURRENCY is above 1" in refusal(storage=storage)
