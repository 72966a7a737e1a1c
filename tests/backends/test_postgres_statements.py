"""Statements in Postgres that are prepared under a name, and sessions that lose or share them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import anyio
import pytest

from tests.backends.databases import Database, in_postgres, user
from tests.backends.inboxes import sent
from tests.backends.plans import generic_plan
from tests.daemons import connected, execute, running
from tests.pgbouncer_server import PgBouncer
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends.postgres import PostgresStorage

ROUNDS: Final = 3
"""Executions of a statement: without a name, then prepared, and then by its name."""

LEFT: Final = "SELECT name, statement FROM pg_prepared_statements ORDER BY statement"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


@pytest.fixture(name="single")
def _single(postgres_url: str) -> Database:
    """Give an empty database, on one connection to PostgreSQL itself."""
    return in_postgres(f"{postgres_url}&pool_size=1")


async def read_often(storage: SQLStorage) -> None:
    """Write a row and read it as often as it takes to use a name."""
    await storage.put(record())
    for _ in range(ROUNDS):
        assert await storage.get(APP, SITE) is not None


async def in_session(storage: SQLStorage, statement: str) -> list[tuple[str, ...]]:
    """Execute a statement in the session of the storage's one connection; return its rows."""
    engine = await storage._engines.current()
    async with engine.connect() as connection:
        result = await connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


async def named(storage: SQLStorage) -> list[tuple[str, ...]]:
    """Return the names and the texts of the statements that are prepared in the session."""
    return await in_session(storage, LEFT)


async def test_repeated_statements_have_names(single: Database) -> None:
    """A statement is prepared at its second execution in a session, once."""
    async with single.make_storage() as storage:
        with sent(storage) as statements:
            await storage.put(record())
            await read_often(storage)
        found = await named(storage)

    texts = {text for text, _ in statements}
    assert texts == {text for _, text in found}
    assert 2 == len(found)
    assert len(found) == len({name for name, _ in found})


async def test_outcomes_of_prepared_statements(single: Database) -> None:
    """Rows and numbers of changed rows are the same in every execution."""
    async with single.make_storage() as storage:
        claims = [await storage.claim("name", owner, 60) for owner in "aabba"]
        adds = [await storage.add_and_get(record()) for _ in range(ROUNDS)]
        rows = [await storage.get(APP, SITE) for _ in range(ROUNDS)]
        scans = [len(await storage.scan(APP)) for _ in range(ROUNDS)]
        deletions = [await storage.delete(APP, SITE) for _ in range(ROUNDS)]

    assert [True, True, False, False, True] == claims
    assert [True, False, False] == [added is not None for added in adds]
    assert [record().refresh_token] * ROUNDS == [row.refresh_token for row in rows if row]
    assert [1] * ROUNDS == scans
    assert [True, False, False] == deletions


@pytest.mark.parametrize("statement", ["DISCARD ALL", "DEALLOCATE ALL"])
async def test_session_that_lost_its_statements(single: Database, statement: str) -> None:
    """Statements that are gone are executed without a name from then on (26000)."""
    async with single.make_storage() as storage:
        await read_often(storage)
        before = await named(storage)
        await in_session(storage, statement)
        await read_often(storage)
        after = await named(storage)

    assert 1 == len(before)
    assert [] == after


async def test_altered_table(single: Database, postgres_url: str) -> None:
    """A column whose type an administrator changes fails no read (0A000)."""
    async with single.make_storage() as storage:
        await read_often(storage)
        before = await named(storage)
        await execute(postgres_url, "ALTER TABLE wix_installations ALTER failure TYPE varchar(99)")
        await read_often(storage)
        after = await named(storage)

    assert 1 == len(before)
    assert [] == after


async def test_session_with_the_name_of_another_client(single: Database) -> None:
    """A name that the session has already is not used, and fails nothing (42P05)."""
    async with single.make_storage() as storage:
        with sent(storage) as statements:
            await storage.put(record())
            await storage.get(APP, SITE)
        text = statements[-1][0]
        name = "wix_asgi_" + hashlib.sha256(text.encode()).hexdigest()[:32]
        await in_session(storage, f"PREPARE {name} AS SELECT 'another'")
        await read_often(storage)
        after = await named(storage)

    assert [(name, f"PREPARE {name} AS SELECT 'another'")] == after


