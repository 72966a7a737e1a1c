"""Statements in the thread of an SQLite connection: a step is one call, and is done or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Executable
from sqlalchemy import insert as writing
from sqlalchemy.dialects import sqlite

from wix_asgi_backends._compiled import Call, Compiled
from wix_asgi_backends._schema import CLAIMS
from wix_asgi_backends._sqlite_driver import send
from wix_asgi_backends._statements import OWNER


class Driver:
    """A connection of aiosqlite that does its work at once, in the thread of the test."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._conn = database
        self.calls = 0

    async def _execute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        return work(*arguments)


@pytest.fixture(name="driver")
def _driver() -> Iterator[Driver]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.execute("CREATE TABLE wix_claims (name UNIQUE, owner, expires_at)")
        yield Driver(database)


def call(statement: Executable, **values: object) -> Call:
    """Return a statement with its values."""
    compiled = Compiled(statement, sqlite.dialect(dbapi=sqlite3))
    return Call(compiled, compiled.arguments(values))


def insert(name: bytes) -> Call:
    """Return the statement that writes a claim."""
    return call(writing(CLAIMS).values(name=name, owner="owner", expires_at=10**15))


def names(driver: Driver) -> list[bytes]:
    """Return the names that are claimed."""
    return [name for (name,) in driver._conn.execute("SELECT name FROM wix_claims ORDER BY 1")]


async def test_one_statement(driver: Driver) -> None:
    """One statement is one call, and its rows are returned with their columns."""
    written = await send(driver, [insert(b"a")])
    found = await send(driver, [call(OWNER, the_name="a")])

    assert 1 == written.count
    assert ["owner"] == [row.owner for row in found.rows]
    assert 2 == driver.calls


async def test_several_statements(driver: Driver) -> None:
    """Several statements are one call: the count is of the first, and the rows are of the last."""
    outcome = await send(driver, [insert(b"a"), call(OWNER, the_name="a")])

    assert (1, ["owner"]) == (outcome.count, [row.owner for row in outcome.rows])
    assert 1 == driver.calls
    assert not driver._conn.in_transaction


async def test_several_statements_of_which_one_fails(driver: Driver) -> None:
    """Nothing is written where a later statement fails, and no transaction stays open."""
    with pytest.raises(sqlite3.IntegrityError):
        await send(driver, [insert(b"a"), insert(b"a")])

    assert [] == names(driver)
    assert not driver._conn.in_transaction


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("Connection closed"), sqlite3.OperationalError("no active connection")),
        (ValueError("no active connection"), sqlite3.OperationalError("no active connection")),
        (ValueError("another"), ValueError("another")),
    ],
)
async def test_closed_connection(driver: Driver, error: ValueError, told: Exception) -> None:
    """The driver's word for a connection that was closed becomes SQLAlchemy's for a lost one."""

    async def refuse(*_arguments: object) -> None:
        raise error

    vars(driver)["_execute"] = refuse
    with pytest.raises(type(told), match=str(told)):
        await send(driver, [insert(b"a")])
