"""`wix-asgi storage`, in process and for real."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, refresh, run, run_for_real, store, stored
from tests.operations.sealed import APP
from tests.servers import serving
from wix_asgi.cli import _operating, _storage
from wix_asgi.operations.copy_installations import Copy

OF_APP = ("--app-id", APP)
SAME = "3 installations in FROM, 3 in TO; 3 written, 3 compared and the same."
MULTIPLY = """
WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < ?)
INSERT INTO wix_installations
    (instance_id, app_id, version, refresh_token, lifetime, expires_at, retry_at, installed_at)
SELECT CAST('site-' || i AS BLOB), app_id, HEX(RANDOMBLOB(8)), RANDOMBLOB(40), lifetime, expires_at,
    retry_at, installed_at
FROM number, wix_installations WHERE instance_id = x'61'
"""


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> str:
    """Give the URL of a file with three installations."""
    url = f"sqlite:///{tmp_path}/from.db"
    store(url, "a", "b", "c")
    return url


@pytest.fixture(name="target")
def _target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/to.db"


def test_help_names_the_commands() -> None:
    """`storage` alone lists its commands."""
    assert "copy" in run("storage").output


def test_help_says_how_an_app_is_moved() -> None:
    """The help of the command is the procedure, with the limits of the copy."""
    result = run("storage", "copy", "--help")
    text = " ".join(result.output.split())

    assert 0 == result.exit_code
    for words in ("FROM", "TO", "--app-id", "WIX_APP_ID", "WIX_COPY_FROM", "--verbose"):
        assert words in text
    assert "Stop the app" in text
    assert "Nothing is deleted" in text


def test_everything_is_copied(source: str, target: str) -> None:
    """The closing line counts both sides, and the status is 0."""
    result = run("storage", "copy", source, target, *OF_APP)

    assert (0, "") == (result.exit_code, result.stderr)
    assert f"{source} to {target}: {SAME}\n" == result.stdout
    assert stored(source) == stored(target)


@pytest.mark.parametrize(
    ("written", "status"), [(f'"{APP}"\n', 0), (f"{APP} {APP}", 1), ("your-app-id", 1)]
)
def test_id_is_read_as_the_app_reads_it(
    source: str, target: str, written: str, status: int
) -> None:
    """Quotes and line ends around the app's ID are dropped, and a damaged one is refused."""
    result = run("storage", "copy", source, target, "--app-id", written)

    assert (status, bool(status)) == (
        result.exit_code,
        result.stderr.startswith("wix-asgi: The app ID ") and written not in result.output,
    )


