"""Tables that are there before a storage is opened, and cannot be its own: they are named."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from tests.backends.databases import CLAIMS_INDEX, Database, in_postgres, in_sqlite, user
from wix_asgi.errors import StorageUnavailable
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


NOT_OURS = {
    "a column is missing": (
        [("    owner TEXT NOT NULL,\n", "")],
        "wix_claims has no column owner",
    ),
    "a column has another type": (
        [("lifetime BIGINT", "lifetime TEXT")],
        "wix_installations has a column lifetime of the type text, not bigint",
    ),
    "a column has decimals": (
        [("lifetime BIGINT", "lifetime NUMERIC")],
        "wix_installations has a column lifetime of the type numeric, not bigint",
    ),
    "no primary key": (
        [(",\n    PRIMARY KEY (name)", "")],
        "wix_claims has no primary key (name)",
    ),
    "another primary key": (
        [("PRIMARY KEY (instance_id, app_id)", "PRIMARY KEY (instance_id)")],
        "wix_installations has no primary key (instance_id, app_id)",
    ),
    "a key of some rows only": (
        [
            (",\n    PRIMARY KEY (name)", ""),
            (CLAIMS_INDEX, "CREATE UNIQUE INDEX i ON wix_claims (name) WHERE expires_at > 0"),
        ],
        "wix_claims has no primary key (name)",
    ),
    "a key of an expression": (
        [
            (",\n    PRIMARY KEY (name)", ""),
            (CLAIMS_INDEX, "CREATE UNIQUE INDEX i ON wix_claims (name, lower(owner))"),
        ],
        "wix_claims has no primary key (name)",
    ),
    "NULL is refused": (
        [("failure TEXT,\n    retry_at", "failure TEXT NOT NULL,\n    retry_at")],
        "wix_installations has a column failure that is NOT NULL",
    ),
    "another column is wanted": (
        [("lifetime BIGINT", "tenant TEXT NOT NULL,\n    lifetime BIGINT")],
        "wix_installations has a column tenant, NOT NULL and without a default",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "fault"), NOT_OURS.values(), ids=[name.replace(" ", "-") for name in NOT_OURS]
)
async def test_tables_of_something_else(
    database: Database, changes: list[tuple[str, str]], fault: str
) -> None:
    """A table that no install could be kept in is named at the start, with the fault and remedy."""
    await database.make(*changes)
    with pytest.raises(StorageUnavailable) as caught:
        async with database.make_storage():
            pass
    message = str(caught.value)

    # SQLite keeps the letters of a type.
    assert f" cannot be used: {fault}. Rename them".lower() in message.lower()
    assert "`wix-asgi storage sql` prints the right tables" in message


@pytest.mark.parametrize(
    ("there", "kind"),
    [
        ("CREATE TABLE others (name TEXT); CREATE VIEW wix_claims AS SELECT * FROM others", "view"),
        ("CREATE TABLE others (name TEXT); CREATE INDEX wix_claims ON others (name)", "index"),
    ],
)
async def test_something_else_than_a_table(database: Database, there: str, kind: str) -> None:
    """A view or an index of that name is named, and no other table is made beside it."""
    await database.run(there)
    with pytest.raises(StorageUnavailable, match=rf"used: wix_claims is no table \({kind}\)\. "):
        async with database.make_storage():
            pass
    await database.run("CREATE TABLE wix_installations (x BIGINT)")


async def test_every_fault_is_named(database: Database) -> None:
    """One start tells all that is wrong."""
    await database.run(
        "CREATE TABLE wix_claims (a BIGINT); CREATE TABLE wix_installations (b TEXT)"
    )
    with pytest.raises(StorageUnavailable) as caught:
        async with database.make_storage():
            pass
    message = str(caught.value)

    assert "wix_claims has no column name; wix_claims has no column owner; " in message
    assert "wix_installations has no primary key (instance_id, app_id). Rename" in message


async def test_names_are_on_one_line(database: Database) -> None:
    """A name out of the database breaks no line of the log (R36)."""
    await database.make(("    owner", '    "ten\nant" BIGINT NOT NULL,\n    owner'))
    with pytest.raises(StorageUnavailable, match=r"a column ten\\nant, NOT NULL") as caught:
        async with database.make_storage():
            pass

    assert 1 == len(str(caught.value).splitlines())


async def test_deferrable_key(postgres_url: str) -> None:
    """A key that Postgres checks at the end of a transaction decides no race, and is named."""
    database = in_postgres(postgres_url)
    await database.make(("PRIMARY KEY (name)", "PRIMARY KEY (name) DEFERRABLE"))
    with pytest.raises(StorageUnavailable, match=r"wix_claims has no primary key \(name\)"):
        async with database.make_storage():
            pass


async def test_look_at_the_tables_is_repeated(tmp_path: Path) -> None:
    """A look that failed for a moment is repeated, and finds what there is."""
    path = tmp_path / "test.db"
    await in_sqlite(path).run("CREATE TABLE wix_claims (a BIGINT)")
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    storage = SQLiteStorage(path, retry=Retry(sleep=pause))
    engine = await storage._engines.current()

    @event.listens_for(engine.sync_engine, "before_cursor_execute", once=True)
    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("test: locked for a moment")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    with pytest.raises(StorageUnavailable, match="wix_claims has no column name"):
        async with storage:
            pass

    assert 1 == len(pauses)


async def test_user_who_may_only_read(postgres_url: str) -> None:
    """Missing privileges are named before the first install, with the statement that gives them."""
    async with PostgresStorage(parse_url(postgres_url)):
        pass
    rights = [
        "GRANT SELECT, INSERT, UPDATE, DELETE ON wix_claims, wix_events TO {}",
        "GRANT SELECT ON wix_installations TO {}",
    ]
    async with user(postgres_url, *rights) as url:
        with pytest.raises(StorageUnavailable) as caught:
            async with in_postgres(url).make_storage():
                pass

    assert (
        "cannot be used: wix_installations does not let this user INSERT, UPDATE, DELETE. "
        "An administrator may GRANT SELECT, INSERT, UPDATE, DELETE "
        "ON wix_claims, wix_events, wix_installations to it"
    ) in str(caught.value)
