"""docs/backup.md: its commands, run while an app writes, bring back every installation."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, opened, run_for_real, seal, store, stored
from tests.daemons import execute
from tests.limits import PATIENCE
from tests.operations.sealed import APP, NEW, OLD, record
from tests.postgres_server import programs
from tests.servers import ROOT
from wix_asgi.storage import open_storage

PAGE = (ROOT / "docs" / "backup.md").read_text("utf-8")


def block(language: str, text: str) -> str:
    """Return the one block of the page in this language that has this text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (found,) = [each for each in blocks if text in each]
    return str(found)


VACUUM, BACKUP = block("sh", "VACUUM INTO"), block("sh", ".backup")
IN_PYTHON = block("python", "source.backup")
RESTORE = block("sh", "wix-asgi.db-wal")
DUMP, RESTORE_DUMP = block("sh", "pg_dump"), block("sh", "pg_restore")


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Have an app write installations to a storage for as long as a block lasts."""
    over, begun = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    async def write() -> None:
        async with open_storage(url) as storage:
            number = 0
            while not over.is_set():
                await storage.put(record(f"later-{number % 100}"))
                number += 1
                if number == 10:
                    begun.set()

    def run() -> None:
        try:
            asyncio.run(write())
        except BaseException as exc:
            failures.append(exc)
            begun.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        yield
    finally:
        over.set()
        thread.join(PATIENCE)
    assert [] == failures


def shell(commands: str, room: Path, **variables: str) -> None:
    """Run commands of the page, with its two directories in `room`."""
    path = os.pathsep.join([str(programs()), str(COMMAND.parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-euc", _within(commands, room)],
        cwd=room,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr), done.stdout


def _within(text: str, room: Path) -> str:
    return re.sub(r"(?<=[ '\"])/(srv|backup)/", rf"{room}/\1/", text)


def by_module(room: Path) -> None:
    """Carry out the SQL of the first command with Python."""
    statement = _within(VACUUM, room).split('"')[1]
    with closing(sqlite3.connect(room / "srv" / "wix-asgi.db")) as connection:
        connection.execute(statement)


def by_snippet(room: Path) -> None:
    """Run the snippet for Python, which sets the mask of this process."""
    mask = os.umask(0)
    try:
        exec(_within(IN_PYTHON, room), {"__name__": "main"})  # noqa: S102 - ours
    finally:
        os.umask(mask)


WAYS: list[Callable[[Path], None]] = [by_module, by_snippet]
if shutil.which("sqlite3"):  # a program that not every machine has

    def by_vacuum(room: Path) -> None:
        """Run the first command."""
        shell(VACUUM, room)

    def by_backup(room: Path) -> None:
        """Run the second command."""
        shell(BACKUP, room)

    WAYS += [by_vacuum, by_backup]


@pytest.fixture(name="room")
def _room(tmp_path: Path) -> Path:
    """Give a room with the two directories of the page."""
    for name in ("srv", "backup"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize("back_up", WAYS)
def test_backup_of_sqlite(room: Path, back_up: Callable[[Path], None]) -> None:
    """A copy that was made while an app wrote is whole, and restores over a file with a log."""
    file = room / "srv" / "wix-asgi.db"
    url = f"sqlite:///{file}"
    seal(url, "site", key=OLD)
    with writing(url):
        back_up(room)
    # As after a crash: the restored file must not meet the log of the lost one.
    file.with_name("wix-asgi.db-wal").write_bytes(b"a log of another file" * 4096)
    shell(RESTORE, room)
    with closing(sqlite3.connect(file)) as connection:
        (sound,) = connection.execute("PRAGMA integrity_check").fetchone()

    assert "ok" == sound
    assert 0o600 == file.stat().st_mode & 0o777
    assert 10 <= len(stored(url))
    assert "refresh-site" == opened(url, "site", OLD)


@pytest.mark.parametrize("back_up", WAYS)
def test_copies_are_private(room: Path, back_up: Callable[[Path], None]) -> None:
    """A copy is readable by its owner alone, if the commands make the file."""
    store(f"sqlite:///{room}/srv/wix-asgi.db", "site")
    if back_up is by_module:  # the SQL without the command's umask
        mask = os.umask(0o077)
        back_up(room)
        os.umask(mask)
    else:
        back_up(room)

    assert 0o600 == (room / "backup" / "wix-asgi.db").stat().st_mode & 0o777


def test_copy_of_the_file_alone(room: Path) -> None:
    """`cp` leaves out installations that are in the log, so that the page warns of it."""
    file = room / "srv" / "wix-asgi.db"

    async def copy() -> None:
        async with open_storage(f"sqlite:///{file}") as storage:
            await storage.put(record("site"))
            shutil.copy(file, room / "backup")

    asyncio.run(copy())

    assert [] == stored(f"sqlite:///{room}/backup/wix-asgi.db")
    assert 1 == len(stored(f"sqlite:///{file}"))


def test_backup_of_postgres(room: Path, postgres_url: str) -> None:
    """Rows that were dumped while an app wrote come back into tables that were lost."""
    urls = {"DATABASE_URL": postgres_url, "WIX_STORAGE": postgres_url}
    seal(postgres_url, "site", key=OLD)
    with writing(postgres_url):
        shell(DUMP, room, **urls)
    asyncio.run(execute(postgres_url, "DROP TABLE wix_installations, wix_claims, wix_events"))
    shell(RESTORE_DUMP, room, **urls)
    again = len(stored(postgres_url))
    store(postgres_url, "of today")
    shell(RESTORE_DUMP, room, **urls)

    assert 10 <= again
    assert again == len(stored(postgres_url))
    assert "refresh-site" == opened(postgres_url, "site", OLD)


@pytest.mark.parametrize(("key", "unreadable"), [(OLD, 0), (NEW, 1)], ids=["kept", "lost"])
def test_keys_belong_into_a_backup(room: Path, key: bytes, unreadable: int) -> None:
    """`keys rotate` tells whether a restored storage can be read with the keys at hand."""
    seal(f"sqlite:///{room}/srv/wix-asgi.db", "site", key=OLD)
    by_module(room)
    shell(RESTORE, room)
    env = os.environ | {
        "WIX_APP_ID": APP,
        "WIX_APP_SECRET": "test-app-secret-of-the-backup",
        "WIX_PUBLIC_URL": "https://app.example.com",
        "WIX_ENCRYPTION_KEYS": key.hex(),
        "WIX_STORAGE": f"sqlite:///{room}/srv/wix-asgi.db",
    }
    done = run_for_real("keys", "rotate", env=env)

    # One installation, and the status of a failure is 1.
    assert unreadable == done.returncode
    assert f" {unreadable} unreadable." in done.stdout
