"""A role for which row level security hides rows, and tables that strangers may use."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from tests.backends.inboxes import sent
from tests.daemons import connected, execute
from tests.supabase_server import OWNER, PLAIN, as_user
from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends.postgres import PostgresStorage

README = Path(__file__).parents[2] / "backends" / "README.md"
STATEMENTS = README.read_text().partition("```sql\n")[2].partition("```")[0]
NAMELESS = PostgresStorage(parse_url("postgresql://"))
TABLES = ("wix_installations", "wix_claims", "wix_events")
GRANT = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO {PLAIN}"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


@pytest.fixture(name="url")
async def _url(supabase_url: str) -> str:
    """Give a database in which an app has one installation, and in which another role may write."""
    async with PostgresStorage(parse_url(as_user(supabase_url, OWNER))) as storage:
        await storage.put(record())
    await execute(supabase_url, GRANT)
    return supabase_url


async def refused(url: str) -> str:
    """Open a storage that must not be opened, and return why."""
    with pytest.raises(StorageUnavailable) as caught:
        async with PostgresStorage(parse_url(url)):
            pass
    return str(caught.value)


async def use(url: str) -> None:
    """Open a storage, find its installation, and write."""
    async with PostgresStorage(parse_url(url)) as storage:
        assert await storage.get(APP, SITE) is not None
        await storage.put(record())
        assert await storage.claim("name", "owner", 60)
        await storage.release("name", "owner")
        assert await storage.delete(APP, SITE)
        await storage.put(record())


def on_each(statements: Iterable[str]) -> list[str]:
    """Return `statements` for each of the tables, whose name they leave open."""
    return [statement.format(table=table) for table in TABLES for statement in statements]


async def test_role_without_a_policy(url: str) -> None:
    """A role that would see an empty store is refused, and the message has the SQL, no user."""
    said = await refused(as_user(url, PLAIN))
    remedy = " ".join(re.findall(r"CREATE POLICY [^;]+;", said)).replace("app_role", PLAIN)
    await execute(as_user(url, OWNER), remedy)

    assert "public.wix_claims, public.wix_events and public.wix_installations" in said
    assert PLAIN not in said
    await use(as_user(url, PLAIN))


@pytest.mark.parametrize(
    "policies",
    [
        ["CREATE POLICY a ON {table} FOR SELECT TO app_plain USING (true)"],
        ["CREATE POLICY a ON {table} TO app_plain USING (1 < 0)"],
        ["CREATE POLICY a ON {table} TO app_plain USING (true) WITH CHECK (1 < 0)"],
        ["CREATE POLICY a ON {table} TO anon USING (true)"],
        [
            "CREATE POLICY a ON {table} FOR SELECT TO app_plain USING (true)",
            "CREATE POLICY b ON {table} FOR INSERT TO app_plain WITH CHECK (true)",
            "CREATE POLICY c ON {table} FOR DELETE TO app_plain USING (true)",
        ],
        [
            "CREATE POLICY a ON {table} TO app_plain USING (true)",
            "CREATE POLICY b ON {table} AS RESTRICTIVE FOR DELETE TO public USING (1 < 0)",
        ],
    ],
)
async def test_policies_that_may_hide_rows(url: str, policies: list[str]) -> None:
    """Policies that are not sure to let a role read and write all rows are not enough."""
    await execute(url, *on_each(policies))

    assert "CREATE POLICY app_role ON public.wix_claims" in await refused(as_user(url, PLAIN))


async def test_one_table_without_a_policy(url: str) -> None:
    """Only the table that lacks a policy is named."""
    for table in ("wix_claims", "wix_events"):
        await execute(url, f"CREATE POLICY a ON {table} TO app_plain USING (true)")
    said = await refused(as_user(url, PLAIN))

    assert "wix_claims" not in said
    assert "wix_events" not in said
    assert "public.wix_installations" in said


@pytest.mark.parametrize(
    "policies",
    [
        ["CREATE POLICY a ON {table} TO public USING (true)"],
        ["CREATE POLICY a ON {table} TO app_team USING (true)"],
        [
            "CREATE POLICY a ON {table} FOR SELECT TO app_plain USING (true)",
            "CREATE POLICY b ON {table} FOR INSERT TO app_plain WITH CHECK (true)",
            "CREATE POLICY c ON {table} FOR UPDATE TO app_plain USING (true)",
            "CREATE POLICY d ON {table} FOR DELETE TO app_plain USING (true)",
        ],
        [
            "CREATE POLICY a ON {table} TO app_plain USING (true)",
            "CREATE POLICY b ON {table} TO app_plain USING (1 < 0)",
            "CREATE POLICY c ON {table} AS RESTRICTIVE TO app_plain USING (true)",
            "CREATE POLICY d ON {table} AS RESTRICTIVE TO anon USING (1 < 0)",
        ],
    ],
)
async def test_policies_that_hide_nothing(url: str, policies: list[str]) -> None:
    """Policies of the role, of a role that it belongs to, or of all roles let the app in."""
    team = "DO $$ BEGIN CREATE ROLE app_team; EXCEPTION WHEN duplicate_object THEN END $$"
    await execute(url, team, f"GRANT app_team TO {PLAIN}", *on_each(policies))

    await use(as_user(url, PLAIN))


@pytest.mark.parametrize(
    ("role", "change"),
    [
        ("postgres", "ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
        ("app_bypass", "ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
        ("app_member", "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"),
        (OWNER, "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"),
        (OWNER, "ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
        ("app_member", "ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
        (PLAIN, "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"),
        (PLAIN, "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"),
    ],
)
async def test_exempt_roles(url: str, role: str, change: str) -> None:
    """A role is refused just where PostgreSQL says that row level security is in force for it."""
    make = "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN END $$"
    await execute(
        url,
        make.format(role="app_bypass LOGIN BYPASSRLS"),
        make.format(role=f"app_member LOGIN IN ROLE {OWNER}"),
        GRANT.replace(PLAIN, "app_bypass"),
        *on_each([change]),
    )
    async with connected(as_user(url, role)) as connection:
        in_force = await connection.fetchval("SELECT row_security_active('wix_installations')")

    if in_force:
        assert "row level security" in await refused(as_user(url, role))
    else:
        await use(as_user(url, role))


async def test_role_that_is_taken_on(url: str) -> None:
    """The role of the session counts, not the user of its login."""
    await execute(url, f"GRANT {PLAIN} TO authenticator")
    options = f"{as_user(url, 'authenticator')}&options=-c%20role%3D{PLAIN}"
    said = await refused(options)
    await execute(url, *on_each([f"CREATE POLICY a ON {{table}} TO {PLAIN} USING (true)"]))

    assert "row level security" in said
    await use(options)


async def test_row_security_off(url: str) -> None:
    """A session that may not filter rows is refused by the server, and sees no empty store."""
    said = await refused(f"{as_user(url, PLAIN)}&options=-c%20row_security%3Doff")

    assert "cannot be used" in said


@pytest.mark.parametrize("role", [PLAIN, 'odd "role"; --'])
async def test_sql_for_administrators(supabase_url: str, role: str) -> None:
    """The SQL makes the tables for a role that owns nothing, again or for others, too."""
    quoted = '"' + role.replace('"', '""') + '"'
    make = f"DO $$ BEGIN CREATE ROLE {quoted} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
    await execute(supabase_url, make)
    for each in (role, role, "authenticator"):
        await execute(supabase_url, NAMELESS.sql(each))
    async with PostgresStorage(parse_url(supabase_url)) as storage:
        await storage.put(record())

    await use(as_user(supabase_url, role))
    await use(as_user(supabase_url, "authenticator"))
    await execute(supabase_url, GRANT.replace(PLAIN, OWNER))
    assert "row level security" in await refused(as_user(supabase_url, OWNER))


async def test_sql_for_an_owner(supabase_url: str) -> None:
    """Without a role the SQL makes tables that let in their owner alone."""
    await execute(as_user(supabase_url, OWNER), NAMELESS.sql())
    async with PostgresStorage(parse_url(as_user(supabase_url, OWNER))) as storage:
        await storage.put(record())
    await execute(supabase_url, GRANT)

    await use(as_user(supabase_url, OWNER))
    assert "row level security" in await refused(as_user(supabase_url, PLAIN))


async def test_sql_in_the_readme(unsecured: str) -> None:
    """The readme's SQL, run where the tables are there, lets a role in that is not their owner."""
    await execute(as_user(unsecured, OWNER), STATEMENTS.replace("app_role", PLAIN))

    await use(as_user(unsecured, PLAIN))
    await execute(unsecured, GRANT.replace(PLAIN, "authenticator"))
    assert "row level security" in await refused(as_user(unsecured, "authenticator"))


