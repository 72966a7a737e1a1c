"""WixSettings: where values come from, how they are read, and where they never show."""

from __future__ import annotations

import base64
import pickle
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from wix_asgi._setting_sources import StorageURL
from wix_asgi.settings import WixSettings

APP_ID = "11111111-2222-3333-4444-555555555555"
APP_SECRET = "test-app-secret-number-one"
PUBLIC_URL = "https://app.example.com"
REQUIRED = {"app_id": APP_ID, "app_secret": APP_SECRET, "public_url": PUBLIC_URL}
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
UNTIL = datetime(2026, 12, 1, 12, tzinfo=UTC)
CANARY = "canary-hunter2-canary"


def load(**given: Any) -> WixSettings:
    """Load settings from the required values, with `given` added or in their place."""
    return WixSettings.load(**{**REQUIRED, **given})


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return "WIX_URL" if name == "wix_url" else f"WIX_{name.upper()}"


@pytest.mark.parametrize("empty", ["", " \r\n", '""', "''"])
def test_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    """A variable with nothing in it, or an empty pair of quotes, counts as not set."""
    for name in ("WIX_STORAGE", "WIX_STATE_TTL", "WIX_ENCRYPTION_KEYS", "WIX_URL"):
        monkeypatch.setenv(name, empty)

    assert WixSettings.load(**REQUIRED, storage="sqlite:///wix-asgi.db", state_ttl=600) == load()


def test_unknown_variable_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of other Wix tools in the same environment are ignored."""
    monkeypatch.setenv("WIX_SOMETHING_ELSE", "1")

    assert APP_ID == load().app_id


def test_repr_shows_no_secret() -> None:
    """Neither repr nor str nor vars shows a secret, the storage URL's password included (R35)."""
    settings = load(
        app_secret=f"{CANARY}-1",
        previous_app_secrets=f"{CANARY}-2,{CANARY}-3",
        encryption_keys=KEY,
        storage=f"postgresql://user:{CANARY}@host/db",
    )

    for shown in (repr(settings), str(settings), str(vars(settings))):
        assert CANARY not in shown
        assert KEY not in shown
        assert APP_ID in shown


