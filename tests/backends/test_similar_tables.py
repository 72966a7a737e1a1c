"""Tables that are not as wix-asgi makes them, and will do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as events_of
from sqlalchemy.exc import OperationalError

from tests.backends.databases import (
    CLAIMS_INDEX,
    Database,
    assert_works,
    in_postgres,
    in_sqlite,
    user,
)
from tests.daemons import execute
from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing.storage_check.event_records import event
from wix_asgi_backends import METADATA


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


SIMILAR = {
    "a column of a newer version": [("failure TEXT", "failure TEXT,\n    origin TEXT")],
    "a column with a default": [
        ("failure TEXT", "failure TEXT,\n    added BIGINT DEFAULT 0 NOT NULL")
    ],
    "no NOT NULL": [("lifetime BIGINT NOT NULL", "lifetime BIGINT")],
    "a unique constraint": [("PRIMARY KEY (name)", "UNIQUE (name)")],
    "a key in another order": [
        ("PRIMARY KEY (instance_id, app_id)", "UNIQUE (app_id, instance_id)")
    ],
    "varchar": [("owner TEXT", "owner VARCHAR")],
    "a longer index": [("ON wix_claims (expires_at)", "ON wix_claims (expires_at, owner)")],
}


@pytest.mark.parametrize(
    "changes", SIMILAR.values(), ids=[name.replace(" ", "-") for name in SIMILAR]
)
async def test_similar_tables(
    database: Database, changes: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    """Tables that an administrator or a newer version made otherwise are used as they are."""
    await database.make(*changes)
    await assert_works(database)

    assert [] == caplog.messages


@pytest.mark.parametrize(
    "number",
    [
        "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
        "id INTEGER PRIMARY KEY",
        "id BIGINT GENERATED ALWAYS AS (lifetime + 1) NOT NULL UNIQUE",
        "id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "id BIGSERIAL PRIMARY KEY",
    ],
)
async def test_numbered_rows(tmp_path: Path, postgres_url: str, number: str) -> None:
    """A table whose rows an object mapper numbers is used, in the engine that knows the column."""
    of_postgres = "SERIAL" in number or "IDENTITY" in number
    database = in_postgres(postgres_url) if of_postgres else in_sqlite(tmp_path / "test.db")
    key = "PRIMARY KEY (instance_id, app_id)"
    await database.make(
        (key, key.replace("PRIMARY KEY", "UNIQUE")),
        ("(\n    instance_id B", f"(\n    {number},\n    instance_id B"),
    )
    await assert_works(database)


@pytest.mark.parametrize("letters", [str.upper, str.lower])
async def test_sqlite_is_lenient(tmp_path: Path, letters: Callable[[str], str]) -> None:
    """Names are found in any letters, and columns of no type keep bytes as they are."""
    database = in_sqlite(tmp_path / "test.db")
    statements = database.make_storage().sql().replace("name BLOB", "name")
    await database.run(letters(statements))
    await assert_works(database)


@pytest.mark.parametrize("clause", ["", " INCLUDE (owner)"])
async def test_key_with_more_columns_beside_it(postgres_url: str, clause: str) -> None:
    """Columns that a key of Postgres only carries along are no part of it."""
    database = in_postgres(postgres_url)
    await database.make(("PRIMARY KEY (name)", f"PRIMARY KEY (name){clause}"))
    await assert_works(database)


async def test_missing_index_is_told(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """A table without its index is used, with a warning, until `storage init` makes it."""
    await database.make((f"{CLAIMS_INDEX};", ""))
    await assert_works(database)
    (told,) = caplog.messages
    caplog.clear()
    storage = database.make_storage()
    made = [await storage.make_tables() for _ in range(2)]
    await storage.aclose()
    async with database.make_storage():
        pass

    assert " lacks the index wix_claims_expires_at, so " in told
    assert "`wix-asgi storage init` makes it" in told
    assert [["wix_claims_expires_at"], []] == made
    assert [] == caplog.messages


async def test_missing_key_of_events_is_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a unique index of the alias events are kept, with a warning that tells the danger."""
    await database.make(("CREATE UNIQUE INDEX", "CREATE INDEX"), ("wix_events_alias", "another"))
    await assert_works(database)
    (told,) = caplog.messages
    storage = database.make_storage()
    made = [await storage.make_tables() for _ in range(2)]
    async with storage:
        kept = [await storage.add_event(event(name, alias="alias")) for name in "ab"]

    assert " lacks the index wix_events_alias, so that an event that Wix repeats" in told
    assert [["wix_events_alias"], []] == made
    assert [True, False] == kept


async def test_opening_takes_a_query_for_tables_and_one_for_roles(database: Database) -> None:
    """Where the tables are there, opening asks the catalogue once, and Postgres twice."""
    async with database.make_storage():
        pass
    storage = database.make_storage()
    statements: list[str] = []
    engine = await storage._engines.current()
    events_of.listen(
        engine.sync_engine,
        "before_cursor_execute",
        lambda *arguments: statements.append(arguments[2]),
    )
    async with storage:
        pass

    assert {"postgresql": 2}.get(engine.dialect.name, 1) == len(statements)


HIDDEN = "REVOKE SELECT ON pg_catalog.pg_index FROM PUBLIC"


async def test_hidden_catalogue(postgres_url: str) -> None:
    """Where the catalogue may not be read, the tables are used if they are there."""
    async with in_postgres(postgres_url).make_storage():
        pass
    names = ", ".join(METADATA.tables)
    grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {names} TO {{}}"
    policies = [f"CREATE POLICY {{0}} ON {name} TO {{0}} USING (true)" for name in METADATA.tables]
    async with user(postgres_url, HIDDEN, grant, *policies) as url:
        await assert_works(in_postgres(url))


async def test_hidden_catalogue_without_tables(postgres_url: str) -> None:
    """Where the catalogue may not be read, missing tables are made, and a refusal is told."""
    async with user(postgres_url, HIDDEN, "GRANT ALL ON SCHEMA public TO {}") as url:
        await assert_works(in_postgres(url))
        await execute(postgres_url, "ALTER TABLE wix_claims OWNER TO postgres")
        with pytest.raises(StorageUnavailable, match="SQLSTATE 42501"):
            async with in_postgres(url).make_storage():
                pass


async def test_sqlite_that_tells_nothing_of_its_tables(tmp_path: Path) -> None:
    """An SQLite built without the tables of its pragmas makes our tables, and uses them."""
    storage = in_sqlite(tmp_path / "wix-asgi.db").make_storage()

    def fail(*arguments: Any) -> None:
        if "pragma_" in arguments[2]:
            missing = sqlite3.OperationalError("no such table: pragma_table_xinfo")
            raise OperationalError(arguments[2], {}, missing)

    engine = await storage._engines.current()
    events_of.listen(engine.sync_engine, "before_cursor_execute", fail)
    async with storage:
        assert await storage.claim("name", "one", 60)
        await storage.open()
        assert not await storage.claim("name", "another", 60)


async def test_tables_of_another_schema(postgres_url: str) -> None:
    """Tables of these names in a schema that is not searched are in nobody's way."""
    await execute(postgres_url, "CREATE SCHEMA other", "CREATE TABLE other.wix_claims (a BIGINT)")
    await assert_works(in_postgres(postgres_url))