async def test_connection_that_was_cut(postgres_url: str) -> None:
    """A session that ended with its names costs nobody anything, and the next has names again."""
    async with PostgresStorage(parse_url(f"{postgres_url}&pool_size=1")) as storage:
        await read_often(storage)
        async with connected(postgres_url) as connection:
            cut = await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await read_often(storage)
        after = await named(storage)

    assert 1 == len(cut)
    assert 1 == len(after)


async def test_url_that_forbids_names(postgres_url: str) -> None:
    """`statement_cache_size=0` in the URL keeps every statement without a name."""
    database = in_postgres(f"{postgres_url}&pool_size=1&statement_cache_size=0")
    async with database.make_storage() as storage:
        await read_often(storage)
        found = await named(storage)

    assert [] == found


async def test_server_that_does_not_tell_its_process(postgres_url: str) -> None:
    """Where the number of the server's process cannot be asked for, statements have no name."""
    await in_postgres(postgres_url).make()
    grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}"
    policies = [
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
        for table in ("wix_installations", "wix_claims", "wix_events")
    ]
    await execute(
        postgres_url, "REVOKE EXECUTE ON FUNCTION pg_backend_pid() FROM PUBLIC", *policies
    )
    async with (
        user(postgres_url, grant) as url,
        in_postgres(f"{url}&pool_size=1").make_storage() as storage,
    ):
        await read_often(storage)
        found = await named(storage)

    assert [] == found


@pytest.fixture(name="pooler", scope="module", params=["transaction", "session"])
def _pooler(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[PgBouncer]:
    """Give a PgBouncer in each of the modes in which it serves a storage."""
    with running(PgBouncer(postgres_server, mode=request.param)) as pooler:
        yield pooler


@pytest.mark.pgbouncer
async def test_pooler(pooler: PgBouncer, postgres_url: str) -> None:
    """Behind PgBouncer no statement is prepared under a name."""
    database = in_postgres(f"{pooler.url(postgres_url)}&pool_size=1")
    async with database.make_storage() as storage:
        await read_often(storage)
        found = await named(storage)

    assert [] == found


@pytest.mark.pgbouncer
async def test_many_callers_behind_a_pooler(pooler: PgBouncer, postgres_url: str) -> None:
    """Sessions that change hands fail nothing, and have no names either."""
    async with in_postgres(pooler.url(postgres_url)).make_storage() as storage:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(read_often, storage)
        found = await named(storage)

    assert [] == found


async def use_all(storage: SQLStorage) -> None:
    """Execute each statement on installations and claims."""
    await storage.put_and_get(record())
    await storage.add_and_get(record())
    await storage.restore(record())
    await storage.restore(record(), expected="another")
    await storage.replace(record(), expected="another")
    await storage.get(APP, SITE)
    await storage.scan(APP, limit=1)
    await storage.claim("name", "owner", 60)
    await storage.claim_owner("name")
    await storage.claim_unchanged(
        "name", "owner", 60, app_id=APP, instance_id=SITE, version="version-1"
    )
    await storage.replace_and_release(record(), expected="another", name="name", owner="owner")
    await storage.release("name", "owner")
    await storage.delete(APP, SITE)
    await storage.delete(APP, SITE, installed_before=datetime.now(UTC))
    await storage.purge()


async def test_plans_for_any_values(single: Database) -> None:
    """The plan that a session may keep for a prepared statement finds rows by an index."""
    many = "FROM generate_series(1, 20000) AS n"
    key = "convert_to('site' || n, 'UTF8')"
    async with single.make_storage() as storage:
        for _ in range(ROUNDS):
            await use_all(storage)
        await in_session(
            storage,
            "INSERT INTO wix_installations (instance_id, app_id, version, refresh_token, "
            f"lifetime, expires_at, retry_at, installed_at) SELECT {key}, "
            f"'\\x{APP.encode().hex()}', 'v', 'r', 1, 1, 1, 1 {many}",
        )
        await in_session(
            storage,
            f"INSERT INTO wix_claims (name, owner, expires_at) SELECT {key}, 'o', n {many}",
        )
        await in_session(storage, "ANALYZE")
        texts = [text for _, text in await named(storage)]
        engine = await storage._engines.current()
        async with engine.connect() as connection:
            found = {text: "\n".join(await generic_plan(connection, text)) for text in texts}

    assert found
    assert {} == {text: plan for text, plan in found.items() if "Seq Scan" in plan}
    # A planner that does not know the number of rows would read all claims for a purge.
    assert [] == [text for text in found if "LIMIT" in text]
