"""Rows that another hand wrote into the tables, by plain SQL on SQLite and Postgres."""

# ruff: noqa: S608 # the statements are the tests' own

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.daemons import execute
from wix_asgi.errors import StorageUnavailable
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.models import AccessToken, Grant
from wix_asgi.operations.copy_installations import copy_installations
from wix_asgi.operations.rotate_keys import rotate_keys
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import Storage
from wix_asgi_backends import METADATA
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends.memory import MemoryStorage
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage, _text

APP = "test-app"
SITES = ["site-1", "site-2", "site-3"]
OLD, NEW = b"o" * 32, b"n" * 32
OTHER_COLUMNS = ", ".join(
    column.name
    for column in METADATA.tables["wix_installations"].columns
    if column.name != "instance_id"
)
LAST, FIRST = 2**63 - 1, -(2**63)

Run = Callable[[str], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


@pytest.fixture(name="sqlite")
def _sqlite(tmp_path: Path) -> tuple[SQLiteStorage, Run]:
    async def run(statement: str) -> None:
        with closing(sqlite3.connect(tmp_path / "test.db")) as connection, connection:
            connection.execute(statement)

    return SQLiteStorage(tmp_path / "test.db"), run


@pytest.fixture(name="sql", params=["sqlite", "postgres"])
def _sql(request: pytest.FixtureRequest) -> tuple[SQLiteStorage | PostgresStorage, Run]:
    """Give a storage, and a function that runs a statement past it."""
    if request.param == "sqlite":
        given: tuple[SQLiteStorage, Run] = request.getfixturevalue("sqlite")
        return given
    url = request.getfixturevalue("postgres_url")

    async def run(statement: str) -> None:
        # As Postgres writes bytes.
        await execute(url, statement.replace("X'", "'\\x"))

    return PostgresStorage(parse_url(url)), run


def rows(storage: Storage, *keys: bytes) -> InstallationRepository:
    """Return the installations in `storage`."""
    return InstallationRepository(APP, storage, Vault(keys or [OLD]), clock=lambda: 0.0)


async def install(storage: Storage, *sites: str) -> None:
    """Install sites with tokens for 300 seconds."""
    for site in sites or SITES:
        grant = Grant(AccessToken("test-access-token", 300.0, 300.0), "test-refresh-token")
        await rows(storage).put(site, grant)


async def seen(storage: Storage) -> tuple[list[str], int, list[str]]:
    """Return the sites that are listed, the number of rotated sites, and the copied sites."""
    target = MemoryStorage()
    listed = [installation.instance_id async for installation in rows(storage).all()]
    rotated = await rotate_keys(APP, storage, Vault([NEW, OLD]))
    await copy_installations(APP, storage, target)
    return listed, rotated.resealed, [record.instance_id for record in await target.scan(APP)]


@pytest.mark.parametrize("column", ["retry_at", "expires_at", "installed_at", "lifetime"])
@pytest.mark.parametrize("value", [LAST, FIRST, -1, 253_402_300_800_000])
async def test_number_out_of_range(
    sql: tuple[SQLiteStorage | PostgresStorage, Run], column: str, value: int
) -> None:
    """A number that no row of ours has costs no site its place in lists, rotations and copies."""
    storage, run = sql
    async with storage:
        await install(storage)
        site = f"X'{b'site-2'.hex()}'"
        await run(f"UPDATE wix_installations SET {column} = {value} WHERE instance_id = {site}")

        assert (SITES, 3, SITES) == await seen(storage)
        assert (await rows(storage, NEW).require("site-2")).standing_verdict() is None


async def test_time_of_installation_out_of_range(
    sql: tuple[SQLiteStorage | PostgresStorage, Run],
) -> None:
    """A time that Python does not have is no time, and counts as 1970 in lists."""
    storage, run = sql
    async with storage:
        await install(storage, "site")
        for value in (LAST, FIRST, -1, 253_402_300_800_000):
            await run(f"UPDATE wix_installations SET installed_at = {value}")
            (installation,) = [found async for found in rows(storage).all()]

            assert datetime.fromtimestamp(0, UTC) == installation.installed_at


@pytest.mark.parametrize("key", ["ff", "736974652d31ff", "c3", "eda0"])
async def test_key_that_is_not_utf_8(
    sql: tuple[SQLiteStorage | PostgresStorage, Run], caplog: pytest.LogCaptureFixture, key: str
) -> None:
    """A row whose key cannot be read is left out, and named in hexadecimal digits; others come."""
    storage, run = sql
    async with storage:
        await install(storage)
        await run(
            f"INSERT INTO wix_installations (instance_id, {OTHER_COLUMNS}) SELECT X'{key}', "
            f"{OTHER_COLUMNS} FROM wix_installations WHERE instance_id = X'{b'site-1'.hex()}'"
        )
        await storage.scan(APP)
        (line,) = caplog.messages

        assert (SITES, 3, SITES) == await seen(storage)
    assert f"1 installations of app {APP} cannot be read and are left out; " in line
    assert f"in hexadecimal are {key}" in line


async def test_pages_after_keys_that_are_not_utf_8(
    sql: tuple[SQLiteStorage | PostgresStorage, Run], caplog: pytest.LogCaptureFixture
) -> None:
    """A scan gets past rows that cannot be read: full pages before and behind them, in order."""
    storage, run = sql
    async with storage:
        await install(storage, "a", "b", "z", "\U0001f600")
        for key in ("61ff", "62ff", "62ffff", "7aff", "7affff", "ff", "ffff"):
            await run(
                f"INSERT INTO wix_installations (instance_id, {OTHER_COLUMNS}) SELECT X'{key}', "
                f"{OTHER_COLUMNS} FROM wix_installations WHERE instance_id = X'61'"
            )
        pages = [["a", "b"], ["z", "\U0001f600"], []]
        found = []
        for after in ("", "b", "\U0001f600"):
            page = await storage.scan(APP, after=after, limit=2)
            found.append([record.instance_id for record in page])

        assert pages == found
        assert ["a"] == [r.instance_id for r in await storage.scan(APP, limit=1)]
        assert ["a", "b", "z", "\U0001f600"] == (await seen(storage))[0]
    assert "62ff, 62ffff" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        "version = X'00'",
        "version = CAST(X'ff' AS TEXT)",
        "refresh_token = 'text'",
        "access_token = 1.5",
    ],
)
async def test_another_type_in_sqlite(
    sqlite: tuple[SQLiteStorage, Run], caplog: pytest.LogCaptureFixture, change: str
) -> None:
    """A row with another type in a column is left out of lists; alone it is unavailable (R35)."""
    storage, run = sqlite
    async with storage:
        await install(storage)
        await run(f"UPDATE wix_installations SET {change} WHERE instance_id = X'{b'site-2'.hex()}'")
        with pytest.raises(StorageUnavailable, match=f"is {b'site-2'.hex()}") as caught:
            await storage.get(APP, "site-2")

        assert (["site-1", "site-3"], 2, ["site-1", "site-3"]) == await seen(storage)
        assert b"site-2".hex() in caplog.text
        await install(storage, "site-2")
        assert await storage.get(APP, "site-2") is not None
    assert "text" not in str(caught.value)


