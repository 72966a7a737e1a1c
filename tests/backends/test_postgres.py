"""The storage in Postgres: servers that stop, crash, hang or refuse, and users of few rights."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.backends.support import connections_in_use, pool_of, try_for
from tests.daemons import connected, running
from tests.limits import PATIENCE
from tests.postgres_server import PostgresServer
from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi.testing.storage_check.tasks import until
from wix_asgi_backends._postgres_dialect import Dialect
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends._row_security import administrator_sql
from wix_asgi_backends.postgres import PostgresStorage

CANARY = "test-canary-password"
BRIEF = Retry(total=0.3)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


@pytest.fixture(name="server")
def _server() -> Iterator[PostgresServer]:
    """Give a server that may be stopped."""
    with running(PostgresServer()) as server:
        yield server


async def test_tables_are_ours(postgres_url: str) -> None:
    """Two tables are made, of types that every compatible engine has, and no sequence."""
    async with PostgresStorage(parse_url(postgres_url)), connected(postgres_url) as connection:
        columns = await connection.fetch(
            "SELECT table_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'public'"
        )
        sequences = await connection.fetchval("SELECT count(*) FROM information_schema.sequences")

    assert {"wix_claims", "wix_events", "wix_installations"} == {
        row["table_name"] for row in columns
    }
    assert {"bigint", "boolean", "bytea", "text"} == {row["data_type"] for row in columns}
    assert 0 == sequences


async def test_user_who_may_make_nothing(postgres_url: str) -> None:
    """Where the tables are there, a user needs no right to make any."""
    async with PostgresStorage(parse_url(postgres_url)):
        pass
    async with connected(postgres_url) as connection:
        role = "wix_" + str(await connection.fetchval("SELECT current_database()"))[-16:]
        await connection.execute(
            f"CREATE ROLE {role} LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC; "
            f"GRANT USAGE ON SCHEMA public TO {role}"
        )
        await connection.execute(administrator_sql("", role))
    try:
        async with PostgresStorage(parse_url(f"{postgres_url}&user={role}")) as storage:
            await storage.put(record())

            assert await storage.get(APP, SITE) is not None
            assert await storage.claim("name", "owner", 60)
    finally:
        async with connected(postgres_url) as connection:
            await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_user_who_should_have_made_tables(postgres_url: str) -> None:
    """A user without the right to make tables that are missing is told where they are."""
    async with connected(postgres_url) as connection:
        role = "wix_" + str(await connection.fetchval("SELECT current_database()"))[-16:]
        await connection.execute(f"CREATE ROLE {role} LOGIN")
    try:
        with pytest.raises(StorageUnavailable, match=r"`wix-asgi storage sql` .*SQLSTATE 42501"):
            async with PostgresStorage(parse_url(f"{postgres_url}&user={role}")):
                pass
    finally:
        async with connected(postgres_url) as connection:
            await connection.execute(f"DROP ROLE {role}")


async def test_connections_that_were_cut(postgres_url: str) -> None:
    """Connections that the server cut while they were idle cost nobody anything."""
    async with PostgresStorage(parse_url(postgres_url)) as storage:
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(storage.put, record(f"site-{number}"))
        async with connected(postgres_url) as connection:
            cut = await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        found = [await storage.get(APP, f"site-{number}") for number in range(10)]

        assert cut
        assert None not in found
        assert 0 == connections_in_use(storage)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_restart_under_load(server: PostgresServer, how: signal.Signals) -> None:
    """A restart or a crash of the server fails no operation of ten workers."""
    done = 0
    over = anyio.Event()

    async def work(storage: PostgresStorage, number: int) -> None:
        nonlocal done
        while not over.is_set():
            await storage.put(record(f"site-{number}"))
            assert await storage.get(APP, f"site-{number}") is not None
            done += 1

    async def is_working(since: int) -> bool:
        return done > since + 50

    async with PostgresStorage(parse_url(server.url)) as storage:
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(work, storage, number)
            await until(lambda: is_working(0))
            await anyio.to_thread.run_sync(server.stop, how)
            before = done
            await anyio.to_thread.run_sync(server.start)
            await until(lambda: is_working(before))
            over.set()

        assert 10 == len(await storage.scan(APP))


async def test_stopped_server(server: PostgresServer) -> None:
    """A server that is gone makes the storage unavailable, until it is back (R24)."""
    async with PostgresStorage(parse_url(server.url)) as storage:
        await storage.put(record())
        await anyio.to_thread.run_sync(server.stop)
        try_for(storage, BRIEF.total)
        with pytest.raises(StorageUnavailable) as caught:
            await storage.get(APP, SITE)
        await anyio.to_thread.run_sync(server.start)
        try_for(storage, PATIENCE)

        assert isinstance(caught.value.__cause__, Exception)
        assert 503 == caught.value.status_code
        assert await storage.get(APP, SITE) is not None


async def test_end_of_an_outage_is_logged(
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever operation comes first tells that the storage answers again, and one alone does."""
    caplog.set_level(logging.INFO, "wix_asgi")
    retry = Retry(total=0.3, quiet=0.0)
    async with PostgresStorage(parse_url(server.url), retry=retry) as storage:
        await storage.put(record())
        await anyio.to_thread.run_sync(server.stop)
        with anyio.fail_after(PATIENCE):
            while not any("is tried again" in line for line in caplog.messages):
                with pytest.raises(StorageUnavailable):
                    await storage.get(APP, SITE)
        await anyio.to_thread.run_sync(server.start)
        try_for(storage, PATIENCE)
        with anyio.fail_after(PATIENCE):
            while not any("answers again" in line for line in caplog.messages):
                await storage.count_events(APP, limit=1)
        await storage.get(APP, SITE)
    ends = [line for line in caplog.messages if "answers again" in line]

    assert 1 == len(ends)


