"""`wix-asgi keys`, in process and for real."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from tests.cli.commands import opened, run, run_for_real, seal, store
from tests.operations.sealed import APP, LOST, NEW, OLD
from wix_asgi.sealing.keys import derive_key, parse_key
from wix_asgi.sealing.vault import Vault

SITES = ("a", "b", "c")


def text(key: bytes) -> str:
    """Return a key as it is given."""
    return base64.urlsafe_b64encode(key).decode()


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/wix-asgi.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(name="settings", autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the environment variables of an app, with the new key and the old."""
    settings = {
        "WIX_APP_ID": APP,
        "WIX_APP_SECRET": "test-app-secret-number-one",
        "WIX_PUBLIC_URL": "https://app.example.com",
        "WIX_STORAGE": f"sqlite:///{tmp_path}/wix-asgi.db",
        "WIX_ENCRYPTION_KEYS": f"{text(NEW)},{text(OLD)}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


def test_help_names_the_commands() -> None:
    """`keys` alone lists its commands."""
    result = run("keys")

    assert "new" in result.output
    assert "rotate" in result.output


def test_help_says_how_keys_are_rotated() -> None:
    """The help of the command is the procedure, with the order for rolling restarts."""
    result = run("keys", "rotate", "--help")

    assert 0 == result.exit_code
    for words in ("WIX_ENCRYPTION_KEYS=NEW,OLD", "OLD,NEW", "--storage", "--verbose"):
        assert words in result.output


def test_a_new_key_can_be_used() -> None:
    """`keys new` prints one key and no more, each time another (R34)."""
    first, second = run("keys", "new"), run("keys", "new")

    assert 32 == len(parse_key(first.output))
    assert 1 == first.output.count("\n")
    assert first.output != second.output


def test_everything_is_sealed_with_the_newest_key(url: str, settings: dict[str, str]) -> None:
    """The closing line counts; afterwards the new key alone opens all of it (R33)."""
    seal(url, *SITES, key=OLD)
    seal(url, "d", key=NEW)
    result = run("keys", "rotate", "--storage", url)
    again = run("keys", "rotate", "--storage", url)
    shown = url if url.startswith("sqlite") else "postgresql://…"
    key = Vault([NEW]).newest_id

    assert (0, "") == (result.exit_code, result.stderr)
    assert (
        f"{shown}: 4 installations: 3 resealed with key {key}, 1 already new, 0 unreadable.\n"
        == (result.stdout)
    )
    assert f": 0 resealed with key {key}, 4 already new, 0 unreadable." in again.stdout
    assert [f"refresh-{site}" for site in "abcd"] == [opened(url, site, NEW) for site in "abcd"]


def test_keys_at_hand_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`keys list` tells the ids that errors name, the key that seals, and where each is (R33)."""
    monkeypatch.setenv("WIX_PREVIOUS_APP_SECRETS", "test-app-secret-number-two")
    derived = [
        derive_key(f"test-app-secret-number-{number}", "tokens at rest")
        for number in ("one", "two")
    ]
    result, as_json = run("keys", "list"), run("keys", "list", "--json")
    expected = [
        (Vault([NEW]).newest_id, "seals", "WIX_ENCRYPTION_KEYS"),
        (Vault([OLD]).newest_id, "opens", "WIX_ENCRYPTION_KEYS"),
        (Vault(derived[:1]).newest_id, "opens", "derived from WIX_APP_SECRET"),
        (Vault(derived[1:]).newest_id, "opens", "derived from WIX_PREVIOUS_APP_SECRETS"),
    ]

    assert (0, 0) == (result.exit_code, as_json.exit_code)
    assert expected == [tuple(line.split(None, 2)) for line in result.stdout.splitlines()]
    assert expected == [tuple(key.values()) for key in json.loads(as_json.stdout)]
    assert ["id", "use", "source"] == list(json.loads(as_json.stdout)[0])


def test_key_of_the_app_secret_seals_where_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys of one's own, the list has one key, which seals (R33)."""
    monkeypatch.delenv("WIX_ENCRYPTION_KEYS")

    assert "  seals  derived from WIX_APP_SECRET\n" == run("keys", "list").stdout[8:]


def test_wrong_settings_have_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """With wrong settings `keys list` says which, and shows no value (R35, R47)."""
    monkeypatch.setenv("WIX_ENCRYPTION_KEYS", "test-hunter2")
    result = run("keys", "list")

    assert (1, "") == (result.exit_code, result.stdout)
    assert "encryption_keys (WIX_ENCRYPTION_KEYS): must be 32" in result.stderr
    assert "hunter2" not in result.stderr


def test_what_cannot_be_read_is_a_failure(settings: dict[str, str]) -> None:
    """The missing key is named, the record stays, and the status is 1 (R33)."""
    url = settings["WIX_STORAGE"]
    seal(url, "a", key=OLD)
    seal(url, "b", "c", key=LOST)
    result = run("keys", "rotate")

    assert 1 == result.exit_code
    assert ", 0 already new, 2 unreadable." in result.stdout
    assert (
        "wix-asgi: 2 installations cannot be read; nothing was changed there. "
        "Neither in WIX_ENCRYPTION_KEYS nor derived from WIX_APP_SECRET or "
        f"WIX_PREVIOUS_APP_SECRETS: key {Vault([LOST]).newest_id} (2).\n"
    ) == result.stderr
    assert "refresh-b" == opened(url, "b", LOST)


def test_what_was_tampered_with_is_a_failure(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that their key does not open are counted apart (R32)."""
    seal(settings["WIX_STORAGE"], "a", key=OLD)
    # Another key under the same id.
    key_id = bytes.fromhex(Vault([OLD]).newest_id)
    monkeypatch.setattr("wix_asgi.sealing.vault._key_id", lambda _: key_id)
    monkeypatch.setenv("WIX_ENCRYPTION_KEYS", text(NEW))
    result = run("keys", "rotate")

    assert 1 == result.exit_code
    assert "Changed, or moved from another row: 1." in result.stderr


def test_an_empty_storage_is_a_mistake(settings: dict[str, str]) -> None:
    """A rotation that found no installation ends with status 1: it proves no key unnecessary."""
    store(settings["WIX_STORAGE"])
    result = run("keys", "rotate")

    assert 1 == result.exit_code
    assert "0 installations: " in result.stdout
    assert "is it the right storage, and the right WIX_APP_ID?" in result.stderr


def test_progress_is_shown_on_request(settings: dict[str, str]) -> None:
    """With `--verbose` there is a line on stderr for every thousand installations."""
    seal(settings["WIX_STORAGE"], *(f"site-{number:04}" for number in range(1001)), key=NEW)
    quiet, verbose = run("keys", "rotate"), run("keys", "rotate", "--verbose")

    assert "" == quiet.stderr
    assert verbose.stderr.startswith("1,000 installations: 0 resealed with key ")
    assert 1 == verbose.stderr.count("\n")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("WIX_APP_SECRET", "", "app_secret (WIX_APP_SECRET): is missing"),
        ("WIX_ENCRYPTION_KEYS", "changeme", "encryption_keys (WIX_ENCRYPTION_KEYS): must be 32"),
        ("WIX_ENCRYPTION_KEYS", "k" * 43, "encryption_keys (WIX_ENCRYPTION_KEYS): must be random"),
        ("WIX_STORAGE", "nosql://me:test-hunter2@db", "No storage backend for nosql://"),
        ("WIX_STORAGE", "memory://", "The storage: memory:// is within one process"),
        ("WIX_STORAGE", "sqlite:////no/such/place/file.db", "does not exist"),
        (
            "WIX_STORAGE",
            "postgresql://me:test-hunter2@localhost/x?host=/dev/null",
            "cannot be used",
        ),
    ],
)
def test_wrong_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    """Weak keys, and storages that cannot be opened, end it with the reason (R34, R35)."""
    monkeypatch.setenv(variable, value)
    result = run("keys", "rotate")

    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("wix-asgi: ")
    assert expected in result.stderr
    assert "hunter2" not in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_runs_for_real(url: str, settings: dict[str, str]) -> None:
    """In its own process the command does the same, and shows no key, token or secret (R35)."""
    seal(url, "a", key=OLD)
    seal(url, "b", key=LOST)
    env = {**os.environ, "WIX_STORAGE": url}
    made = run_for_real("keys", "new", env=env)
    done = run_for_real("keys", "rotate", env=env)

    assert (0, 32) == (made.returncode, len(parse_key(made.stdout)))
    assert 1 == done.returncode
    assert "2 installations: 1 resealed with key " in done.stdout
    assert "Traceback" not in done.stderr
    assert "refresh-a" == opened(url, "a", NEW)
    for secret in (text(OLD), text(NEW), text(LOST), "refresh-", "test-app-secret"):
        assert secret not in done.stdout + done.stderr