@pytest.mark.parametrize("value", ["'text'", "9e999", "-9e999", "1.5", "X'00'"])
@pytest.mark.parametrize("column", ["retry_at", "expires_at", "installed_at", "lifetime"])
async def test_no_whole_number_in_sqlite(
    sqlite: tuple[SQLiteStorage, Run], column: str, value: str
) -> None:
    """A column of numbers that has something else costs no site its place."""
    storage, run = sqlite
    async with storage:
        await install(storage)
        await run(f"UPDATE wix_installations SET {column} = {value} WHERE app_id IS NOT NULL")

        assert (SITES, 3, SITES) == await seen(storage)


async def test_failure_that_is_no_text_in_sqlite(sqlite: tuple[SQLiteStorage, Run]) -> None:
    """A failure by another hand is some failure, and costs no site its place."""
    storage, run = sqlite
    async with storage:
        await install(storage)
        await run("UPDATE wix_installations SET failure = X'ff00'")

        assert (SITES, 3, SITES) == await seen(storage)


def test_texts_of_a_file_are_no_errors() -> None:
    """A text of an SQLite file that is no UTF-8 is read as its bytes."""
    assert ["caf\u00e9", b"caf\xe9"] == [_text("caf\u00e9".encode()), _text(b"caf\xe9")]