def test_urls_and_id_come_from_the_environment(
    source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL with a password need not stand on the command line."""
    monkeypatch.setenv("WIX_APP_ID", APP)
    monkeypatch.setenv("WIX_COPY_FROM", source)
    monkeypatch.setenv("WIX_COPY_TO", target)
    result = run("storage", "copy")

    assert 0 == result.exit_code
    assert stored(source) == stored(target)


def test_what_is_in_the_target_only_is_told(source: str, target: str) -> None:
    """Extra records are named, and are no failure: removed in the source, or new in the target."""
    store(target, "d")
    result = run("storage", "copy", source, target, *OF_APP)

    assert 0 == result.exit_code
    assert "3 in FROM, 4 in TO" in result.stdout.replace(" installations", "")
    assert "TO has 1 more, which are not in FROM (d)." in result.stdout


def test_what_an_app_wrote_in_the_target_is_named(source: str, target: str) -> None:
    """A record that an app wrote in the target stays, and the status is 1."""
    store(target, "b")
    before = stored(target)
    result = run("storage", "copy", source, target, *OF_APP)

    assert 1 == result.exit_code
    assert (
        "wix-asgi: TO does not have all that FROM has. "
        "Written by an app in TO, and left as it is there: 1 installation (b).\n"
    ) == result.stderr
    assert before[0] in stored(target)


def test_only_the_first_are_named_on_one_line(source: str, target: str) -> None:
    """Ten ids are shown, escaped, and the number of the remaining ids (R36)."""
    sites = [f"line\nbreak-{number:02}" for number in range(12)]
    store(source, *sites)
    store(target, *sites)
    result = run("storage", "copy", source, target, *OF_APP)

    assert 1 == result.stderr.count("\n")
    assert r"line\nbreak-09 and 2 more)." in result.stderr


def test_a_failed_verification_is_a_failure(source: str, target: str) -> None:
    """A record with the version of the source and other contents is named, and the status is 1."""
    run("storage", "copy", source, target, *OF_APP)
    # Without a new version.
    change(target, "UPDATE wix_installations SET refresh_token = x'00' WHERE instance_id = x'61'")
    result = run("storage", "copy", source, target, *OF_APP)

    assert 1 == result.exit_code
    assert "Not what was written in TO: 1 installation (a)." in result.stderr


def test_what_never_rests_is_a_failure(
    source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If each pass had records to write, the message says to stop the app."""

    async def busy(*_: object, **__: object) -> Copy:
        return Copy(passes=10, written=30, seen=3, same=1, unsettled=2, in_target=3)

    monkeypatch.setattr(_storage, "copy_installations", busy)
    result = run("storage", "copy", source, target, *OF_APP)

    assert 1 == result.exit_code
    assert (
        "Changed in FROM during the last of 10 passes: 2 installations. "
        "Stop the app and run this again."
    ) in result.stderr


def test_progress_is_shown_on_request(source: str, target: str) -> None:
    """With `--verbose` there is a line on stderr for every thousand records of a pass."""
    multiply(source, 997)
    verbose = run("storage", "copy", source, target, *OF_APP, "--verbose")
    quiet = run("storage", "copy", source, target, *OF_APP)

    assert (
        "Pass 1: 1,000 installations read, 1,000 written.\n"
        "Pass 2: 1,000 installations read, 1,000 written.\n"
    ) == verbose.stderr
    assert "" == quiet.stderr


def multiply(url: str, times: int) -> None:
    """Add this number of records, all at once."""
    change(url, MULTIPLY, times)


def change(url: str, statement: str, *values: object) -> None:
    """Carry out a statement behind everybody's back."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_progress_is_shown_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal the progress is shown without the option."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = _operating.Progress(verbose=False)
    progress.tell(999, "999")
    progress.tell(2000, "2000")

    assert "2000\n" == capsys.readouterr().err


def test_an_empty_source_is_asked_about(source: str, target: str) -> None:
    """A copy of nothing is a mistake: two URLs in the wrong order, or another app's id."""
    missing = run("storage", "copy", target, source, *OF_APP)
    was_made = Path(target.removeprefix("sqlite:///")).exists()
    store(target)
    empty = run("storage", "copy", target, source, *OF_APP)

    assert (1, 1, False) == (missing.exit_code, empty.exit_code, was_made)
    assert "FROM: There is no such file." in missing.stderr
    assert "FROM has no installation of this app" in empty.stderr


@pytest.mark.parametrize("name", ["from.db", "elsewhere/../from.db"])
def test_one_storage_is_not_copied_onto_itself(tmp_path: Path, source: str, name: str) -> None:
    """A storage is recognised under any of its URLs."""
    (tmp_path / "elsewhere").mkdir()
    result = run("storage", "copy", source, f"sqlite:///{tmp_path}/{name}", *OF_APP)

    assert (1, "") == (result.exit_code, result.stdout)
    assert "wix-asgi: FROM and TO are the same storage.\n" == result.stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nosql://me:test-hunter2@db/x", "No storage backend for nosql://"),
        ("test-hunter2", "The storage is not a URL."),
        ("memory://", "memory:// is within one process, and empty in any other."),
        ("sqlite:///:memory:", "The storage URL names no SQLite file."),
        ("sqlite:////no/such/place/file.db", "does not exist"),
        ("postgresql://me:test-hunter2@localhost/x?host=/dev/null", "cannot be used"),
        ("postgresql://me:test-hunter2@localhost/x?sslmode=nonsense", "sslmode"),
    ],
)
def test_storages_that_cannot_be_had_are_told(source: str, url: str, expected: str) -> None:
    """One line names the side and its fault, and shows no password (R35)."""
    wrong_target = run("storage", "copy", source, url, *OF_APP)
    wrong_source = run("storage", "copy", url, source, *OF_APP)

    assert (1, 1) == (wrong_target.exit_code, wrong_source.exit_code)
    assert wrong_target.stderr.startswith("wix-asgi: TO: ")
    assert wrong_source.stderr.startswith("wix-asgi: FROM: ")
    for result in (wrong_target, wrong_source):
        assert expected in result.stderr
        assert 1 == result.output.count("\n")
        assert "hunter2" not in result.output


def test_the_app_id_is_asked_for(source: str, target: str) -> None:
    """The app id is required, since records are read by it."""
    result = run("storage", "copy", source, target)

    assert 2 == result.exit_code
    assert "--app-id" in result.output


def test_the_command_runs_for_real(source: str, postgres_url: str) -> None:
    """From SQLite to Postgres, again after a refresh, and back, in processes of their own."""
    env = {**os.environ, "WIX_APP_ID": APP}
    first = run_for_real("storage", "copy", source, postgres_url, env=env)
    refresh(source, "b")
    second = run_for_real("storage", "copy", source, postgres_url, env=env)
    back = run_for_real("storage", "copy", postgres_url, source, env=env)

    assert (0, f"{source} to postgresql://…: {SAME}\n", "") == (
        first.returncode,
        first.stdout,
        first.stderr,
    )
    assert (0, True) == (second.returncode, "; 1 written, 3 compared" in second.stdout)
    assert (0, True) == (back.returncode, "; 0 written, 3 compared" in back.stdout)
    assert stored(source) == stored(postgres_url)


def test_a_copy_that_was_killed_goes_on(source: str, target: str, tmp_path: Path) -> None:
    """After SIGKILL in the middle, another run copies the rest and compares all of it."""
    multiply(source, 1500)
    command = [str(COMMAND), "storage", "copy", source, target, *OF_APP, "--verbose"]
    with serving(command, cwd=tmp_path, env=dict(os.environ)) as server:
        server.printed(r"Pass 1: 1,000 installations read")
        server.stop(signal.SIGKILL)
    result = run_for_real("storage", "copy", source, target, *OF_APP, env=dict(os.environ))
    written = re.search(r"; ([\d,]+) written, 1,503 compared and the same", result.stdout)

    assert 0 == result.returncode
    assert written is not None
    assert int(written[1]) <= 503
    assert stored(source) == stored(target)
