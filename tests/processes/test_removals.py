"""A site that a uvicorn worker removes, and another one serves, over real HTTP."""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.limits import PATIENCE
from tests.processes.apps import App, at_once, running
from tests.processes.stamped import WORKER
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.processes

BAKERY, YOGA, _ = DEMO_SITES
REFRESH = {"path": "/oauth/access", "grant_type": "refresh_token"}
WORKERS = 2


@pytest.fixture(name="storage", params=["sqlite", "postgresql"])
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/wix-asgi.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(name="app")
def _app(fake: FakeWix, storage: str, tmp_path: Path) -> Iterator[App]:
    served = "tests.processes.removing:app"
    with running(fake, storage, room=tmp_path, workers=WORKERS, served=served) as app:
        yield app
        assert app.server.stop() in {0, -signal.SIGTERM}
        assert "Traceback" not in app.server.output


async def products(browser: httpx.AsyncClient, app: App, site: str) -> int:
    """Return the status of a call for this site."""
    return (await browser.get("/products", params=app.opened_by(site))).status_code


async def refused(browser: httpx.AsyncClient, app: App, site: str) -> int:
    """Call for this site until it is refused; return the status."""
    with anyio.fail_after(PATIENCE):
        while True:
            status = await products(browser, app, site)
            if status != 200:
                return status


async def test_a_removal_reaches_all_workers(app: App) -> None:
    """Twenty removals remove once, call the hook once, and both workers stop serving."""
    async with app.browser() as http, app.spread(10, WORKERS) as browsers:
        for site in (BAKERY, YOGA):
            await app.install(http, site)
        before = [await products(browser, app, BAKERY) for browser in browsers]
        query = app.opened_by(BAKERY)
        removals = await at_once(
            [functools.partial(browser.post, "/remove", params=query) for browser in browsers]
        )
        after = [await refused(browser, app, BAKERY) for browser in browsers]
        others = [await products(browser, app, YOGA) for browser in browsers]

    assert [200] * 20 == before == others
    assert [403] * 20 == after
    assert [False] * 19 + [True] == sorted(answer.json() for answer in removals)
    assert 2 == len({answer.headers[WORKER] for answer in removals})
    assert 1 == app.server.output.count(f"UNINSTALLED {BAKERY}")
    assert 0 == app.fake.count(**REFRESH)
