"""`wix-asgi installations`, in process and for real."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

from tests.cli.commands import run, run_for_real
from tests.limits import PATIENCE
from tests.servers import environment
from wix_asgi.cli._app import app
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import RefreshFailure, StoredInstallation
from wix_asgi.models import AccessToken, Grant
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import open_storage
from wix_asgi.testing import DEMO_SITES, FakeWix

ACCESS = "/oauth/access"
SITE, OTHER, THIRD = DEMO_SITES
LOST_KEY = bytes(range(64, 96)).hex()
FIELDS = [
    "instance_id",
    "installed_at",
    "grant",
    "origin_instance_id",
    "token_seconds",
    "failure",
    "failure_until",
    "owes_on_install",
]


@pytest.fixture(name="fake", scope="module")
def _fake() -> Iterator[FakeWix]:
    fake = FakeWix()
    with fake.serve():
        yield fake


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/wix-asgi.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(name="storage")
def _storage(fake: FakeWix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment of an app on SQLite, with an empty storage; return its URL."""
    url = f"sqlite:///{tmp_path}/wix-asgi.db"
    use(monkeypatch, fake, url)
    change(lambda _: None)
    return url


def use(monkeypatch: pytest.MonkeyPatch, fake: FakeWix, url: str) -> None:
    """Set the environment of an app on this storage."""
    for name, value in environment(fake, 1, url).items():
        if name.startswith("WIX_"):
            monkeypatch.setenv(name, value)
    fake.heal()
    fake.calls.clear()


def change(work: Any) -> Any:
    """Do something with the installations of the environment's app, as the app does."""

    async def main() -> Any:
        settings = WixSettings.load()
        async with open_storage(settings.storage.get_secret_value()) as storage:
            vault = Vault(settings.key_ring())
            done = work(InstallationRepository(settings.app_id, storage, vault))
            return None if done is None else await done

    return anyio.run(main)


def install(fake: FakeWix, *sites: str, left: float = 300.0, **options: Any) -> None:
    """Store installations whose access token has `left` seconds to live."""

    async def work(installations: InstallationRepository) -> None:
        for site in sites:
            token = AccessToken(fake.issue_access_token(site), 300.0, time.monotonic() + left)
            grant = Grant(token, fake.issue_refresh_token(site))
            await installations.put(site, grant, **options)

    change(work)


def stored(site: str = SITE) -> StoredInstallation | None:
    """Return an installation as it is stored."""
    found: StoredInstallation | None = change(lambda installations: installations.get(site))
    return found


def fail_refresh(site: str, failure: RefreshFailure, pause: float) -> None:
    """Note a failed refresh, as an app does."""

    async def work(installations: InstallationRepository) -> None:
        before = await installations.require(site)
        assert await installations.note_failure(before, failure, pause)

    change(work)


def listed(*options: str) -> list[dict[str, Any]]:
    """Return the objects that `list` prints."""
    result = run("installations", "list", "--json", *options)
    assert 0 == result.exit_code, result.output
    objects: list[dict[str, Any]] = json.loads(result.stdout)
    return objects


def test_help_says_what_happens() -> None:
    """The help has the exit codes and the fields, and says that no hook of the app runs."""
    group, removal, table = (
        run("installations", *words).output
        for words in ((), ("remove", "--help"), ("list", "--help"))
    )

    for name in ("list", "show", "refresh", "remove"):
        assert name in group
    assert "do not run from the command line" in removal
    assert "status is 1" in removal
    for field in FIELDS:
        assert field in table


def test_installations_are_listed(fake: FakeWix, storage: str) -> None:
    """A row tells the install, the grant, the token, the last failure and open debts."""
    install(fake, SITE)
    install(fake, OTHER, left=-1.0, origin_instance_id=SITE, owes_on_install=True)
    fail_refresh(OTHER, RefreshFailure.REFUSED, 45.0)
    result = run("installations", "list")
    head, first, second = result.stdout.splitlines()

    assert (0, "") == (result.exit_code, result.stderr)
    assert ["INSTANCE", "INSTALLED", "(UTC)", "GRANT", "TOKEN", "NOTES"] == head.split()
    assert first.startswith(f"{SITE}  20")
    assert "  refresh_token " in first
    assert first.endswith(" s")
    assert " over  refused, no refresh before 20" in second
    assert second.endswith(f"; copy of {SITE}; on_install still to be called")


def test_json_has_all_facts(fake: FakeWix, storage: str) -> None:
    """Each line between the brackets is an object; times are UTC, and seconds are left."""
    install(fake, SITE)
    install(fake, OTHER, left=-1.0, owes_on_install=True)
    fail_refresh(OTHER, RefreshFailure.UNAVAILABLE, 45.0)
    lines = run("installations", "list", "--json").stdout.splitlines()
    first, second = listed()

    assert ["[", "]"] == [lines[0], lines[-1]]
    assert [first["instance_id"], second["instance_id"]] == [
        json.loads(line.rstrip(","))["instance_id"] for line in lines[1:-1]
    ]
    assert [FIELDS, FIELDS] == [list(first), list(second)]
    assert (SITE, "refresh_token", None) == (
        first["instance_id"],
        first["grant"],
        first["origin_instance_id"],
    )
    assert 0 < first["token_seconds"] <= 300
    assert (None, None, False) == (
        first["failure"],
        first["failure_until"],
        first["owes_on_install"],
    )
    assert (0, "unavailable", True) == (
        second["token_seconds"],
        second["failure"],
        second["owes_on_install"],
    )
    assert first["installed_at"].endswith("Z")
    assert second["installed_at"] < second["failure_until"]


