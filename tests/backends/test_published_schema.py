"""Tables in a schema that the host publishes, as Supabase does: no stranger gets at their rows."""

# ruff: noqa: S608 # the statements are the tests' own

from __future__ import annotations

import anyio
import asyncpg
import pytest

from tests.daemons import connected, execute
from tests.limits import PATIENCE
from tests.supabase_server import OWNER, STRANGERS, as_user, through_api
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage

LEASE = "INSERT INTO wix_claims VALUES ('a name', 'a stranger', 9000000000000000) RETURNING 1"
TABLES = ["wix_claims", "wix_events", "wix_installations"]
SECURED = dict.fromkeys(TABLES, True)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


async def secured(url: str) -> dict[str, bool]:
    """Return the tables, and whether each has row level security."""
    async with connected(url) as connection:
        rows = await connection.fetch(
            "SELECT relname, relrowsecurity FROM pg_class WHERE relkind = 'r' AND relname ~ '^wix_'"
        )
    return {row["relname"]: row["relrowsecurity"] for row in rows}


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_strangers(supabase_url: str, stranger: str) -> None:
    """Strangers at the host's API see, change and remove no installation, and plant no lease."""
    async with PostgresStorage(parse_url(as_user(supabase_url, OWNER))) as storage:
        await storage.put(record())
        for table in TABLES:
            assert [] == await through_api(
                supabase_url, stranger, f"DELETE FROM {table} RETURNING 1"
            )
            assert [] == await through_api(supabase_url, stranger, f"SELECT * FROM {table}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await through_api(supabase_url, stranger, f"TRUNCATE {table}")
        change = "UPDATE wix_installations SET failure = 'x' RETURNING 1"
        changed = await through_api(supabase_url, stranger, change)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await through_api(supabase_url, stranger, LEASE)

        assert [] == changed
        assert await storage.get(APP, SITE) is not None
        assert await storage.claim("a name", "owner", 60)
        assert [record().instance_id] == [one.instance_id for one in await storage.scan(APP)]


async def test_server_role(supabase_url: str) -> None:
    """Supabase's role for servers, which bypasses row level security, sees the rows."""
    async with PostgresStorage(parse_url(as_user(supabase_url, OWNER))) as storage:
        await storage.put(record())
        seen = await through_api(supabase_url, "service_role", "SELECT 1 FROM wix_installations")

    assert 1 == len(seen)


async def open_eight(url: str) -> None:
    """Open the store at `url` by eight workers at once."""
    storages = [PostgresStorage(parse_url(url)) for _ in range(8)]
    async with anyio.create_task_group() as tasks:
        for storage in storages:
            tasks.start_soon(storage.open)
    for storage in storages:
        await storage.aclose()


async def test_eight_at_once(supabase_url: str) -> None:
    """Of eight workers that open an empty store at once, none leaves a table without it."""
    await open_eight(as_user(supabase_url, OWNER))

    assert SECURED == await secured(supabase_url)


@pytest.mark.pgbouncer
async def test_eight_behind_a_pooler(pgbouncer_url: str, postgres_url: str) -> None:
    """Nor does any behind PgBouncer in transaction mode, which shares sessions between them."""
    await open_eight(pgbouncer_url)

    assert SECURED == await secured(postgres_url)


def on_alter_table(code: str) -> str:
    """Return SQL after which no table can be altered, and the error has this SQLSTATE."""
    return f"""
        CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'forbidden'; END $$;
        CREATE EVENT TRIGGER forbidden ON ddl_command_start WHEN TAG IN ('ALTER TABLE')
        EXECUTE FUNCTION forbid();
    """


async def opened_after(url: str, change: str) -> list[dict[str, bool]]:
    """Open a store, make `change` while an attempt pauses, and return the tables at each pause."""
    seen: list[dict[str, bool]] = []

    async def pause(_seconds: float) -> None:
        seen.append(await secured(url))
        await execute(url, change)

    retry = Retry(total=PATIENCE, sleep=pause)
    async with PostgresStorage(parse_url(as_user(url, OWNER)), retry=retry):
        return seen


async def test_never_without(supabase_url: str) -> None:
    """A table is there with its row level security and its indexes, or not at all."""
    await execute(supabase_url, on_alter_table("57P01"))
    seen = await opened_after(supabase_url, "DROP EVENT TRIGGER forbidden")

    assert [{}] == seen
    assert SECURED == await secured(supabase_url)


async def test_server_that_may_only_be_read(supabase_url: str) -> None:
    """The tables are made on another connection, which may lead to the server that takes over."""
    name = supabase_url.partition("?")[0].rpartition("/")[2]
    await execute(supabase_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    change = f"ALTER DATABASE {name} SET default_transaction_read_only = off"
    seen = await opened_after(supabase_url, f"SET transaction_read_only = off; {change}")

    assert [{}] == seen
    assert SECURED == await secured(supabase_url)


async def test_copy_that_may_only_be_read(supabase_url: str) -> None:
    """A store that is there is opened and read where nothing may be written, as on a standby."""
    async with PostgresStorage(parse_url(as_user(supabase_url, OWNER))) as storage:
        await storage.put(record())
    url = f"{as_user(supabase_url, OWNER)}&options=-c%20default_transaction_read_only%3Don"
    async with PostgresStorage(parse_url(url)) as copy:
        assert await copy.get(APP, SITE) is not None


async def test_server_without_row_security(
    supabase_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that has none, as older compatible ones, is used, and open tables are told."""
    await execute(supabase_url, on_alter_table("0A000"))
    async with PostgresStorage(parse_url(as_user(supabase_url, OWNER))) as storage:
        await storage.put(record())
        found = await storage.get(APP, SITE)

    assert found is not None
    assert dict.fromkeys(TABLES, False) == await secured(supabase_url)
    assert "grants to anon, authenticated" in caplog.text


async def test_another_schema(supabase_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Where the search path leads the tables are made, and are named with their schema."""
    await execute(supabase_url, f'CREATE SCHEMA "My Space" AUTHORIZATION {OWNER}')
    url = f"{as_user(supabase_url, OWNER)}&search_path=%22My%20Space%22,public"
    async with PostgresStorage(parse_url(url)) as storage:
        made = await secured(supabase_url)
        change = 'ALTER TABLE "My Space".wix_claims DISABLE ROW LEVEL SECURITY'
        await execute(supabase_url, change, 'GRANT SELECT ON "My Space".wix_claims TO anon')
        await storage.open()

    assert SECURED == made
    assert 'ALTER TABLE "My Space".wix_claims ENABLE ROW LEVEL SECURITY;' in caplog.text
    assert "anon" in caplog.text
    assert "wix_installations" not in caplog.text
