"""Installs with a plain hook that takes its time in a thread: a hang-up, a shutdown, others."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from tests.handshake.handshaking import CLOSE_WINDOW, begin, call_back, reason_of
from tests.support import SITE, Browser, SlowHook, make_wix
from wix_asgi import Wix, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.models import Installation
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")


@pytest.fixture(name="hook")
def _hook() -> SlowHook:
    return SlowHook(PlainTextResponse("the hook's"))


@pytest.fixture(name="wix")
def _wix(fake: FakeWix, hook: SlowHook) -> Wix:
    return make_wix(fake, on_install=hook)


@pytest.fixture(name="browser")
def _browser(wix: Wix) -> Browser:
    return Browser(WixMiddleware(PlainTextResponse("the app's"), wix))


async def sites_of(wix: Wix) -> list[str]:
    """Return the sites on which the app is installed."""
    return [found.instance_id async for found in wix.installations()]


async def load(browser: Browser, url: str, answers: list[httpx.Response]) -> None:
    """Load an address, and keep the answer."""
    answers.append(await browser.http.get(url))


async def test_a_slow_hook_holds_up_nobody_else(
    fake: FakeWix, wix: Wix, browser: Browser, hook: SlowHook
) -> None:
    """While a plain hook runs, the app answers, and other installs are refused and begun."""
    answers: list[httpx.Response] = []
    async with wix, anyio.create_task_group() as tasks:
        tasks.start_soon(load, browser, await begin(browser, fake), answers)
        await hook.has_begun()
        other = Browser(WixMiddleware(PlainTextResponse("the app's"), wix))
        passed = await other.http.get("/plain")
        begun = await other.http.get("/wix/install")
        refused = await call_back(other, "/wix/callback")
        hook.told.set()

    assert (200, 303) == (passed.status_code, begun.status_code)
    assert (400, "state_missing") == reason_of(refused)
    assert ["the hook's"] == [answer.text for answer in answers]


async def test_a_browser_that_hangs_up_during_a_hook_costs_nothing(
    fake: FakeWix, wix: Wix, browser: Browser, hook: SlowHook
) -> None:
    """The hook ends once, the site is stored, and the browser gets the hook's answer later."""
    async with wix:
        url = await begin(browser, fake)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load, browser, url, [])
            await hook.has_begun()
            tasks.cancel_scope.cancel()
        stored = await sites_of(wix)
        hook.told.set()
        answer = await browser.http.get(url)

    assert [SITE] == stored == [event.instance_id for event in hook.events]
    assert "the hook's" == answer.text


async def test_a_shutdown_waits_for_a_hook(
    fake: FakeWix, wix: Wix, browser: Browser, hook: SlowHook
) -> None:
    """An install whose hook runs when the server stops is finished, and answered."""
    answers: list[httpx.Response] = []
    async with wix, anyio.create_task_group() as tasks:
        tasks.start_soon(load, browser, await begin(browser, fake), answers)
        await hook.has_begun()
        tasks.start_soon(wix.aclose)
        await anyio.lowlevel.checkpoint()
        hook.told.set()

    assert ["the hook's"] == [answer.text for answer in answers]


async def test_a_hook_may_use_the_client_from_its_thread(fake: FakeWix) -> None:
    """A plain hook calls Wix through the event loop, as anyio offers it to threads."""
    seen: list[int] = []

    def hook(_: Installation, request: Request) -> None:
        get = request.state.wix.get
        seen.append(anyio.from_thread.run(get, "/echo").status_code)

    async with make_wix(fake, on_install=hook) as wix:
        browser = Browser(WixMiddleware(PlainTextResponse("the app's"), wix))
        answer = await browser.install(fake)

    assert answer.headers["Location"].startswith(CLOSE_WINDOW)
    assert [200] == seen
