"""`wix-asgi installations refresh` and `remove`."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.cli.commands import run
from tests.cli.installed import (
    ACCESS,
    LOST_KEY,
    OTHER,
    SITE,
    change,
    fail_refresh,
    install,
    listed,
    stored,
    use,
)
from tests.limits import PATIENCE
from wix_asgi.cli._app import app
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.sealing.vault import Vault
from wix_asgi.testing import FakeWix
from wix_asgi_backends.sqlite import SQLiteStorage


@pytest.fixture(name="fake", scope="module")
def _fake() -> Iterator[FakeWix]:
    fake = FakeWix()
    with fake.serve():
        yield fake


@pytest.fixture(name="storage")
def _storage(fake: FakeWix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment of an app on SQLite, with an empty storage; return its URL."""
    url = f"sqlite:///{tmp_path}/wix-asgi.db"
    use(monkeypatch, fake, url)
    change(lambda _: None)
    return url


def test_an_installation_without_a_token_gets_one(fake: FakeWix, storage: str) -> None:
    """A refresh needs no access token that it would replace."""
    install(fake, SITE)
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE wix_installations SET access_token = NULL")
        database.commit()

    assert 0 == run("installations", "refresh", SITE).exit_code


def test_a_token_is_refreshed(fake: FakeWix, storage: str) -> None:
    """The new token is stored for the app, and the outcome is told."""
    install(fake, SITE)
    before = stored()
    result = run("installations", "refresh", SITE)
    again = json.loads(run("installations", "refresh", SITE, "--json").stdout)
    after = stored()

    assert 0 == result.exit_code
    assert re.fullmatch(r"The new access token lives for \d+ s\.\n", result.stdout)
    assert (SITE, "refreshed") == (again["instance_id"], again["outcome"])
    assert 0 < again["token_seconds"] <= 300
    assert 2 == fake.count(ACCESS)
    assert before is not None
    assert after is not None
    assert before.access_token != after.access_token


def test_an_id_that_is_not_stored_is_not_refreshed(fake: FakeWix, storage: str) -> None:
    """Wix is not asked, and nothing is stored, though the app is on that site."""
    fake.mark_installed(SITE)
    result = run("installations", "refresh", SITE, "--json")
    told = json.loads(result.stdout)

    assert (1, "not_there") == (result.exit_code, told["outcome"])
    assert ([], None) == (fake.calls, stored())


def test_an_installation_that_is_removed_meanwhile_is_not_there(
    fake: FakeWix, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row goes after the command has read it, and before Wix is asked."""
    monkeypatch.setenv("WIX_RECOVER", "false")
    install(fake, SITE)
    claim = SQLiteStorage.claim_unchanged

    async def claim_late(self: SQLiteStorage, *names: Any, **row: Any) -> bool:
        await self.delete(fake.app_id, SITE)
        return await claim(self, *names, **row)

    monkeypatch.setattr(SQLiteStorage, "claim_unchanged", claim_late)
    result = run("installations", "refresh", SITE, "--json")

    assert (1, "not_there") == (result.exit_code, json.loads(result.stdout)["outcome"])
    assert None is stored()


def test_a_pause_after_a_failure_is_skipped(fake: FakeWix, storage: str) -> None:
    """A refresh that was refused a moment ago is tried again, and its note is gone."""
    install(fake, SITE, left=-1.0)
    fail_refresh(SITE, RefreshFailure.REFUSED, 45.0)
    result = run("installations", "refresh", SITE)
    (shown,) = listed()

    assert 0 == result.exit_code
    assert (None, None) == (shown["failure"], shown["failure_until"])


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"status": 400, "body": {"error": "invalid_grant"}}, "refused"),
        ({"status": 401, "body": {"error": "invalid_client"}}, "misconfigured"),
        ({"status": 503}, "unavailable"),
    ],
)
def test_a_refresh_that_fails_tells_its_kind(
    fake: FakeWix,
    storage: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    outcome: str,
) -> None:
    """The kind is in the JSON and in the row, and the status is 1."""
    monkeypatch.setenv("WIX_RECOVER", "false")
    install(fake, SITE)
    fake.fail(ACCESS, times=10, **fault)
    as_json = run("installations", "refresh", SITE, "--json")
    result = run("installations", "refresh", SITE)
    told = json.loads(as_json.stdout)
    (shown,) = listed()

    assert (1, outcome, None) == (as_json.exit_code, told["outcome"], told["token_seconds"])
    assert (1, "") == (result.exit_code, result.stdout)
    # Each answer of Wix has a request id of its own.
    assert result.stderr.startswith(f"wix-asgi: {told['message'].partition('(')[0]}")
    assert outcome == shown["failure"]


def test_unreadable_tokens_are_not_refreshed(
    fake: FakeWix, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the key is lost, that is the outcome, with its id (R33)."""
    monkeypatch.setenv("WIX_RECOVER", "false")
    monkeypatch.setenv("WIX_ENCRYPTION_KEYS", LOST_KEY)
    install(fake, SITE)
    monkeypatch.delenv("WIX_ENCRYPTION_KEYS")
    result = run("installations", "refresh", SITE, "--json")
    told = json.loads(result.stdout)

    assert (1, "unreadable") == (result.exit_code, told["outcome"])
    assert Vault([bytes.fromhex(LOST_KEY)]).newest_id in told["message"]


def test_a_removal_is_confirmed(fake: FakeWix, storage: str) -> None:
    """It says that no hook of the app runs, and removes nothing without a yes."""
    install(fake, SITE, OTHER)
    no = CliRunner().invoke(app, ["installations", "remove", SITE], input="n\n")
    nobody = CliRunner().invoke(app, ["installations", "remove", SITE], input="")
    left = len(listed())
    yes = CliRunner().invoke(app, ["installations", "remove", SITE], input="y\n")
    sure = run("installations", "remove", OTHER, "--yes")

    assert (1, 1, 2) == (no.exit_code, nobody.exit_code, left)
    assert "on_uninstall of your app do not run" in no.stdout
    assert (0, 0) == (yes.exit_code, sure.exit_code)
    assert "Removed. Workers of the app stop serving the site within a minute.\n" == sure.stdout
    assert [] == listed()


def test_a_reinstall_before_the_answer_wins(
    fake: FakeWix, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator confirms the removal of the installation that was there, and of no later one."""
    install(fake, SITE)

    def reinstall() -> None:
        before = now = stored()
        while before is not None and now is not None and now.installed_at <= before.installed_at:
            install(fake, SITE)
            now = stored()

    def confirm(*_: object, **__: object) -> None:
        # The command has its own event loop in this thread.
        thread = threading.Thread(target=reinstall)
        thread.start()
        thread.join(PATIENCE)

    monkeypatch.setattr("typer.confirm", confirm)
    result = run("installations", "remove", SITE)

    assert 1 == result.exit_code
    assert "installed again or removed in the meantime" in result.stderr
    assert [SITE] == [one["instance_id"] for one in listed()]
