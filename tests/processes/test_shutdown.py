"""Servers that stop in the middle of an install (R25), and servers without a lifespan."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import pytest

from tests.limits import PATIENCE
from tests.processes.apps import App, running
from wix_asgi._http import httpx
from wix_asgi.storage import open_storage
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.processes

BAKERY, *_ = DEMO_SITES
EXCHANGE = "/oauth/access"


@pytest.fixture(name="storage")
def _storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/wix-asgi.db"


async def is_stored(fake: FakeWix, storage: str) -> bool:
    """Return whether the installation of the one site is in the storage."""
    async with open_storage(storage) as opened:
        return await opened.get(fake.app_id, BAKERY) is not None


async def test_sigterm_lets_an_exchange_finish(fake: FakeWix, storage: str, tmp_path: Path) -> None:
    """The browser gets its answer, the row is there, and the server ends cleanly (R25)."""
    answers: list[httpx.Response] = []
    with running(fake, storage, room=tmp_path) as app:

        async def finish(http: httpx.AsyncClient, callback: str) -> None:
            answers.append(await http.get(callback))

        async with app.browser() as http, anyio.create_task_group() as tasks:
            with fake.hold(EXCHANGE) as gate:
                tasks.start_soon(finish, http, await app.begin(http, BAKERY))
                await gate.arrived(timeout=PATIENCE)
                await stopping(app, "Shutting down")
        status = await anyio.to_thread.run_sync(app.server.exited)

    assert [303] == [answer.status_code for answer in answers]
    assert status in {0, -signal.SIGTERM}
    assert await is_stored(fake, storage)
    assert 1 == fake.count(EXCHANGE)
    assert "Traceback" not in app.server.output


async def test_sigterm_lets_an_exchange_finish_that_nobody_waits_for(
    fake: FakeWix, storage: str, tmp_path: Path
) -> None:
    """The browser is gone and the server is told to end: the install is not lost (R25)."""
    with running(fake, storage, room=tmp_path) as app:
        async with app.browser() as http:
            with fake.hold(EXCHANGE) as gate:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(http.get, await app.begin(http, BAKERY))
                    await gate.arrived(timeout=PATIENCE)
                    tasks.cancel_scope.cancel()
                await stopping(app, "Shutting down")
        status = await anyio.to_thread.run_sync(app.server.exited)

    assert status in {0, -signal.SIGTERM}
    assert await is_stored(fake, storage)
    assert "Traceback" not in app.server.output


async def stopping(app: App, words: str) -> None:
    """Tell the server to end, and return once it says so."""
    app.server.process.send_signal(signal.SIGTERM)
    await anyio.to_thread.run_sync(app.server.printed, words)


async def test_without_a_lifespan_the_first_request_opens_it(
    fake: FakeWix, storage: str, tmp_path: Path
) -> None:
    """`--lifespan off` changes nothing that a user sees."""
    with running(fake, storage, "--lifespan", "off", room=tmp_path) as app:
        async with app.browser() as http:
            installed = await app.install(http, BAKERY)
            products = await http.get("/products", params=app.opened_by(BAKERY))
        status = app.server.stop()

    assert [303, 200] == [installed.status_code, products.status_code]
    assert status in {0, -signal.SIGTERM}
    assert "Traceback" not in app.server.output
