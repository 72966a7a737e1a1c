"""Other users of the machine who reach an SQLite file: their modes, their files, and Windows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wix_asgi_backends._sqlite_file import this_user, warn_of_others
from wix_asgi_backends.sqlite import SQLiteStorage

STRANGER = 65533
SUFFIXES = ["", "-wal", "-shm"]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """Return the file of a storage with its logs, all for their owner alone."""
    path = tmp_path / "test.db"
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").touch(0o600)
    return path


@pytest.fixture(name="warned")
def _warned(caplog: pytest.LogCaptureFixture) -> Callable[[Path, int | None], list[str]]:
    """Return a function that returns the warnings about a file for a user."""

    def warned(path: Path, user: int | None) -> list[str]:
        with caplog.at_level(logging.WARNING, "wix_asgi"):
            warn_of_others(path, user)
        return caplog.messages

    return warned


def give_away(path: Path) -> int:
    """Give a file to another user, as root; return the id of a user whose file it is not.

    Anybody else cannot do that: the file stays theirs, and the user is another one.
    """
    if os.geteuid() == 0:
        os.chown(path, STRANGER, -1)
        return 0
    return STRANGER


def owner(path: Path) -> int:
    """Return the id of the user whose file it is."""
    return path.stat().st_uid


Warned = Callable[[Path, int | None], list[str]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_file_of_another_user_is_warned_of(path: Path, suffix: str, warned: Warned) -> None:
    """The file, or a log beside it, that belongs to another user is named with its owner (R37)."""
    file = Path(f"{path}{suffix}")
    user = give_away(file)
    (line,) = warned(path, user)

    assert "belongs to another user" in line
    assert f"{file} of uid {owner(file)}" in line
    assert f"(chown {user})" in line


def test_all_files_of_other_users_are_in_one_line(path: Path, warned: Warned) -> None:
    """The file and both logs are named in one warning (R37)."""
    files = [Path(f"{path}{suffix}") for suffix in SUFFIXES]
    (user,) = {give_away(file) for file in files}
    (line,) = warned(path, user)

    assert ", ".join(f"{file} of uid {owner(file)}" for file in files) in line


def test_the_file_behind_a_link_is_the_one(path: Path, tmp_path: Path, warned: Warned) -> None:
    """Of a link the file to which it leads is looked at, with the logs beside that file (R37)."""
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(path)
    user = give_away(Path(f"{path}-wal"))
    (line,) = warned(link, user)

    assert f"{path}-wal of uid" in line


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_log_that_all_may_read_is_warned_of(path: Path, suffix: str, warned: Warned) -> None:
    """A log keeps the mode that the file once had, and holds the same rows (R37)."""
    Path(f"{path}{suffix}").chmod(0o604)

    assert ["every user of this machine may open the SQLite storage: chmod it to 0600"] == warned(
        path, owner(path)
    )


def test_files_of_one_s_own_are_fine(path: Path, warned: Warned) -> None:
    """Nothing is said of files that are this user's, and closed to others (R37)."""
    assert [] == warned(path, os.geteuid())


def test_missing_logs_are_no_matter(path: Path, warned: Warned) -> None:
    """A storage that nobody uses has no logs, of which nothing is to be said."""
    for suffix in SUFFIXES[1:]:
        Path(f"{path}{suffix}").unlink()

    assert [] == warned(path, owner(path))


def test_root_is_not_warned_of(warned: Warned) -> None:
    """A file of root's is fine for another user, since root may read every file."""
    lines = warned(Path("/etc/passwd"), STRANGER)

    assert [] == [line for line in lines if "belongs to another user" in line]


def test_nothing_is_said_on_windows(path: Path, warned: Warned) -> None:
    """Windows has no modes: those that Python makes up for it are no reason to warn anybody."""
    path.chmod(0o666)
    path.parent.chmod(0o777)

    assert [] == warned(path, None)


def test_the_user_is_told_when_it_is_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user may change after the start, and Windows has none."""
    told = [this_user()]
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    told.append(this_user())
    monkeypatch.delattr(os, "geteuid")
    told.append(this_user())

    assert [owner(path), STRANGER, None] == told


async def test_an_opened_storage_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Opening a storage warns of a file that belongs to another user (R37)."""
    path = tmp_path / "test.db"
    path.touch(0o600)
    user = give_away(path)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with caplog.at_level(logging.WARNING, "wix_asgi"):
        async with SQLiteStorage(path):
            pass

    (line,) = caplog.messages
    assert f"{path} of uid {owner(path)}" in line
