"""What the storage in Postgres says of a database that it cannot use: where, why, and no secret."""

from __future__ import annotations

import logging
import socket
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tests.daemons import connected, execute
from tests.limits import PATIENCE
from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing.storage_check.records import record
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage

USER = "test-canary-user"
PASSWORD = "test-canary-password"
TOKEN = b"test-canary-token"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


def explained(
    error: Exception, url: str = f"postgres://{USER}:{PASSWORD}@db.example:6432/app"
) -> str:
    """Return what a storage at `url` says of `error`."""
    said = PostgresStorage(parse_url(url))._explain(error)

    assert USER not in said
    assert PASSWORD not in said
    return said


HINTS = [
    (
        socket.gaierror(socket.EAI_NONAME, USER),
        "the name of its host cannot be resolved (gaierror)",
    ),
    (ConnectionRefusedError(PASSWORD), "nothing listens at this address (ConnectionRefusedError)"),
    (ssl.SSLCertVerificationError(PASSWORD), "its certificate is not accepted (SSLCertV"),
    (TimeoutError(PASSWORD), "it took too long (TimeoutError)"),
    (PoolTimeoutError(PASSWORD), "it took too long (TimeoutError)"),
    (OSError(f"Multiple exceptions: {USER}"), "it cannot be reached, or failed (OSError)"),
    (asyncpg.InvalidPasswordError(USER), "refuses the user or the password (InvalidPasswordError,"),
]


@pytest.mark.parametrize(("error", "hint"), HINTS, ids=[hint for _, hint in HINTS])
def test_host_and_database_are_told(error: Exception, hint: str) -> None:
    """A message names host and database, and no user, password or text of the driver (R35)."""
    said = explained(error)

    assert said.startswith("The Postgres storage at db.example:6432/app cannot be used: ")
    assert hint in said


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"postgres://{USER}:{PASSWORD}@a,b:6432/app", "a,b:6432/app"),
        (f"postgres://{USER}:{PASSWORD}@[::1]:6432/app", "[::1]:6432/app"),
        (
            f"postgres:///app?host=/run/postgresql&user={USER}&password={PASSWORD}",
            "/run/postgresql/app",
        ),
        (f"postgres://{USER}@/app?password={PASSWORD}", "localhost/app"),
        (f"postgres://{USER}:{PASSWORD}@db.example", "db.example/"),
    ],
)
def test_any_place_is_told(url: str, place: str) -> None:
    """Several hosts, addresses and sockets are named as well."""
    assert f"The Postgres storage at {place} cannot" in explained(OSError(), url)


async def test_host_that_cannot_be_resolved() -> None:
    """A name that nobody knows is told with the host, before any second attempt (R35)."""
    storage = PostgresStorage(parse_url(f"postgres://{USER}:{PASSWORD}@db.invalid/app"))
    with pytest.raises(StorageUnavailable, match=r"at db\.invalid/app ") as caught:
        await storage.open()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)

    assert isinstance(caught.value.__cause__, OSError)
    assert PASSWORD not in "".join(shown.format())


@asynccontextmanager
async def tables(url: str, *changes: str) -> AsyncIterator[PostgresStorage]:
    """Give a storage whose tables were changed after they were made."""
    async with PostgresStorage(parse_url(url), retry=Retry(sleep=_never)) as storage:
        await execute(url, *changes)
        yield storage


async def _never(_seconds: float) -> None:
    raise AssertionError("nothing passes by trying it again")


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("DROP COLUMN lifetime", r"a column is missing: `wix-asgi storage sql` .*SQLSTATE 42703"),
        ("ALTER COLUMN lifetime TYPE bytea USING NULL", r"another type: .*SQLSTATE 42804"),
        ("DROP CONSTRAINT wix_installations_pkey", r"a primary key is missing: .*SQLSTATE 42P10"),
    ],
)
async def test_tables_of_another_version(postgres_url: str, change: str, hint: str) -> None:
    """Tables that do not fit are told at once, with the way to the right ones, no value (R35)."""
    relax = "ALTER TABLE wix_installations ALTER COLUMN lifetime DROP NOT NULL"
    async with tables(postgres_url, relax, f"ALTER TABLE wix_installations {change}") as storage:
        with pytest.raises(StorageUnavailable, match=hint) as caught:
            await storage.put(record(refresh_token=TOKEN))
    cause = caught.value.__cause__
    assert cause is not None
    shown = traceback.TracebackException.from_exception(cause, capture_locals=True)

    assert TOKEN.decode() not in "".join([str(caught.value), *shown.format()])


