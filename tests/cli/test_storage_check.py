"""`wix-asgi storage check`, in process and for real."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.commands import run, run_for_real, store, stored
from tests.testing.storage_suite.broken import LastWriterWins
from wix_asgi.cli import _operating, _storage
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi_backends.memory import MemoryStorage


def test_a_storage_in_use_is_found_right_and_left_as_it_is(tmp_path: Path) -> None:
    """The command says that all rules are kept, and the installations stay as they are."""
    url = f"sqlite:///{tmp_path}/store.db"
    store(url, "a", "b")
    before = stored(url)
    done = run_for_real("storage", "check", env={**os.environ, "WIX_STORAGE": url})

    assert ("", 0) == (done.stderr, done.returncode)
    assert f"{url} keeps all the rules that can be checked while it is in use.\n" == done.stdout
    assert before == stored(url)


def check(storage: MemoryStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    """Check a storage that stands in for a file."""
    monkeypatch.setattr(_operating, "open_storage", lambda _: storage)
    (tmp_path / "store.db").touch()
    return run("storage", "check", f"sqlite:///{tmp_path}/store.db")


def test_what_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule that is not kept is named with its case, and the status is 1."""
    result = check(LastWriterWins(), tmp_path, monkeypatch)

    assert 1 == result.exit_code
    assert "    test_replace_of_another_version: AssertionError at: assert" in result.output
    assert "store.db does not keep" in result.output


def test_a_storage_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """The command creates no storage, and shows no password."""
    missing = run("storage", "check", f"sqlite:///{tmp_path}/missing/store.db")
    mistyped = run("storage", "check", f"sqlite:///{tmp_path}/mistyped.db")
    unknown = run("storage", "check", "nosuch://me:test-canary@host/db")

    assert [1, 1, 1] == [missing.exit_code, mistyped.exit_code, unknown.exit_code]
    assert "The storage: There is no such file." in mistyped.output
    assert [] == list(tmp_path.iterdir())
    assert "The storage: The directory of the SQLite storage does not exist" in missing.output
    assert "test-canary" not in unknown.output


def test_a_python_without_assertions_is_one_line(tmp_path: Path) -> None:
    """Under `-O` nothing would be found wrong: the command says so, and how to run it."""
    url = f"sqlite:///{tmp_path}/store.db"
    store(url, "a")
    done = run_for_real(
        "storage", "check", url, env={**os.environ, "PYTHONOPTIMIZE": "1", "COLUMNS": "200"}
    )

    assert (1, "") == (done.returncode, done.stdout)
    assert "leaves out assertions: run it without -O and PYTHONOPTIMIZE." in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_a_check_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason of a check that refuses to run is the message, with status 1."""

    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Not with this Python.")

    monkeypatch.setattr(_storage, "check_storage", refuse)
    url = f"sqlite:///{tmp_path}/store.db"
    store(url, "a")
    result = run("storage", "check", url)

    assert 1 == result.exit_code
    assert "Not with this Python." in result.output


def test_a_check_that_is_cut_short_has_a_status_of_its_own(tmp_path: Path) -> None:
    """A rule that was not checked is no broken rule: the status is 3, and the number is told."""
    url = f"sqlite:///{tmp_path}/store.db"
    store(url, "a")
    result = run("storage", "check", url, "--seconds", "0")
    number = re.search(r"^Not checked: (\d+) of (\d+) cases, when the time was up", result.stdout)

    assert 3 == result.exit_code
    assert number is not None
    assert number[1] == number[2]
    assert (
        f"wix-asgi: {url} keeps the rules that were checked within 0 s. Give the others more time "
        "by --seconds.\n"
    ) == result.stderr


def test_a_broken_rule_outweighs_unchecked_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that stops answering is wrong, with status 1; the rest is told as not checked."""
    result = check(Unreachable(), tmp_path, monkeypatch)

    assert 1 == result.exit_code
    assert "\nNot checked: " in result.stdout
    assert "store.db does not keep 1 of the rules." in result.stderr


def test_seconds_of_a_check_are_a_number(tmp_path: Path) -> None:
    """A time below 0 is a misuse of the command, with status 2."""
    result = run("storage", "check", f"sqlite:///{tmp_path}/store.db", "--seconds", "-1")

    assert 2 == result.exit_code


def test_help_of_a_check_tells_its_statuses() -> None:
    """The help names both statuses, and the time that a check has."""
    text = " ".join(run("storage", "check", "--help").output.split())

    assert "1 where something is wrong, and 3 where" in text
    assert "120" in text


class Unreachable(MemoryStorage):
    """A storage that fails every read and write."""

    async def put(self, record: Record) -> None:
        raise StorageUnavailable

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        raise StorageUnavailable