def test_pages_follow_one_another(fake: FakeWix, storage: str) -> None:
    """`--limit` ends a page, and says on stderr how to get the next one."""
    install(fake, SITE, OTHER, THIRD)
    page = run("installations", "list", "--limit", "2")
    rest = run("installations", "list", "--limit", "2", "--after", OTHER)
    whole = run("installations", "list", "--limit", "3")

    assert f"more: --after {OTHER}\n" == page.stderr
    assert ["INSTANCE", SITE, OTHER] == [line.split()[0] for line in page.stdout.splitlines()]
    assert ["INSTANCE", THIRD] == [line.split()[0] for line in rest.stdout.splitlines()]
    assert ("", "") == (rest.stderr, whole.stderr)
    assert [SITE] == [one["instance_id"] for one in listed("--limit", "1")]


def test_no_installation_is_no_error(storage: str) -> None:
    """An empty list is printed as such."""
    result = run("installations", "list")

    assert (0, "", "There is no installation.\n") == (
        result.exit_code,
        result.stdout,
        result.stderr,
    )
    assert [] == listed()


def test_one_is_shown(fake: FakeWix, storage: str) -> None:
    """`show` tells the same of one installation, and that the keys open its tokens."""
    install(fake, SITE, owes_on_install=True)
    result, as_json = (run("installations", "show", SITE, *words) for words in ((), ("--json",)))
    lines = dict(line.split(None, 1) for line in result.stdout.splitlines())

    assert (0, 0) == (result.exit_code, as_json.exit_code)
    assert (SITE, "refresh_token") == (lines["instance"], lines["grant"])
    assert "is still to be called" == lines["on_install"]
    assert "open its tokens" == lines["keys"]
    assert [*FIELDS, "opens", "trouble"] == list(json.loads(as_json.stdout))
    assert (True, None) == tuple(json.loads(as_json.stdout).values())[-2:]


def test_nothing_is_unsealed_for_a_list(
    fake: FakeWix, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens of a lost key are listed and shown, with the id of that key (R33)."""
    monkeypatch.setenv("WIX_ENCRYPTION_KEYS", LOST_KEY)
    install(fake, SITE)
    monkeypatch.delenv("WIX_ENCRYPTION_KEYS")
    result, as_json = (run("installations", "show", SITE, *words) for words in ((), ("--json",)))
    key = Vault([bytes.fromhex(LOST_KEY)]).newest_id
    told = json.loads(as_json.stdout)

    assert [SITE] == [one["instance_id"] for one in listed()]
    assert (0, 0) == (result.exit_code, as_json.exit_code)
    assert key in result.stdout
    assert told["opens"] is False
    assert key in told["trouble"]


def test_rows_without_a_time_or_a_token_are_told_as_such(fake: FakeWix, storage: str) -> None:
    """An operator's hand may have been in the table: no row ends the list."""
    install(fake, SITE)
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE wix_installations SET installed_at = -1, access_token = NULL")
        database.commit()
    row = run("installations", "list").stdout.splitlines()[1]
    (told,) = listed()
    removed = run("installations", "remove", SITE, "--yes")

    assert [SITE, "unknown", "refresh_token", "none"] == row.split()
    assert (None, None) == (told["installed_at"], told["token_seconds"])
    assert 0 == removed.exit_code


def test_an_installation_without_a_token_gets_one(fake: FakeWix, storage: str) -> None:
    """A refresh needs no access token that it would replace."""
    install(fake, SITE)
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE wix_installations SET access_token = NULL")
        database.commit()

    assert 0 == run("installations", "refresh", SITE).exit_code


@pytest.mark.parametrize("command", ["show", "remove", "refresh"])
def test_unknown_installations_are_a_failure(storage: str, command: str) -> None:
    """The status is 1, and the reason is printed; without an instance id it is 2."""
    options = ["--yes"] if command == "remove" else []
    result = run("installations", command, "no-such-site", *options)
    usage = run("installations", command)

    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("wix-asgi: There is no such installation")
    assert 2 == usage.exit_code


def test_ids_of_strangers_cannot_forge_lines(fake: FakeWix, storage: str) -> None:
    """Characters that a terminal would obey are escaped."""
    install(fake, fake.add_site("Yoga", "\x1b[2J\n"))

    assert r"\x1b[2J\n" in run("installations", "list").stdout
    assert r"\x1b[2J\n" in run("installations", "show", "\x1b[2J\n").stdout


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


def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With wrong settings each command says which, and shows no value (R35, R47)."""
    monkeypatch.setenv("WIX_STORAGE", "postgresql://me:test-hunter2@db")
    for words in (["list"], ["show", SITE], ["refresh", SITE], ["remove", SITE, "--yes"]):
        result = run("installations", *words)

        assert (1, "") == (result.exit_code, result.stdout)
        assert "app_secret (WIX_APP_SECRET): is missing" in result.stderr
        assert "hunter2" not in result.stderr


def test_the_commands_run_for_real(
    fake: FakeWix, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processes of their own, on databases, they do the same and print no secret (R35)."""
    use(monkeypatch, fake, url)
    install(fake, SITE)
    before = stored()
    env = {**os.environ, "WIX_STORAGE": "sqlite:///nothing.db"}
    done = [
        run_for_real("installations", *words, "--storage", url, env=env)
        for words in (["list"], ["refresh", SITE], ["show", SITE], ["remove", SITE, "--yes"])
    ]
    gone = run_for_real("installations", "show", SITE, "--storage", url, env=env)
    output = "".join(result.stdout + result.stderr for result in done)

    assert [0] * 4 == [result.returncode for result in done], output
    assert 1 == gone.returncode
    assert before is not None
    assert before.access_token is not None
    for secret in (before.access_token.value, before.refresh_token, fake.app_secret, "hunter2"):
        assert secret not in output
