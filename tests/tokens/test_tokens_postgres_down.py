"""A real Postgres that is stopped, and started again, under a client."""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.daemons import running as run_daemon
from tests.limits import PATIENCE
from tests.postgres_server import PostgresServer, database
from tests.support import SITE, make_wix
from wix_asgi import Wix
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import AccessToken, Grant
from wix_asgi.testing import FakeWix


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


@pytest.fixture(name="server")
def _server() -> Iterator[PostgresServer]:
    with run_daemon(PostgresServer()) as server:
        yield server


@pytest.fixture(name="url")
def _url(server: PostgresServer) -> Iterator[str]:
    with database(server.url) as url:
        yield url


async def _status(wix: Wix) -> int:
    """Call Wix until the storage serves the call; return how that ended."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                return (await wix.client(SITE).get("/echo")).status_code
            except StorageUnavailable:
                await checkpoint()


async def test_a_database_that_is_down_is_not_called_wix(
    fake: FakeWix, server: PostgresServer, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Callers are told of the storage, the log names the site, and all is well again by itself."""
    async with make_wix(fake, storage=url) as wix:
        grant = Grant(
            AccessToken(fake.issue_access_token(), 300.0, time.monotonic() - 1),
            fake.issue_refresh_token(SITE),
        )
        await wix._installations.put(SITE, grant)
        server.stop()
        with pytest.raises(StorageUnavailable):
            await wix.client(SITE).get("/echo")
        await anyio.to_thread.run_sync(server.start)
        status = await _status(wix)
    errors = [line.getMessage() for line in caplog.records if line.levelname == "ERROR"]

    assert 200 == status
    assert 1 == len([line for line in errors if f"site {SITE} gets no new token" in line])
