"""Adding columns to older tables: rights, locks, other workers, and engines that tell little."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from tests.backends import databases
from tests.backends.databases import Database, assert_works, in_postgres, in_sqlite
from tests.backends.workers_of_before import tables
from tests.daemons import connected, execute
from tests.limits import PATIENCE
from tests.supabase_server import OWNER, PLAIN, as_user
from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing.storage_check.records import APP, SITE, read, record, timeless
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage

FULL = record(grant_type="client_credentials", origin_instance_id="a", owes_on_install=True)
GRANT = "GRANT SELECT, INSERT, UPDATE, DELETE ON wix_claims, wix_events, wix_installations TO {}"
HIDDEN = "REVOKE SELECT ON pg_catalog.pg_index FROM PUBLIC"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


async def refused(storage: PostgresStorage | SQLiteStorage) -> str:
    """Open a storage that must not be opened, and return why."""
    with pytest.raises(StorageUnavailable) as caught:
        async with storage:
            pass
    return str(caught.value)


async def assert_keeps_all(database: Database) -> None:
    """Assert that a storage keeps the later fields of a record."""
    async with database.make_storage() as storage:
        await storage.put(FULL)

        assert timeless(FULL) == timeless(await storage.get(APP, SITE))


async def columns(url: str) -> list[str]:
    """Return the later columns that the table of installations has."""
    async with connected(url) as connection:
        rows = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'wix_installations'::regclass "
            "AND attnum > 10 ORDER BY attnum"
        )
    return [row["attname"] for row in rows]


async def test_role_that_may_not_alter(supabase_url: str) -> None:
    """A role that owns no table gets the SQL, which its owner may run twice; no user is named."""
    database = in_postgres(as_user(supabase_url, PLAIN))
    newer = [part for part in database.make_storage().sql().split(";") if "wix_events" in part]
    await execute(as_user(supabase_url, OWNER), tables("postgres"), *newer)
    await execute(supabase_url, GRANT.format(PLAIN))
    said = await refused(PostgresStorage(parse_url(as_user(supabase_url, PLAIN))))
    remedy = said.partition("run: ")[2].partition("; and again")[0]
    await execute(as_user(supabase_url, OWNER), remedy, remedy)

    assert "this user may not add the columns that it lacks" in said
    assert remedy.startswith("SET lock_timeout = '2s'; ALTER TABLE ")
    assert "`wix-asgi storage sql` prints it, too" in said
    assert PLAIN not in said
    await assert_keeps_all(database)


async def test_role_that_may_not_make_the_newer_table(supabase_url: str) -> None:
    """A role that may not make the table of events is told of the SQL, which lets it in."""
    await execute(as_user(supabase_url, OWNER), tables("postgres"))
    await execute(supabase_url, GRANT.replace("wix_events, ", "").format(PLAIN))
    database = in_postgres(as_user(supabase_url, PLAIN))
    said = await refused(PostgresStorage(parse_url(as_user(supabase_url, PLAIN))))
    await execute(as_user(supabase_url, OWNER), database.make_storage().sql(PLAIN))

    assert "the user may not do this: `wix-asgi storage sql` prints an administrator's SQL" in said
    assert PLAIN not in said
    await assert_keeps_all(database)


async def test_sql_for_older_tables(supabase_url: str) -> None:
    """The SQL for administrators brings older tables with rows up to date, and may be run again."""
    await execute(as_user(supabase_url, OWNER), tables("postgres"))
    statements = PostgresStorage(parse_url("postgresql://")).sql(PLAIN)
    await execute(as_user(supabase_url, OWNER), statements, statements)

    await assert_keeps_all(in_postgres(as_user(supabase_url, PLAIN)))


async def test_sql_for_older_tables_in_sqlite(tmp_path: Path) -> None:
    """The SQL for SQLite leaves older tables to the app, and shows the statements as a comment."""
    database = in_sqlite(tmp_path / "test.db")
    await database.run(tables("sqlite"))
    statements = database.make_storage().sql()
    await database.run(statements)

    assert "-- ALTER TABLE wix_installations ADD COLUMN grant_type TEXT;\n" in statements
    await assert_keeps_all(database)


async def test_row_security_stays(supabase_url: str) -> None:
    """Row level security and its policies cover the rows as before."""
    await execute(as_user(supabase_url, OWNER), tables("postgres"))
    for table in ("wix_claims", "wix_installations"):
        await execute(supabase_url, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    await assert_keeps_all(in_postgres(as_user(supabase_url, OWNER)))
    await execute(supabase_url, GRANT.format(PLAIN))

    assert "row level security" in await refused(
        PostgresStorage(parse_url(as_user(supabase_url, PLAIN)))
    )


async def test_table_that_another_session_keeps(postgres_url: str) -> None:
    """While a backup keeps the table, other workers go on, and the columns are added after it."""
    await execute(postgres_url, tables("postgres"))
    seen: list[list[str]] = []
    async with connected(postgres_url) as backup:
        transaction = backup.transaction()
        await transaction.start()
        await backup.execute("LOCK TABLE wix_installations IN ACCESS SHARE MODE")

        async def pause(_seconds: float) -> None:
            # Would wait for ever behind a statement that waits for the lock.
            await execute(postgres_url, "UPDATE wix_installations SET failure = 'x'")
            if not seen:
                await transaction.rollback()
            seen.append(await columns(postgres_url))
            await anyio.sleep(0.05)  # until the next attempt of all workers

        retry = Retry(total=PATIENCE, sleep=pause)
        async with PostgresStorage(parse_url(postgres_url), retry=retry) as storage:
            await storage.put(FULL)
            found = await read(storage)

    assert [] == seen[0]
    assert timeless(FULL) == timeless(found)


async def test_table_that_is_kept_for_long(postgres_url: str) -> None:
    """A session that keeps the table for too long is told as the reason, and nothing is changed."""
    await execute(postgres_url, tables("postgres"))
    async with connected(postgres_url) as backup, backup.transaction():
        await backup.execute("LOCK TABLE wix_installations IN ACCESS SHARE MODE")
        said = await refused(PostgresStorage(parse_url(postgres_url), retry=Retry(total=1.0)))

    assert "another session keeps a lock on its tables" in said
    assert [] == await columns(postgres_url)


def on_alter_table(condition: str, code: str) -> str:
    """Return SQL after which tables cannot be altered under a condition."""
    return f"""
        CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF {condition} THEN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'forbidden'; END IF;
        END $$;
        CREATE EVENT TRIGGER forbidden ON ddl_command_start WHEN TAG IN ('ALTER TABLE')
        EXECUTE FUNCTION forbid();
    """


async def test_server_without_lock_timeout(postgres_url: str) -> None:
    """A compatible server that knows no time limit for locks gets the columns without one."""
    await execute(postgres_url, tables("postgres"))
    await execute(postgres_url, on_alter_table("current_setting('lock_timeout') <> '0'", "0A000"))

    await assert_keeps_all(in_postgres(postgres_url))


async def test_server_that_alters_nothing(postgres_url: str) -> None:
    """An error that does not pass is told with its code."""
    await execute(postgres_url, tables("postgres"), on_alter_table("true", "P0001"))

    assert "SQLSTATE P0001" in await refused(PostgresStorage(parse_url(postgres_url)))


async def test_server_that_may_only_be_read(postgres_url: str) -> None:
    """The attempt on a standby is repeated on another connection, for the time of an opening."""
    await execute(postgres_url, tables("postgres"))
    url = f"{postgres_url}&options=-c%20default_transaction_read_only%3Don"

    assert "25006" in await refused(PostgresStorage(parse_url(url), retry=Retry(total=0.5)))


async def test_hidden_catalogue(postgres_url: str) -> None:
    """Where the catalogue may not be read, the columns that are missing are found all the same."""
    async with databases.user(postgres_url, HIDDEN, "GRANT ALL ON SCHEMA public TO {}") as url:
        own = as_user(postgres_url, url.rpartition("&user=")[2])
        await execute(own, tables("postgres"), "ALTER TABLE wix_installations ADD grant_type TEXT")
        await assert_keeps_all(in_postgres(url))
        await assert_works(in_postgres(url))


async def test_hidden_catalogue_and_another_table(postgres_url: str) -> None:
    """Where the catalogue may not be read, a table of something else is given no column."""
    async with databases.user(postgres_url, HIDDEN, "GRANT ALL ON SCHEMA public TO {}") as url:
        await execute(url, "CREATE TABLE wix_installations (a BIGINT)")
        said = await refused(PostgresStorage(parse_url(url)))

    assert "a column is missing: `wix-asgi storage sql` prints them" in said


async def test_sqlite_that_tells_nothing_of_its_tables(tmp_path: Path) -> None:
    """An SQLite built without the tables of its pragmas gets the columns, once."""
    database = in_sqlite(tmp_path / "test.db")
    await database.run(tables("sqlite"))
    storage = database.make_storage()
    statements: list[str] = []

    def fail(*arguments: Any) -> None:
        statements.append(arguments[2])
        if "pragma_" in arguments[2]:
            missing = sqlite3.OperationalError("no such table: pragma_table_xinfo")
            raise OperationalError(arguments[2], {}, missing)

    engine = await storage._engines.current()
    event.listen(engine.sync_engine, "before_cursor_execute", fail)
    async with storage:
        await storage.open()
        await storage.put(FULL)
        found = await read(storage)

    assert timeless(FULL) == timeless(found)
    assert 4 == len([each for each in statements if each.startswith("ALTER TABLE")])


async def test_another_worker_was_faster(tmp_path: Path) -> None:
    """A column that another worker adds in the same moment is there, and no error."""
    database = in_sqlite(tmp_path / "test.db")
    await database.run(tables("sqlite"))
    storage = database.make_storage()
    engine = await storage._engines.current()

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def be_faster(*arguments: Any) -> None:
        if arguments[2].startswith("ALTER TABLE"):
            with closing(sqlite3.connect(tmp_path / "test.db")) as connection:
                connection.execute(arguments[2])

    async with storage:
        await storage.put(FULL)
        found = await read(storage)

    assert timeless(FULL) == timeless(found)


async def test_file_that_fails(tmp_path: Path) -> None:
    """Another error of SQLite is told, and the next opening adds the columns."""
    database = in_sqlite(tmp_path / "test.db")
    await database.run(tables("sqlite"))
    storage = SQLiteStorage(tmp_path / "test.db")
    engine = await storage._engines.current()

    def fail(*arguments: Any) -> None:
        if arguments[2].startswith("ALTER TABLE"):
            full = sqlite3.OperationalError("database or disk is full")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise OperationalError(arguments[2], {}, full)

    event.listen(engine.sync_engine, "before_cursor_execute", fail)

    assert "the disk is full" in await refused(storage)
    await assert_keeps_all(database)


@pytest.mark.parametrize("column", ["grant_type", "owes_on_install", "described_version"])
async def test_columns_of_another_type(database: Database, column: str) -> None:
    """A later column that is there with another type is named, and nothing is added."""
    engine = "sqlite" if "BLOB" in database.make_storage().sql() else "postgres"
    await database.run(tables(engine))
    await database.run(f"ALTER TABLE wix_installations ADD {column} BIGINT")
    with pytest.raises(StorageUnavailable, match=f"wix_installations has a column {column} of the"):
        await database.make_storage().open()


def test_statements_need_one_lock() -> None:
    """In Postgres all columns are added by one statement."""
    statements: Sequence[str] = PostgresStorage(parse_url("postgresql://")).sql().split(";")

    assert 1 == len([each for each in statements if "ADD COLUMN" in each])
