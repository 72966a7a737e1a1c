"""The use of a state: its name in storage, for how long it stays, and loads beside each other."""

from __future__ import annotations

import anyio
import pytest

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    ACCESS,
    JSON,
    Line,
    ask,
    begin,
    call_back,
    cookies_of,
    cookies_set,
    reason_of,
    split_url,
    state_of,
)
from tests.support import SITE, Browser, running
from wix_asgi._http import httpx
from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing import Clock, FakeWix
from wix_asgi_backends.memory import MemoryStorage

FIVE_MINUTES = 300


async def test_reload_while_the_first_load_is_at_wix() -> None:
    """A second load gets the outcome of the first; where that is "not sent", a third one works."""
    fake = FakeWix()
    line = Line(fake)
    answers: dict[str, httpx.Response] = {}
    async with running(fake, transport=line) as app:
        browser = Browser(app)
        url = await begin(browser, fake)

        async def load(name: str) -> None:
            answers[name] = await call_back(browser, url)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load, "first")
            await line.reached.wait()
            tasks.start_soon(load, "second")
            await anyio.wait_all_tasks_blocked()
            line.found_cut.set()
        line.is_mended = True
        finished = await browser.http.get(url)
        stored = [found.instance_id async for found in app.wix.installations()]

    assert (503, "wix_unavailable") == reason_of(answers["first"])
    assert answers["first"].content == answers["second"].content
    assert ([], []) == (cookies_set(answers["first"]), cookies_set(answers["second"]))
    assert (303, [SITE]) == (finished.status_code, stored)


@pytest.mark.parametrize("error", ["access_denied", None])
async def test_flow_leaves_two_names_at_most(error: str | None) -> None:
    """A flow leaves two names, or one where no code came, and reloads add none (R8, R56)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        for _ in range(5):
            browser = Browser(app)
            url = await begin(browser, fake)
            if error:
                url = f"/wix/callback?error={error}&state={state_of(url)}"
            kept = cookies_of(browser)
            await call_back(browser, url)
            reloaded = await call_back(browser, url)
            path, query = split_url(url)
            with_cookie = await ask(app, path, query, headers=kept)

    assert (409, "state_reused") == reason_of(reloaded)
    assert (403 if error else 303) == with_cookie.status
    assert (5 if error else 10) == len(storage._claims)


async def test_callbacks_of_other_browsers_leave_nothing() -> None:
    """A browser with the address and without the cookie leaves no name in the storage (R2, R8)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        url = await begin(Browser(app), fake)
        refused = [reason_of(await call_back(Browser(app), url)) for _ in range(3)]

    assert [(403, "browser_mismatch")] * 3 == refused
    assert {} == storage._claims


async def test_a_question_is_in_nobodys_way() -> None:
    """A load without the cookie that is cut off half-way does not hold up the true load (R2)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        storage.down = {"claim_owner"}
        refused = await call_back(Browser(app), url)
        finished = await browser.http.get(url)

    assert (503, "storage_unavailable") == reason_of(refused)
    assert 303 == finished.status_code


@pytest.mark.parametrize("state_ttl", [30, 600])
async def test_use_outlives_the_state(state_ttl: int) -> None:
    """The use is kept until a host whose clock is five minutes behind refuses the state (R56)."""
    clock = Clock(1_700_000_000)
    storage = MemoryStorage(clock=clock.now)
    fake = FakeWix()
    async with running(fake, storage=storage, state_ttl=state_ttl) as app:
        await Browser(app).install(fake)
    clock.advance(state_ttl + FIVE_MINUTES)
    kept = await storage.purge()
    clock.advance(60)

    assert 0 == kept
    assert 2 == await storage.purge()


class DeafStorage(FlakyStorage):
    """A storage whose answers to claims are lost, and that then is down for some releases."""

    def __init__(self, lost_releases: int) -> None:
        super().__init__()
        self.is_deaf = True
        self.lost_releases = lost_releases

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        answer = await super().claim(name, owner, ttl)
        if self.is_deaf:
            raise StorageUnavailable("The answer of the test storage was lost.")
        return answer

    async def release(self, name: str, owner: str) -> None:
        self.down = {"release"} if self.steps.count("release") < self.lost_releases else set()
        await super().release(name, owner)


@pytest.mark.parametrize(
    ("lost_releases", "later"), [(0, 303), (2, 303), (3, 202)], ids=["at once", "later", "never"]
)
async def test_use_of_which_nothing_is_known(lost_releases: int, later: int) -> None:
    """A state whose claim got no answer is good again, if storage returns in three tries (R24)."""
    fake = FakeWix()
    storage = DeafStorage(lost_releases)
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        refused = await call_back(browser, url)
        storage.is_deaf = False
        await anyio.wait_all_tasks_blocked()
        answer = await call_back(browser, url)

    assert (503, "storage_unavailable") == reason_of(refused)
    assert later == answer.status_code
    assert min(3, lost_releases + 1) == storage.steps.count("release")
    assert (later == 303) == fake.count(ACCESS)


async def test_reload_after_success_asks_wix_nothing() -> None:
    """A reload after the install costs Wix no call."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        await browser.http.get(url)
        calls = len(fake.calls)
        again = await browser.http.get(url, headers=JSON)

    assert (409, "state_reused") == reason_of(again)
    assert (calls, 1) == (len(fake.calls), fake.count(ACCESS))
