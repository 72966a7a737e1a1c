"""`wix-asgi installations list` and `show`, in process, and all of its commands for real."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.commands import run, run_for_real
from tests.cli.installed import (
    FIELDS,
    LOST_KEY,
    OTHER,
    SITE,
    THIRD,
    change,
    fail_refresh,
    install,
    listed,
    stored,
    use,
)
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.sealing.vault import Vault
from wix_asgi.testing import FakeWix


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


@pytest.mark.parametrize("command", ["show", "remove", "refresh"])
def test_unknown_installations_are_a_failure(storage: str, command: str) -> None:
    """The status is 1, and the reason is printed; without an instance id it is 2."""
    options = ["--yes"] if command == "remove" else []
    result = run("installations", command, "no-such-site", *options)
    usage = run("installations", command)

    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("wix-asgi: There is no such installation")
    assert "whole" in result.stderr
    assert 2 == usage.exit_code


def test_ids_of_strangers_cannot_forge_lines(fake: FakeWix, storage: str) -> None:
    """Characters that a terminal would obey are escaped."""
    install(fake, fake.add_site("Yoga", "\x1b[2J\n"))

    assert r"\x1b[2J\n" in run("installations", "list").stdout
    assert r"\x1b[2J\n" in run("installations", "show", "\x1b[2J\n").stdout


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