async def test_column_that_cannot_be_compared(postgres_url: str) -> None:
    """A claim whose end is text is told as a table of another version."""
    change = "ALTER TABLE wix_claims ALTER COLUMN expires_at TYPE text"
    async with tables(postgres_url, change) as storage:
        with pytest.raises(StorageUnavailable, match=r"another type: .*SQLSTATE 42883"):
            await storage.claim_owner("name")


async def test_no_schema(postgres_url: str) -> None:
    """A search path without a schema is told at once (SQLSTATE 3F000)."""
    storage = PostgresStorage(
        parse_url(f"{postgres_url}&search_path=nowhere"), retry=Retry(sleep=_never)
    )
    with pytest.raises(StorageUnavailable, match=r"search_path names no schema .*SQLSTATE 3F000"):
        async with storage:
            pass


@pytest.mark.pgbouncer
@pytest.mark.parametrize(
    ("query", "parameter"),
    [("search_path=public", "search_path"), ("options=-c%20statement_timeout%3D5s", "options")],
)
async def test_pooler_that_refuses_a_parameter(
    pgbouncer_url: str, query: str, parameter: str
) -> None:
    """A startup parameter that PgBouncer refuses is named at once, and not after 10 s (08P01)."""
    storage = PostgresStorage(parse_url(f"{pgbouncer_url}&{query}"), retry=Retry(sleep=_never))
    with pytest.raises(StorageUnavailable, match="SQLSTATE 08P01") as caught:
        async with storage:
            pass

    assert f"refuses the startup parameter {parameter}, so" in str(caught.value)
    assert "ignore_startup_parameters" in str(caught.value)


def test_pooler_that_fails_otherwise() -> None:
    """Other errors of a pooler with the same SQLSTATE are tried again, and have no parameter."""
    error = asyncpg.exceptions.ProtocolViolationError(
        "server login has been failing, try again later"
    )
    storage = PostgresStorage(parse_url("postgres://host/db"))

    assert storage._is_transient(error)
    assert "startup parameter" not in storage._explain(error)


def test_parameter_of_a_stranger() -> None:
    """The text of a server is not passed on, apart from the name of a parameter (R35)."""
    error = asyncpg.exceptions.ProtocolViolationError(
        f"unsupported startup parameter: options {PASSWORD}"
    )

    assert "parameter options, so" in explained(error)


async def test_outage_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An outage is one line with its reason and no secret, for any number of operations (R35)."""
    caplog.set_level(logging.WARNING, "wix_asgi")
    pauses = 0

    async def pause(_seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 5:
            raise TimeoutError

    storage = PostgresStorage(
        parse_url(f"postgres://{USER}:{PASSWORD}@/app?host={tmp_path}"),
        retry=Retry(total=PATIENCE, quiet=0.0, sleep=pause),
    )
    for _ in range(2):
        pauses = 0
        with pytest.raises(StorageUnavailable):
            await storage.open()
    (line,) = caplog.messages

    assert f"The Postgres storage at {tmp_path}/app cannot be used: " in line
    assert "(FileNotFoundError). Each operation is tried again for up to 120 s." in line
    assert "wix_asgi" == caplog.records[0].name
    assert PASSWORD not in caplog.text


async def test_conflict_is_no_news(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """An operation that succeeds after a moment leaves the log alone."""
    async with (
        PostgresStorage(parse_url(postgres_url), retry=Retry(quiet=PATIENCE)) as storage,
        connected(postgres_url) as connection,
    ):
        await storage.put(record())
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await storage.put(record())

    assert "" == caplog.text
