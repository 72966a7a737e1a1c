"""`wix-asgi storage check`, in process and for real."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.commands import run, run_for_real, store, stored
from tests.testing.storage_suite.broken import LastWriterWins
from wix_asgi.cli import _operating, _storage


def test_a_storage_in_use_is_found_right_and_left_as_it_is(tmp_path: Path) -> None:
    """The command says that all rules are kept, and the installations stay as they are."""
    url = f"sqlite:///{tmp_path}/store.db"
    store(url, "a", "b")
    before = stored(url)
    done = run_for_real("storage", "check", env={**os.environ, "WIX_STORAGE": url})

    assert ("", 0) == (done.stderr, done.returncode)
    assert f"{url} keeps all the rules that can be checked while it is in use.\n" == done.stdout
    assert before == stored(url)


def test_what_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule that is not kept is named with its case, and the status is 1."""
    monkeypatch.setattr(_operating, "open_storage", lambda _: LastWriterWins())
    (tmp_path / "store.db").touch()
    result = run("storage", "check", f"sqlite:///{tmp_path}/store.db")

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

    async def refuse(_: object) -> None:
        raise RuntimeError("Not with this Python.")

    monkeypatch.setattr(_storage, "check_storage", refuse)
    url = f"sqlite:///{tmp_path}/store.db"
    store(url, "a")
    result = run("storage", "check", url)

    assert 1 == result.exit_code
    assert "Not with this Python." in result.output
