"""Statements on events whose outcome is not known: they are repeated, and take effect once."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import asyncpg
import pytest

from tests.backends.databases import Database
from tests.backends.inboxes import Sent, sent
from wix_asgi.models import EventState
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
    LONG,
    OWNER,
    PAYLOAD,
    event,
    ids,
    read_event,
    take,
)
from wix_asgi.testing.storage_check.records import APP
from wix_asgi_backends._retry import Retry
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends.postgres import PostgresStorage

CALLS: Final[dict[str, Callable[[SQLStorage], Awaitable[bool]]]] = {
    "renew": lambda storage: storage.renew_event(APP, EVENT, OWNER, lease=LONG, outcomes="a"),
    "done": lambda storage: storage.finish_event(APP, EVENT, OWNER, keep=LONG, outcomes="a"),
    "dead": lambda storage: storage.finish_event(
        APP, EVENT, OWNER, keep=LONG, outcomes="a", is_dead=True
    ),
    "postpone": lambda storage: storage.postpone_event(APP, EVENT, OWNER, delay=0, outcomes="a"),
    "give back": lambda storage: storage.postpone_event(
        APP, EVENT, OWNER, delay=0, outcomes="a", is_counted=False
    ),
    "drop": lambda storage: storage.drop_event(APP, EVENT, keep=LONG),
    "reseal": lambda storage: storage.reseal_event(APP, EVENT, b"newer", expected=PAYLOAD),
}
EXPECTED: Final = {
    "renew": (EventState.WAITING, 1, PAYLOAD, True),
    "done": (EventState.DONE, 1, None, False),
    "dead": (EventState.DEAD, 1, PAYLOAD, False),
    "postpone": (EventState.WAITING, 1, PAYLOAD, False),
    "give back": (EventState.WAITING, 0, PAYLOAD, False),
    "drop": (EventState.DONE, 1, None, False),
    "reseal": (EventState.WAITING, 1, b"newer", True),
}


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


@pytest.fixture(name="storage")
def _storage(database: Database) -> SQLStorage:
    """Give a storage that repeats a statement at once."""

    async def never(_seconds: float) -> None:
        return

    storage = database.make_storage()
    vars(storage)["_retry"] = Retry(sleep=never)
    return storage


def lost(storage: SQLStorage) -> Any:
    """Return the driver's error for a statement whose outcome nobody was told."""
    if isinstance(storage, PostgresStorage):
        return asyncpg.ConnectionDoesNotExistError("test: closed in the middle of operation")
    error: Any = sqlite3.OperationalError("test: disk I/O error after the commit")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


@contextmanager
def first_outcome_lost(storage: SQLStorage) -> Iterator[Sent]:
    """Carry the first call out, and fail all the same; give the statements of the block."""
    outcomes: list[int] = []

    def fail(number: int) -> None:
        outcomes.append(number)
        if len(outcomes) == 1:
            raise lost(storage)

    with sent(storage, fail) as statements:
        yield statements


@pytest.mark.parametrize("name", CALLS)
async def test_change_that_is_repeated(storage: SQLStorage, name: str) -> None:
    """A change that was carried out, and is repeated, is told as done, and was done once."""
    async with storage:
        await storage.add_event(event())
        await take(storage)
        with first_outcome_lost(storage) as statements:
            told = await CALLS[name](storage)
        found = await read_event(storage)

    assert told
    assert 2 == len(statements)
    assert EXPECTED[name] == (found.state, found.attempts, found.payload, found.is_taken)


async def test_take_that_is_repeated(storage: SQLStorage) -> None:
    """Events of a lost attempt come with the next one, and are counted once, in their order."""
    async with storage:
        for name, due_in in ("a", -1.0), ("b", -3.0), ("c", -2.0):
            await storage.add_event(event(name, due_in=due_in))
        with first_outcome_lost(storage):
            taken = await storage.take_events(APP, OWNER, limit=2, lease=LONG)

    assert ["b", "c"] == ids(taken)
    assert [1, 1] == [found.attempts for found in taken]


async def test_add_that_is_repeated(storage: SQLStorage) -> None:
    """An event of a lost attempt is kept once; that it was written is not told."""
    async with storage:
        with first_outcome_lost(storage):
            told = await storage.add_event(event(alias="alias"))

        assert not told
        assert [EVENT] == ids(await storage.events(APP))


async def test_late_repetition_spares_the_next_owner(storage: SQLStorage) -> None:
    """A repeated call of an owner changes nothing of an event that was taken by another since."""
    async with storage:
        await storage.add_event(event())
        await take(storage, lease=0)
        await take(storage, "another")
        told = []
        for name in ("renew", "done", "dead", "postpone", "give back"):
            with first_outcome_lost(storage):
                told.append(await CALLS[name](storage))
        found = await read_event(storage)

    assert [False] * 5 == told
    assert (EventState.WAITING, 2, True) == (found.state, found.attempts, found.is_taken)