def test_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting can come from its variable."""
    variables = {
        "WIX_APP_ID": APP_ID,
        "WIX_APP_SECRET": APP_SECRET,
        "WIX_PREVIOUS_APP_SECRETS": "earlier-app-secret-1,earlier-app-secret-2",
        "WIX_PUBLIC_URL": PUBLIC_URL,
        "WIX_STORAGE": "sqlite:///other.db",
        "WIX_INSTALL_PATH": "/in",
        "WIX_CALLBACK_PATH": "/back",
        "WIX_WEBHOOK_PATH": "/events",
        "WIX_WEBHOOKS": "store",
        "WIX_WEBHOOK_CONCURRENCY": "8",
        "WIX_TOKEN_CACHE": "50000",
        "WIX_ENCRYPTION_KEYS": KEY,
        "WIX_AFTER_INSTALL": "/welcome",
        "WIX_FINISH_SETUP": "true",
        "WIX_FLOW": "client_credentials",
        "WIX_RECOVER": "false",
        "WIX_SHARE_URL_ID": "share-1",
        "WIX_ALLOWED_SUBJECTS": "USER, MEMBER",
        "WIX_SESSION": "true",
        "WIX_STATE_TTL": "60",
        "WIX_ALLOWED_PERMISSIONS": "OWNER, EDITOR",
        "WIX_INSTANCE_MAX_AGE": "0",
        "WIX_PREVIOUS_SECRETS_UNTIL": "2026-12-01T12:00:00Z",
        "WIX_APP_NAME": "Shop Sync",
        "WIX_SUPPORT_URL": "mailto:help@example.com",
        "WIX_URL": "http://localhost:9001",
        "WIX_API_URL": "http://localhost:9002",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = WixSettings.load()

    assert (APP_SECRET, "earlier-app-secret-1", "earlier-app-secret-2") == settings.all_app_secrets
    assert [KEY] == [key.get_secret_value() for key in settings.encryption_keys]
    assert {
        "app_id": APP_ID,
        "public_url": PUBLIC_URL,
        "storage": StorageURL("sqlite:///other.db"),
        "install_path": "/in",
        "callback_path": "/back",
        "webhook_path": "/events",
        "webhooks": "store",
        "webhook_concurrency": 8,
        "token_cache": 50_000,
        "public_key": (),
        "after_install": "/welcome",
        "finish_setup": True,
        "flow": "client_credentials",
        "recover": False,
        "share_url_id": "share-1",
        "session": True,
        "state_ttl": 60,
        "allowed_permissions": ("OWNER", "EDITOR"),
        "allowed_subjects": ("USER", "MEMBER"),
        "instance_max_age": 0,
        "previous_secrets_until": UNTIL,
        "app_name": "Shop Sync",
        "support_url": "mailto:help@example.com",
        "wix_url": "http://localhost:9001",
        "api_url": "http://localhost:9002",
    } == settings.model_dump(exclude={"app_secret", "previous_app_secrets", "encryption_keys"})


def test_defaults() -> None:
    """Three values are required; every other setting has a default that suits production."""
    settings = load()

    assert {
        "app_id": APP_ID,
        "public_url": PUBLIC_URL,
        "storage": StorageURL("sqlite:///wix-asgi.db"),
        "install_path": "/wix/install",
        "callback_path": "/wix/callback",
        "webhook_path": "/wix/webhook",
        "webhooks": "run",
        "webhook_concurrency": 4,
        "token_cache": 10_000,
        "public_key": (),
        "after_install": "close",
        "finish_setup": False,
        "flow": "advanced",
        "recover": True,
        "share_url_id": None,
        "session": False,
        "state_ttl": 600,
        "allowed_permissions": ("OWNER",),
        "allowed_subjects": ("USER", "APP"),
        "instance_max_age": 86400,
        "previous_secrets_until": None,
        "app_name": None,
        "support_url": None,
        "wix_url": "https://www.wix.com",
        "api_url": "https://www.wixapis.com",
        "previous_app_secrets": (),
        "encryption_keys": (),
    } == settings.model_dump(exclude={"app_secret"})
    assert (APP_SECRET,) == settings.all_app_secrets


def plain(value: object) -> object:
    """Return the value of a setting, a hidden one in the clear."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


OVERRIDES = [
    ("app_id", "app-of-the-keyword", "app-of-the-environment"),
    ("public_url", "https://keyword.example", "https://environment.example"),
    ("storage", "memory://", "sqlite:///environment.db"),
    ("install_path", "/keyword", "/environment"),
    ("callback_path", "/keyword", "/environment"),
    ("webhook_path", "/keyword", "/environment"),
    ("webhooks", "run", "store"),
    ("webhook_concurrency", 1, "40"),
    ("token_cache", 1, "40"),
    ("after_install", "/keyword", "/environment"),
    ("finish_setup", True, "false"),
    ("state_ttl", 30, "40"),
    ("instance_max_age", 30, "40"),
    ("app_name", "Keyword", "Environment"),
    ("support_url", "https://keyword.example", "https://environment.example"),
    ("wix_url", "https://keyword.example", "https://environment.example"),
    ("api_url", "https://keyword.example", "https://environment.example"),
]


@pytest.mark.parametrize(("name", "keyword", "environment"), OVERRIDES)
def test_keyword_beats_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, keyword: object, environment: str
) -> None:
    """A keyword wins over the variable of the same setting, and None leaves it to the variable."""
    monkeypatch.setenv(variable(name), environment)

    assert keyword == plain(getattr(load(**{name: keyword}), name))
    assert environment.lower() == str(plain(getattr(load(**{name: None}), name))).lower()


