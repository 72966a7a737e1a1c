"""`wix-asgi storage sql` and `storage init`: the tables, before an app makes them."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.commands import run, run_for_real, store, stored
from tests.servers import ROOT


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return tmp_path / "wix.db"


def test_statements_are_those_of_the_documentation() -> None:
    """The block of SQL in `backends/README.md` is what the command prints for Postgres."""
    page = (ROOT / "backends" / "README.md").read_text("utf-8")
    block = page.partition("```sql\n")[2].partition("```")[0]
    result = run("storage", "sql", "postgresql://", "--role", "app_role")

    assert (0, "") == (result.exit_code, result.stderr)
    assert block == result.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["postgresql://"], []),
        (["postgresql://app:hunter2@host/db"], ["app"]),
        (["postgresql://app:hunter2@host/db", "--role", "The App"], ['"The App"']),
    ],
)
def test_statements_are_for_the_role_of_the_app(arguments: list[str], expected: list[str]) -> None:
    """The role is the user of the URL, or named; without one the app is to own the tables (R35)."""
    result = run("storage", "sql", *arguments)
    granted = re.findall("GRANT .* ON wix_claims TO (.*);", result.stdout)

    assert (0, expected) == (result.exit_code, granted)
    assert "hunter2" not in result.stdout


def test_statements_make_a_storage(file: Path) -> None:
    """An app opens tables that an administrator made with the statements, and makes none."""
    result = run("storage", "sql", f"sqlite:///{file}")
    was_made = file.exists()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(result.stdout)
    again = run("storage", "init", f"sqlite:///{file}")

    assert (0, False) == (result.exit_code, was_made)
    assert f"sqlite:///{file}: everything was there already.\n" == again.stdout


def test_tables_are_made_and_named(file: Path) -> None:
    """The first run names what it made, the second made nothing, and the file is its owner's."""
    first = run("storage", "init", f"sqlite:///{file}")
    second = run("storage", "init", f"sqlite:///{file}")
    store(f"sqlite:///{file}", "a")

    assert f"sqlite:///{file}: made wix_claims, wix_events, wix_installations.\n" == first.stdout
    assert f"sqlite:///{file}: everything was there already.\n" == second.stdout
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert 1 == len(stored(f"sqlite:///{file}"))


def test_tables_of_something_else(file: Path) -> None:
    """Tables of another program are named, with status 1, and left as they are."""
    file.touch(0o600)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE wix_claims (x)")
        result = run("storage", "init", f"sqlite:///{file}")
        there = connection.execute("SELECT name FROM sqlite_master").fetchall()

    assert 1 == result.exit_code
    assert f"wix-asgi: The SQLite storage {file} cannot be used: wix_claims has no" in result.stderr
    assert [("wix_claims",)] == there


def test_commands_run_for_real(postgres_url: str) -> None:
    """In processes of their own, with the URL in the environment, which no answer shows (R35)."""
    env = {**os.environ, "WIX_STORAGE": postgres_url}
    printed = run_for_real("storage", "sql", env=env)
    first = run_for_real("storage", "init", env=env)
    second = run_for_real("storage", "init", env=env)

    assert (0, "") == (printed.returncode, printed.stderr)
    assert printed.stdout.startswith(
        "BEGIN;\nSET LOCAL lock_timeout = '2s';\nCREATE TABLE IF NOT EXISTS wix_claims (\n    name"
    )
    assert "postgresql://…: made wix_claims, wix_events, wix_installations.\n" == first.stdout
    assert "postgresql://…: everything was there already.\n" == second.stdout


@pytest.mark.parametrize("command", ["sql", "init"])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("memory://", "memory:// is not kept in tables that anybody could make."),
        ("sqlite://", "names no SQLite file"),
        ("mysql://user:hunter2@host/db", "there is no MySQL backend"),
    ],
)
def test_storages_without_tables(command: str, url: str, expected: str) -> None:
    """A URL without tables is a message on one line, without a password (R35)."""
    result = run("storage", command, url)

    assert 1 == result.exit_code
    assert expected in result.stderr
    assert 1 == result.output.count("\n")
    assert "hunter2" not in result.output
