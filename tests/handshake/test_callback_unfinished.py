"""Installs whose code is spent while Wix or the storage fails: kept, and finished behind a page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    CLOSE_WINDOW,
    FlowUnderTest,
    app_of,
    begin,
    call_back,
    cookies_set,
    reason_of,
)
from tests.limits import PATIENCE
from tests.support import SITE, Browser, make_wix
from wix_asgi import Wix
from wix_asgi._http import httpx
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")

AT_ONCE = CallbackPolicy(answer_wait=0, retry_pause=0.01, max_retry_pause=0.01)
"""Browsers are told to come back at once, and the work is repeated a hundred times a second."""


@dataclass
class Scene:
    """An app whose storage fails as a test says, and all that its hooks saw."""

    fake: FakeWix
    storage: FlakyStorage
    wix: Wix
    app: ASGIApp
    seen: list[Any] = field(default_factory=list)


@asynccontextmanager
async def scene(policy: CallbackPolicy = AT_ONCE, **options: Any) -> AsyncIterator[Scene]:
    """Run an app with this policy; leaving waits for its installs, or cuts them off."""
    fake, storage, seen = FakeWix(), FlakyStorage(), list[Any]()
    wix = make_wix(fake, storage=storage, on_install=seen.append, **options)
    async with wix:
        yield Scene(fake, storage, wix, app_of(wix, fake, policy=policy), seen)


async def reload(browser: Browser, url: str) -> httpx.Response:
    """Load the callback again until it is finished, as the header `Refresh` has a browser do."""
    with anyio.fail_after(PATIENCE):
        while True:
            answer = await call_back(browser, url, headers={})
            if answer.status_code != 202:
                return answer
            await anyio.sleep(0.01)


@pytest.mark.parametrize("step", ["put", "get"])
async def test_grant_is_kept_until_it_is_stored(
    flow: FlowUnderTest, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A storage that fails after the exchange costs no install: it is stored in the end (R50).

    The browser comes back, the hook is called once, and the operator is told which site it is.
    """
    async with scene() as on:
        browser = Browser(on.app)
        url = await begin(browser, on.fake)
        on.storage.down = {step}
        told = await call_back(browser, url, headers={})
        await on.storage.reached(step, 4)
        called_too_early = list(on.seen)
        on.storage.down = set()
        finished = await reload(browser, url)
        stored = await on.storage.sites(on.fake.app_id)
    (line,) = [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.ERROR and SITE in record.getMessage()
    ]

    assert (202, "5") == (told.status_code, told.headers["Refresh"])
    assert [] == cookies_set(told)
    assert [] == called_too_early
    assert finished.headers["Location"].startswith(CLOSE_WINDOW)
    assert not browser.http.cookies
    assert ([SITE], [SITE]) == (stored, [found.instance_id for found in on.seen])
    assert 1 == on.fake.count(flow.grants)
    assert "is not stored yet, and is in memory only" in line


async def test_unfinished_install_in_json(caplog: pytest.LogCaptureFixture) -> None:
    """A client that asks for JSON gets 202 and the incident, which the log has once (R50)."""
    async with scene() as on:
        browser = Browser(on.app)
        url = await begin(browser, on.fake)
        on.storage.down = {"put"}
        answers = [await call_back(browser, url) for _ in range(3)]
        on.storage.down = set()
    (incident,) = {answer.json().pop("incident") for answer in answers}

    assert [(202, {"incident": incident})] * 3 == [
        (answer.status_code, answer.json()) for answer in answers
    ]
    assert "5" == answers[0].headers["Retry-After"]
    assert 1 == caplog.text.count(f"incident {incident}")


async def test_unfinished_install_is_a_page_without_a_script() -> None:
    """The page has the headers of all pages, and loads itself without a script (R15, R50)."""
    async with scene() as on:
        browser = Browser(on.app)
        url = await begin(browser, on.fake)
        on.storage.down = {"put"}
        told = await call_back(browser, url, headers={})
        on.storage.down = set()

    assert "text/html; charset=utf-8" == told.headers["Content-Type"]
    assert "no-store" == told.headers["Cache-Control"]
    assert "default-src 'none'" in told.headers["Content-Security-Policy"]
    assert "<script" not in told.text
    assert "being finished" in told.text


async def test_response_of_a_hook_waits_for_its_browser() -> None:
    """The response of on_install goes to the load that comes when the install is done (R50)."""
    fake, storage = FakeWix(), FlakyStorage()
    wix = make_wix(fake, storage=storage, on_install=lambda _: PlainTextResponse("welcome"))
    async with wix:
        browser = Browser(app_of(wix, fake, policy=AT_ONCE))
        url = await begin(browser, fake)
        storage.down = {"put"}
        told = await call_back(browser, url)
        storage.down = set()
        finished = await reload(browser, url)

    assert (202, 200, "welcome") == (told.status_code, finished.status_code, finished.text)


@pytest.mark.flow("advanced")
@pytest.mark.parametrize("kind", ["drop", "answer", "refuse"])
async def test_token_is_proved_in_the_end(
    flow: FlowUnderTest, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A Wix that fails to prove the token costs no install: it is asked again (R21, R50)."""
    async with scene() as on:
        browser = Browser(on.app)
        url = await begin(browser, on.fake)
        on.fake.fail(flow.proves, kind=kind, times=None)
        told = await call_back(browser, url, headers={})
        with anyio.fail_after(PATIENCE):
            while True:
                if "is not proved yet, and is in memory only" in caplog.text:
                    break
                await anyio.sleep(0.01)
        before = await on.storage.sites(on.fake.app_id)
        on.fake.heal()
        finished = await reload(browser, url)
        stored = await on.storage.sites(on.fake.app_id)

    assert (202, 303) == (told.status_code, finished.status_code)
    assert ([], [SITE]) == (before, stored)
    assert 1 == on.fake.count(flow.grants, grant_type="authorization_code") == len(on.seen)


async def test_shutdown_saves_an_install_in_its_grace() -> None:
    """A storage that comes back while the process ends gets the installs in memory (R25, R50)."""
    async with scene() as on:
        browser = Browser(on.app)
        on.storage.down = {"put"}
        told = await call_back(browser, await begin(browser, on.fake))
        await on.storage.reached("put", 2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(on.wix._detached.aclose, PATIENCE)
            await anyio.wait_all_tasks_blocked()
            on.storage.down = set()
        stored = await on.storage.sites(on.fake.app_id)

    assert 202 == told.status_code
    assert ([SITE], 1) == (stored, len(on.seen))


async def test_shutdown_says_which_install_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """A process that must end with an install in memory names the site in its log (R50)."""
    async with scene() as on:
        browser = Browser(on.app)
        on.storage.down = {"put"}
        await call_back(browser, await begin(browser, on.fake))
        await on.storage.reached("put", 2)
        await on.wix._detached.aclose(0)
        on.storage.down = set()

    assert f"the process ends before the install on site {SITE} is stored" in caplog.text
    assert not await on.storage.sites(on.fake.app_id)


async def test_hopeless_install_is_given_up_after_hours() -> None:
    """When the time for it is over, the install ends as an internal error, not as unspent (R24)."""
    policy = CallbackPolicy(answer_wait=PATIENCE, keep_for=0)
    async with scene(policy) as on:
        browser = Browser(on.app)
        url = await begin(browser, on.fake)
        on.storage.down = {"put"}
        refused = await call_back(browser, url)
        again = await call_back(browser, url)

    assert (500, "internal") == reason_of(refused)
    assert not browser.http.cookies
    assert (409, "state_reused") == reason_of(again)