async def test_one_query(url: str) -> None:
    """The catalogue is asked once for an opening, and never for a call."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    async with PostgresStorage(parse_url(as_user(url, OWNER))) as storage:
        engine = await storage._engines.current()
        event.listen(engine.sync_engine, "before_cursor_execute", note)
        await storage.open()
        opening = len([statement for statement in asked if "pg_policies" in statement])
        asked.clear()
        with sent(storage) as statements:
            await storage.get(APP, SITE)
        calling = len(statements) + len(asked)

    assert 1 == opening
    assert 1 == calling


@pytest.fixture(name="unsecured")
async def _unsecured(url: str) -> str:
    """Give a database whose tables have no row level security, as they were made before."""
    await execute(url, *on_each(["ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"]))
    return url


async def warnings(url: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Open a storage, and return its lines in the log."""
    caplog.clear()
    caplog.set_level(logging.INFO, "wix_asgi")
    await use(url)
    return [entry.getMessage() for entry in caplog.records if entry.name == "wix_asgi"]


async def test_tables_open_to_strangers(unsecured: str, caplog: pytest.LogCaptureFixture) -> None:
    """Tables that strangers may use are named once, left alone, with the SQL that mends it."""
    (line,) = await warnings(as_user(unsecured, OWNER), caplog)
    async with connected(unsecured) as connection:
        altered = await connection.fetch("SELECT 1 FROM pg_class WHERE relrowsecurity")
    await execute(as_user(unsecured, OWNER), line.partition("As the owner run: ")[2])

    assert (
        "is off for public.wix_claims, public.wix_events and public.wix_installations, with" in line
    )
    assert "with grants to anon, authenticated. " in line
    assert "CREATE POLICY" not in line
    assert [] == altered
    assert [] == await warnings(as_user(unsecured, OWNER), caplog)