def test_secret_keywords_beat_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyword wins over the variable for secrets too."""
    monkeypatch.setenv("WIX_APP_SECRET", "secret-of-the-environment")
    monkeypatch.setenv("WIX_PREVIOUS_APP_SECRETS", "previous-of-the-environment")
    settings = load(app_secret="secret-of-the-keyword", previous_app_secrets=["previous-one"])

    assert ("secret-of-the-keyword", "previous-one") == settings.all_app_secrets


LISTS = [
    ("", []),
    ("secret-number-one", ["secret-number-one"]),
    ("secret-number-one,secret-number-two", ["secret-number-one", "secret-number-two"]),
    (" secret-number-one , ,secret-number-two,", ["secret-number-one", "secret-number-two"]),
    (["secret,with,commas"], ["secret,with,commas"]),
]


@pytest.mark.parametrize(("given", "expected"), LISTS)
def test_lists_split_on_commas(given: object, expected: list[str]) -> None:
    """Text is split on commas, blanks dropped; a real list is taken as it is."""
    settings = load(previous_app_secrets=given)

    assert expected == [secret.get_secret_value() for secret in settings.previous_app_secrets]


PERMISSIONS = [
    ("OWNER", ("OWNER",)),
    ("OWNER, EDITOR", ("OWNER", "EDITOR")),
    ("*", ("*",)),
    (["OWNER", "with, comma"], ("OWNER", "with, comma")),
]


@pytest.mark.parametrize(("given", "expected"), PERMISSIONS)
def test_permissions_are_a_list(given: object, expected: tuple[str, ...]) -> None:
    """Allowed permissions are separated by commas, or a real list (R53)."""
    assert expected == load(allowed_permissions=given).allowed_permissions


MOMENTS = [
    "2026-12-01T12:00:00Z",
    "2026-12-01T12:00:00+00:00",
    "2026-12-01T12:00:00",
    " 2026-12-01T12:00\n",
    UNTIL,
    UNTIL.replace(tzinfo=None),
]


@pytest.mark.parametrize("given", MOMENTS)
def test_end_of_previous_secrets_is_in_utc(given: object) -> None:
    """The time is in UTC, with Z, with +00:00 or without an offset; a datetime is taken (R57)."""
    assert UNTIL == load(previous_secrets_until=given).previous_secrets_until


def test_encryption_keys_may_be_any_spelling() -> None:
    """Keys may be base64, base64url or hex, mixed, newest first (R33)."""
    keys = [secrets.token_urlsafe(32), bytes(range(32)).hex(), KEY]
    settings = load(encryption_keys=", ".join(keys))

    assert keys == [key.get_secret_value() for key in settings.encryption_keys]


LOOPBACK = [
    "http://localhost:8000",
    "http://127.0.0.1:8000",
    "http://127.1.2.3",
    "http://[::1]:8000",
    "http://app.localhost",
    "HTTP://localhost",
]


@pytest.mark.parametrize("url", LOOPBACK)
def test_http_is_allowed_on_loopback(url: str) -> None:
    """Plain http is for this machine only, and known as such (R11)."""
    assert load(public_url=url).is_loopback


@pytest.mark.parametrize("url", [PUBLIC_URL, "https://localhost:8443", "HTTPS://app.example.com"])
def test_https_is_not_loopback(url: str) -> None:
    """An https URL gets Secure cookies, on this machine too."""
    assert not load(public_url=url).is_loopback


def test_urls_are_joined_exactly() -> None:
    """App URL, Redirect URL and the webhooks' URL have the mount path of the public URL (R11)."""
    settings = load(public_url="https://app.example.com/sub/", callback_path="/cb")

    assert "https://app.example.com/sub/wix/install" == settings.app_url
    assert "https://app.example.com/sub/cb" == settings.redirect_url
    assert "https://app.example.com/sub/wix/webhook" == settings.webhook_url


AFTER_INSTALL = [
    "close",
    "/",
    "/welcome?new=1",
    "https://app.example.com/x#y",
    "http://localhost/x",
]


@pytest.mark.parametrize("value", AFTER_INSTALL)
def test_after_install_may_lead_anywhere_of_the_app(value: str) -> None:
    """A path, an https URL and `close` are kept as they are."""
    assert value == load(after_install=value).after_install


def test_settings_are_immutable() -> None:
    """Settings that were checked together cannot be changed one by one."""
    settings = load()

    with pytest.raises(ValidationError):
        settings.public_url = "http://evil.example"


def test_settings_are_not_pickled() -> None:
    """Settings refuse to be pickled, so that no secret of theirs is written to a disk (R35)."""
    with pytest.raises(TypeError, match="hold secrets"):
        pickle.dumps(load())