async def test_silent_server(tmp_path: Path) -> None:
    """A server that accepts and never answers is given up within the time of an operation."""
    callers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_unix_server(
        lambda _, caller: callers.append(caller), tmp_path / ".s.PGSQL.5432"
    )
    storage = PostgresStorage(parse_url(f"postgres://u:{CANARY}@/db?host={tmp_path}"), retry=BRIEF)
    # On a busy machine the time may be over before the server was reached.
    while not callers:
        with pytest.raises(StorageUnavailable, match=r"\(TimeoutError\)"):
            await storage.open()
    for caller in callers:
        caller.close()
        await caller.wait_closed()
    silent.close()
    await storage.aclose()


async def test_nobody_listens() -> None:
    """A refused connection is tried again, then it is the cause; no secret is shown (R35)."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 4:
                # As it is when the time for all attempts runs out in a pause.
                raise TimeoutError

        storage = PostgresStorage(
            parse_url(f"postgres://user:{CANARY}@localhost:{port}/db?sslmode=disable"),
            retry=Retry(total=PATIENCE, sleep=pause),
        )
        with pytest.raises(StorageUnavailable) as caught:
            await storage.open()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)

    assert isinstance(caught.value.__cause__, OSError)
    assert 4 == len(pauses)
    assert CANARY not in "".join(shown.format())
    assert CANARY not in str(caught.value)


async def test_unknown_database(postgres_url: str) -> None:
    """A lasting error is raised at once, and names the database, but no password (R35)."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    storage = PostgresStorage(
        parse_url(f"{postgres_url}&dbname=nowhere&password={CANARY}"), retry=Retry(sleep=pause)
    )
    with pytest.raises(
        StorageUnavailable, match=r"/nowhere .*no such database.*SQLSTATE 3D000"
    ) as caught:
        await storage.open()

    assert [] == pauses
    assert CANARY not in str(caught.value)
    await storage.aclose()


async def test_tokens_are_not_in_errors(postgres_url: str) -> None:
    """Neither the message nor the causes of an error show the values of the statement (R35)."""
    async with PostgresStorage(parse_url(postgres_url)) as storage:
        async with connected(postgres_url) as connection:
            await connection.execute("ALTER TABLE wix_installations DROP COLUMN failure")
        with pytest.raises(StorageUnavailable, match="UndefinedColumnError") as caught:
            await storage.put(record(refresh_token=CANARY.encode()))
    cause = caught.value.__cause__
    assert cause is not None
    shown = traceback.TracebackException.from_exception(cause, capture_locals=True)

    assert CANARY not in "".join(shown.format())


async def test_full_pool(postgres_url: str) -> None:
    """Two hundred callers share a pool of three connections."""
    async with PostgresStorage(parse_url(f"{postgres_url}&pool_size=3")) as storage:
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(storage.put, record(f"site-{number}"))
        engine = await storage._engines.current()

        assert pool_of(engine).checkedin() <= 3
        assert 200 == len(await storage.scan(APP, limit=300))


async def test_no_statement_has_a_name(postgres_url: str) -> None:
    """Nothing is left prepared in a session, as a pooler would hand it to somebody else."""
    async with PostgresStorage(parse_url(postgres_url)) as storage:
        await storage.put(record())
        await storage.get(APP, SITE)
        engine = await storage._engines.current()
        async with engine.connect() as connection:
            left = await connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements")

            assert 0 == left.scalar()


async def test_any_version_will_do() -> None:
    """A server is not asked for its version, nor for types of JSON."""
    dialect: Any = Dialect
    dialect = dialect()
    await dialect.setup_asyncpg_json_codec(None)
    await dialect.setup_asyncpg_jsonb_codec(None)

    assert dialect._get_server_version_info(None) >= (13,)
