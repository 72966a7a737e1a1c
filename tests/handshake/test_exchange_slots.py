"""Many callbacks at once: fifty of them ask Wix, and the callbacks above wait or lose nothing."""

from __future__ import annotations

from threading import Thread
from typing import Any

import anyio
import pytest

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    FlowUnderTest,
    app_of,
    ask,
    begin,
    call_back,
    cookies_of,
    reason_of,
    split_url,
)
from tests.limits import PATIENCE
from tests.support import SITE, Browser, make_wix, running
from wix_asgi._http import httpx
from wix_asgi.handshake._wix_slots import WixSlots
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix._signal import Signal

pytestmark = pytest.mark.usefixtures("flow")

SLOTS = 50
OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"


async def test_exchanges_are_bounded(flow: FlowUnderTest) -> None:
    """Beside fifty long exchanges a callback is refused; its state and code are good later."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with make_wix(fake, storage=storage) as wix:
        app = app_of(wix, fake, policy=CallbackPolicy(claim_wait=PATIENCE))
        late = Browser(app)
        urls = [await begin(late, fake) for _ in range(3)]
        with fake.hold(flow.grants) as gate:
            async with anyio.create_task_group() as tasks:
                for _ in range(SLOTS):
                    browser = Browser(app)
                    tasks.start_soon(browser.http.get, await begin(browser, fake))
                await gate.arrived(SLOTS)
                storage.steps.clear()
                refused = [await call_back(late, url) for url in urls]
                asked = fake.count(flow.grants), storage.steps.count("claim")
                gate.release()
        finished = [(await late.http.get(url)).status_code for url in urls]

    assert [(503, "wix_unavailable")] * 3 == [reason_of(answer) for answer in refused]
    assert ["5"] * 3 == [answer.headers["Retry-After"] for answer in refused]
    assert (SLOTS, 0) == asked
    assert [303] * 3 == finished
    assert SLOTS + 3 == fake.count(flow.grants)


async def test_turns_go_round_over_the_networks_of_the_clients() -> None:
    """A callback from elsewhere is not held up by the many of one network (R49).

    Callbacks of one network, as behind a proxy, have their turns in the order in which they came.
    """
    slots = WixSlots(1, max_wait=PATIENCE)
    served: list[str] = []

    async def wait(host: str, name: str) -> None:
        async with slots.slot({"client": (host, 50000)}):
            served.append(name)

    async with anyio.create_task_group() as tasks, slots.slot({"client": None}):
        for number in range(4):
            tasks.start_soon(wait, f"2001:db8::{number}", f"crowd {number}")
            await anyio.wait_all_tasks_blocked()
        tasks.start_soon(wait, "203.0.113.9", "from elsewhere")
        await anyio.wait_all_tasks_blocked()
        queued = list(served)

    assert [] == queued
    assert ["crowd 0", "from elsewhere", "crowd 1", "crowd 2", "crowd 3"] == served


@pytest.mark.flow("advanced")
async def test_codes_that_wix_slows_down_cost_no_refresh_its_turn(flow: FlowUnderTest) -> None:
    """Wix answers 429 to made-up codes: installs are throttled, and refreshes are not (R49)."""
    fake = FakeWix()
    async with running(fake) as app:
        await Browser(app).install(fake)
        fake.fail(flow.grants, status=429, times=None, grant_type="authorization_code")
        refused = await Browser(app).install(fake, OTHER_SITE)
        fake.expire_access_tokens()
        called = await app.wix.client(SITE).get("/echo")

    assert (503, 200) == (refused.status_code, called.status_code)
    assert app.wix.handshake.callback._oauth.is_failing
    assert not app.wix._oauth.is_failing


@pytest.mark.flow("advanced")
async def test_refreshes_need_no_slot_of_installs(flow: FlowUnderTest) -> None:
    """A site's token is refreshed while made-up codes have every slot at Wix (R49)."""
    fake = FakeWix()
    async with running(fake) as app:
        await Browser(app).install(fake)
        fake.expire_access_tokens()
        with fake.hold(flow.grants, grant_type="authorization_code") as gate:
            async with anyio.create_task_group() as tasks:
                for _ in range(SLOTS):
                    browser = Browser(app)
                    tasks.start_soon(browser.http.get, await begin(browser, fake))
                await gate.arrived(SLOTS)
                called = await app.wix.client(SITE).get("/echo")
                gate.release()

    assert 200 == called.status_code


async def test_cancelled_installs_need_no_slot(flow: FlowUnderTest) -> None:
    """A callback with an error gets its response while every slot is taken."""
    fake = FakeWix()
    async with make_wix(fake) as wix:
        app = app_of(wix, fake, policy=CallbackPolicy(claim_wait=PATIENCE))
        browser = Browser(app)
        denied = fake.cancel(await browser.begin(fake)) or ""
        with fake.hold(flow.grants) as gate:
            async with anyio.create_task_group() as tasks:
                for _ in range(SLOTS):
                    other = Browser(app)
                    tasks.start_soon(other.http.get, await begin(other, fake))
                await gate.arrived(SLOTS)
                refused = await call_back(browser, denied)
                gate.release()

    assert (403, "denied") == reason_of(refused)


@pytest.mark.parametrize("kind", ["drop", "answer"])
async def test_slots_are_given_back(flow: FlowUnderTest, kind: Any) -> None:
    """However an exchange ends, the next callback has its slot."""
    fake = FakeWix()
    async with make_wix(fake) as wix:
        app = app_of(wix, fake, max_exchanges=1)
        fake.fail(flow.grants, kind=kind, times=None)
        refused = await Browser(app).install(fake)
        fake.heal()
        finished = await Browser(app).install(fake)

    assert (503, 303) == (refused.status_code, finished.status_code)


async def test_hooks_hold_no_slot() -> None:
    """While an app's on_install is slow, further installs still go through."""
    fake = FakeWix()
    go_on = anyio.Event()
    begun = anyio.Event()
    answers: list[httpx.Response] = []

    async def hook(_: object) -> None:
        if not begun.is_set():
            begun.set()
            await go_on.wait()

    async with make_wix(fake, on_install=hook) as wix, anyio.create_task_group() as tasks:
        app = app_of(wix, fake, max_exchanges=1)
        tasks.start_soon(Browser(app).install, fake)
        await begun.wait()
        answers.append(await Browser(app).install(fake, OTHER_SITE))
        go_on.set()

    assert [303] == [answer.status_code for answer in answers]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_slots_are_the_processs(flow: FlowUnderTest, backend: str) -> None:
    """A slot that is held on one event loop is held for all loops, and is freed for all."""
    fake = FakeWix()
    app = app_of(make_wix(fake), fake, max_exchanges=1)
    gate, signal, statuses = fake.hold(flow.grants), Signal(), list[int]()

    async def elsewhere() -> None:
        browser = Browser(app)
        statuses.append((await browser.http.get(await begin(browser, fake))).status_code)
        signal.notify()

    async def here() -> None:
        await gate.arrived()
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        statuses.append((await ask(app, path, query, headers=cookies_of(browser))).status)
        gate.release()
        with anyio.fail_after(PATIENCE):
            await signal.wait_until(lambda: len(statuses) == 2)
        statuses.append((await ask(app, path, query, headers=cookies_of(browser))).status)

    thread = Thread(target=lambda: anyio.run(elsewhere, backend=backend))
    thread.start()
    anyio.run(here, backend=backend)
    thread.join(PATIENCE)

    assert [503, 303, 303] == statuses
