"""A real PostgreSQL with the roles and the default privileges of Supabase: fixtures, as a plugin.

Roles belong to a server, not to a database, so that these tests have a server of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

import asyncpg
import pytest

from tests import daemons
from tests.postgres_server import PostgresServer, database

__all__ = ["OWNER", "PLAIN", "STRANGERS", "as_user", "through_api"]

OWNER: Final = "app_owner"
"""The role of an app that makes its tables: it may make some, and is exempt from nothing."""

PLAIN: Final = "app_plain"
"""The role of an app whose tables are made by somebody else."""

STRANGERS: Final = ("anon", "authenticated")
"""The roles for which Supabase's API acts when strangers ask."""

# As Supabase makes them (supabase/postgres, migrations/db/init-scripts/…-initial-schema.sql), and
# the two roles of apps.
_ROLES: Final = f"""
CREATE ROLE anon NOLOGIN NOINHERIT;
CREATE ROLE authenticated NOLOGIN NOINHERIT;
CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
CREATE ROLE authenticator LOGIN NOINHERIT;
GRANT anon, authenticated, service_role TO authenticator;
CREATE ROLE {OWNER} LOGIN;
CREATE ROLE {PLAIN} LOGIN;
"""
_PRIVILEGES: Final = f"""
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public
    GRANT ALL ON TABLES TO anon, authenticated, service_role;
GRANT CREATE ON SCHEMA public TO {OWNER};
"""


def as_user(url: str, role: str) -> str:
    """Return the URL of the same database for another role."""
    before, _, after = url.partition("@")
    return f"{before.partition('://')[0]}://{quote(role, safe='')}@{after}"


async def through_api(url: str, role: str, statement: str) -> Sequence[asyncpg.Record]:
    """Carry out `statement` as PostgREST does for `role`: as `authenticator`, which becomes it."""
    async with daemons.connected(as_user(url, "authenticator")) as api, api.transaction():
        await api.execute(f"SET LOCAL ROLE {role}")
        rows: Sequence[asyncpg.Record] = await api.fetch(statement)
        return rows


@pytest.fixture(name="supabase", scope="session")
def _supabase() -> Iterator[str]:
    """Give the URL of a server with Supabase's roles, for all tests of this process."""
    with daemons.running(PostgresServer()) as server:
        asyncio.run(daemons.execute(server.url, _ROLES))
        yield server.url


@pytest.fixture(name="supabase_url")
def _supabase_url(supabase: str) -> Iterator[str]:
    """Give the URL of an empty database for its superuser, for one test."""
    with database(supabase) as url:
        asyncio.run(daemons.execute(url, _PRIVILEGES))
        yield url
