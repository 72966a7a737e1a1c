"""Two uvicorn workers on one storage, over real HTTP."""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.limits import PATIENCE
from tests.processes.apps import App, at_once, running
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.processes

BAKERY, YOGA, PAPER = DEMO_SITES
WORKERS = 2
EXCHANGE = {"path": "/oauth/access", "grant_type": "authorization_code"}
PRODUCTS = "/stores/v1/products/query"
REFRESH = {"path": "/oauth/access", "grant_type": "refresh_token"}


@pytest.fixture(name="storage", params=["sqlite", "postgresql"])
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/wix-asgi.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(name="app")
def _app(fake: FakeWix, storage: str, tmp_path: Path) -> Iterator[App]:
    with running(fake, storage, room=tmp_path, workers=WORKERS) as app:
        yield app
        assert app.server.stop() in {0, -signal.SIGTERM}
        assert "Traceback" not in app.server.output


async def test_workers_act_as_one(app: App) -> None:
    """One install, one winner of many callbacks, one refresh for many calls (R4)."""
    # In one test, for the two servers are slow to start.
    await an_install_and_a_call_and_a_replay(app)
    await of_fifty_callbacks_with_one_state_one_wins(app)
    await a_crowd_of_calls_on_an_expired_token_refreshes_once(app)


async def an_install_and_a_call_and_a_replay(app: App) -> None:
    """The site's data comes; the callback again is a 409, and Wix gets no second exchange."""
    async with app.browser() as http:
        callback = await app.begin(http, BAKERY)
        installed = await http.get(callback)
        products = await http.get("/products", params=app.opened_by(BAKERY))
        replay = await http.get(callback)

    assert 303 == installed.status_code
    assert "Corner Bakery Mug" == products.json()["products"][0]["name"]
    assert 409 == replay.status_code
    assert 1 == app.fake.count(**EXCHANGE)
    assert 0 == app.fake.count(**REFRESH)


async def of_fifty_callbacks_with_one_state_one_wins(app: App) -> None:
    """Of 50 at once, half of them at each worker, one exchanges, and all get its outcome."""
    before = app.fake.count(**EXCHANGE)
    async with app.browser() as http, app.spread(25, WORKERS) as browsers:
        callback = await app.begin(http, YOGA)
        for browser in browsers:
            browser.cookies = http.cookies
        answers = await at_once([functools.partial(b.get, callback) for b in browsers])
        statuses = [answer.status_code for answer in answers]
        # A browser that is told to come back keeps its cookie.
        told_to_wait = [browser for browser in browsers if browser.cookies]
        later = [(await browser.get(callback)).status_code for browser in told_to_wait]

    assert statuses.count(202) == len(told_to_wait)
    assert statuses.count(303) == 50 - len(told_to_wait) > 0
    assert [303] * len(told_to_wait) == later
    assert before + 1 == app.fake.count(**EXCHANGE)


async def a_crowd_of_calls_on_an_expired_token_refreshes_once(app: App) -> None:
    """Fifty at once, half of them at each worker, need one refresh in all."""
    async with app.browser() as http:
        await app.install(http, PAPER)
    query = app.opened_by(PAPER)
    app.fake.calls.clear()
    async with app.spread(25, WORKERS) as browsers, anyio.create_task_group() as tasks:
        app.fake.expire_access_tokens(PAPER)
        tasks.start_soon(refuse_all_at_the_same_moment, app, len(browsers))
        answers = await at_once(
            [functools.partial(b.get, "/products", params=query) for b in browsers]
        )

    assert [200] * 50 == [answer.status_code for answer in answers]
    assert 1 == app.fake.count(**REFRESH)


async def refuse_all_at_the_same_moment(app: App, calls: int) -> None:
    """Have both workers know of the expired token before the first of them has another one."""
    with app.fake.hold(**REFRESH) as refreshes:
        # For this answer the app under test has the patience of the test.
        with app.fake.hold(PRODUCTS):
            await app.fake.asked(PRODUCTS, calls, timeout=PATIENCE)
        await refreshes.arrived(timeout=PATIENCE)
        # Brief, since the app waits for a refresh no longer than the product's ten seconds: a
        # worker that answers this has read the refusals that came before it.
        async with app.spread(1, WORKERS):
            pass
