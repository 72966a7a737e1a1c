"""Events by another hand, or of a newer release: read as far as possible, and no failure."""

# ruff: noqa: S608 # the statements are the tests' own

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.backends.databases import Database, in_sqlite
from wix_asgi.models import EventState
from wix_asgi.testing.storage_check.event_records import (
    LONG,
    OWNER,
    PAYLOAD,
    ids,
    keep_all,
    read_event,
    take,
)
from wix_asgi.testing.storage_check.records import APP

LAST, FIRST = 2**63 - 1, -(2**63)
NAMES = ["a", "b", "c"]
B = "event_id = X'62'"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


@pytest.fixture(name="sqlite")
def _sqlite(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Give a database in a file, whose columns hold values of any type."""
    return in_sqlite(tmp_path_factory.mktemp("sqlite") / "test.db")


async def change(database: Database, statement: str) -> None:
    """Run a statement past the storage, in the database's way to write bytes."""
    storage = database.make_storage()
    is_sqlite = (await storage._engines.current()).dialect.name == "sqlite"
    await database.run(statement if is_sqlite else statement.replace("X'", "'\\x"))
    await storage.aclose()


@pytest.mark.parametrize("value", [LAST, FIRST, -1, 253_402_300_800_000])
@pytest.mark.parametrize("column", ["issued_at", "received_at", "attempts", "taken_due_at"])
async def test_number_out_of_range(database: Database, column: str, value: int) -> None:
    """A number that no row of ours has costs no event its place in lists and in the queue."""
    async with database.make_storage() as storage:
        await keep_all(storage, *NAMES)
        await change(database, f"UPDATE wix_events SET {column} = {value} WHERE {B}")
        listed = ids(await storage.events(APP))
        taken = sorted(await take(storage))
        counted = await storage.count_events(APP, limit=9)
        given_back = [
            await storage.postpone_event(
                APP, name, OWNER, delay=LONG, outcomes="", is_counted=False
            )
            for name in NAMES
        ]

    assert (NAMES, NAMES, 3) == (listed, taken, counted.waiting)
    assert [True] * 3 == given_back


async def test_moment_that_python_has_not(database: Database) -> None:
    """A moment of issue outside Python's years counts as 1970; a moment of receipt is unknown."""
    async with database.make_storage() as storage:
        await keep_all(storage, "b")
        await change(database, f"UPDATE wix_events SET issued_at = {LAST}, received_at = {LAST}")
        found = await read_event(storage, "b")

    assert (datetime.fromtimestamp(0, UTC), None) == (found.issued_at, found.received_at)


@pytest.mark.parametrize(
    ("newer", "expected"),
    [
        ("state = 'paused'", EventState.WAITING),
        ("state = 'paused', due_at = NULL", EventState.DEAD),
        ("state = 'paused', due_at = NULL, payload = NULL", EventState.DONE),
        ("state = 'archived', due_at = NULL, expires_at = 9000000000000", EventState.DEAD),
        ("due_at = NULL", EventState.DEAD),
    ],
)
async def test_state_of_a_newer_release(
    database: Database, newer: str, expected: EventState
) -> None:
    """An unknown state is the known one in which this release handles the event, and stays."""
    async with database.make_storage() as storage:
        await keep_all(storage, "b")
        await change(database, f"UPDATE wix_events SET {newer}")
        found = await read_event(storage, "b")

        assert expected == found.state
        assert (["b"] if expected == EventState.WAITING else []) == await take(storage)
        assert ["b"] == ids(await storage.events(APP))
        assert 0 == await storage.purge_events()
        assert await storage.drop_event(APP, "b", keep=LONG)


async def test_columns_of_a_newer_release(database: Database) -> None:
    """Columns that are unknown here are left alone."""
    async with database.make_storage() as storage:
        await database.run("ALTER TABLE wix_events ADD COLUMN tenant TEXT DEFAULT 'x' NOT NULL")
    async with database.make_storage() as storage:
        await keep_all(storage, "b")

        assert ["b"] == await take(storage)


@pytest.mark.parametrize("key", ["ff", "6162ff", "c3", "eda0"])
async def test_key_that_is_not_utf_8(
    database: Database, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    """An event whose key cannot be read is left out, and named in hexadecimal; others come."""
    async with database.make_storage() as storage:
        await keep_all(storage, *NAMES, "d", due_in=-1.0)
        await change(database, f"UPDATE wix_events SET event_id = X'{key}' WHERE {B}")
        pages = [ids(await storage.events(APP, limit=limit)) for limit in (2, 3, 9)]
        caplog.clear()
        taken = sorted(await take(storage))
        (line,) = caplog.messages

    assert [["a", "c"], ["a", "c", "d"], ["a", "c", "d"]] == pages
    assert ["a", "c", "d"] == taken
    assert f"1 events of app {APP} cannot be read and are left out; " in line
    assert line.endswith(f"in hexadecimal are {key}")


@pytest.mark.parametrize("column", ["event_type", "instance_id", "alias"])
async def test_text_that_is_not_utf_8(database: Database, column: str) -> None:
    """A type, an installation or an alias that cannot be read is shown as its bytes, or not."""
    async with database.make_storage() as storage:
        await keep_all(storage, "b", alias="b")
        await change(database, f"UPDATE wix_events SET {column} = X'ff62'")
        found = await read_event(storage, "b")

        assert (None if column == "alias" else r"b'\xffb'") == getattr(found, column)
        assert ["b"] == await take(storage)


@pytest.mark.parametrize(
    "value", ["'text'", "9e999", "-9e999", "1.5", "X'00'", "CAST(X'ff' AS TEXT)"]
)
@pytest.mark.parametrize(
    "column",
    ["issued_at", "received_at", "attempts", "taken_due_at", "outcomes", "failure", "state"],
)
async def test_another_type_in_sqlite(sqlite: Database, column: str, value: str) -> None:
    """A column that has a value of another type costs no event its place."""
    async with sqlite.make_storage() as storage:
        await keep_all(storage, *NAMES)
        await change(sqlite, f"UPDATE wix_events SET {column} = {value} WHERE {B}")

        assert NAMES == ids(await storage.events(APP))
        assert NAMES == sorted(await take(storage))
        assert 3 == (await storage.count_events(APP, limit=9)).waiting
        assert await storage.finish_event(APP, "b", OWNER, keep=LONG, outcomes="")


@pytest.mark.parametrize("value", ["'text'", "9e999", "X'00'"])
async def test_end_of_another_type_in_sqlite(sqlite: Database, value: str) -> None:
    """An end without a number is told as some end."""
    async with sqlite.make_storage() as storage:
        await keep_all(storage, *NAMES)
        await take(storage)
        await storage.finish_event(APP, "b", OWNER, keep=LONG, outcomes="", is_dead=True)
        await change(sqlite, f"UPDATE wix_events SET expires_at = {value} WHERE {B}")

        assert (await read_event(storage, "b")).expires_in is not None
        assert (await storage.count_events(APP, limit=9)).next_dead_in is not None


async def test_payload_of_another_type_in_sqlite(sqlite: Database) -> None:
    """A payload of another type is no payload, and the event is handed out without it."""
    async with sqlite.make_storage() as storage:
        await keep_all(storage, "a", "b")
        await change(sqlite, f"UPDATE wix_events SET payload = 'text' WHERE {B}")
        taken = await storage.take_events(APP, OWNER, limit=9, lease=LONG)

    assert {"a": PAYLOAD, "b": None} == {found.event_id: found.payload for found in taken}


async def test_text_as_a_key_in_sqlite(sqlite: Database, caplog: pytest.LogCaptureFixture) -> None:
    """A text as an id belongs to no event of ours, and keeps none of ours from being taken."""
    async with sqlite.make_storage() as storage:
        await keep_all(storage, *NAMES)
        await change(sqlite, f"UPDATE wix_events SET event_id = 'b' WHERE {B}")

        assert ["a", "c"] == sorted(await take(storage))
    assert "hexadecimal are str" in caplog.text