async def test_remedy_keeps_the_app_going(unsecured: str, caplog: pytest.LogCaptureFixture) -> None:
    """For a role that is not the owner the SQL that is told begins with its policy."""
    (line,) = await warnings(as_user(unsecured, PLAIN), caplog)
    remedy = line.partition("in place of app_role: ")[2]
    await execute(as_user(unsecured, OWNER), remedy.replace("app_role", PLAIN))

    assert PLAIN not in line
    assert [] == await warnings(as_user(unsecured, PLAIN), caplog)


async def test_grants_to_all(unsecured: str, caplog: pytest.LogCaptureFixture) -> None:
    """A grant to PUBLIC on one table is told as well, and without grants nothing is."""
    revoke = f"REVOKE ALL ON {', '.join(TABLES)} FROM anon, authenticated"
    await execute(unsecured, revoke, "GRANT DELETE ON wix_claims TO PUBLIC")
    (line,) = await warnings(as_user(unsecured, OWNER), caplog)
    await execute(unsecured, "REVOKE ALL ON wix_claims FROM PUBLIC")

    assert "is off for public.wix_claims, with grants to PUBLIC, anon, authenticated. " in line
    assert [] == await warnings(as_user(unsecured, OWNER), caplog)


async def test_catalogue_that_is_kept(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A server that does not tell of its policies is used, and the log says that it does not."""
    await execute(url, "REVOKE SELECT ON pg_policies FROM PUBLIC")
    (line,) = await warnings(as_user(url, OWNER), caplog)

    assert line.endswith("does not tell who may use its tables (SQLSTATE 42501)")


async def test_catalogue_that_fails(url: str) -> None:
    """An error that passes is no answer: the opening is tried again."""

    class Failing:
        async def execute(self, _statement: object) -> None:
            raise OperationalError("SELECT 1", {}, asyncpg.SerializationError("x"))

    failing: Any = Failing()
    with pytest.raises(OperationalError):
        await PostgresStorage(parse_url(url))._check_access(failing)
