"""Installs while Wix or storage fails: whether the code is spent, and which response tells so."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from starlette.responses import PlainTextResponse

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    FlowUnderTest,
    ask,
    begin,
    call_back,
    cookies_of,
    query_of,
    reason_of,
    split_url,
)
from tests.limits import PATIENCE
from tests.support import SITE, Browser, make_wix, running
from wix_asgi import NotInstalled, Record, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")


class ForgetfulStorage(FlakyStorage):
    """A storage that loses each installation at once."""

    async def add(self, record: Record) -> bool:
        is_added = await super().add(record)
        await self.delete(record.app_id, record.instance_id)
        return is_added


async def test_storage_is_down(flow: FlowUnderTest) -> None:
    """Without storage nothing is spent: once it is back, the same address works (R24)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        storage.down = {"claim"}
        refused = [await call_back(browser, url) for _ in range(3)]
        assert 0 == fake.count(flow.grants)
        storage.down = set()
        finished = await browser.http.get(url)

    assert [(503, "storage_unavailable")] * 3 == [reason_of(answer) for answer in refused]
    assert "5" == refused[0].headers["Retry-After"]
    assert 303 == finished.status_code
    assert [SITE] == await storage.sites(fake.app_id)


async def test_storage_cannot_be_opened() -> None:
    """An app without a lifespan whose storage is down at first works once it is back (R24)."""
    fake = FakeWix()
    storage = FlakyStorage()
    storage.down = {"open"}
    wix = make_wix(fake, storage=storage)
    browser = Browser(WixMiddleware(PlainTextResponse("app"), wix))
    url = await begin(browser, fake)
    refused = await call_back(browser, url)
    storage.down = set()
    finished = await browser.http.get(url)
    await wix.aclose()

    assert (503, "storage_unavailable") == reason_of(refused)
    assert 303 == finished.status_code


@pytest.mark.flow("advanced")  # client credentials would find the site again
async def test_installation_is_gone_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """An installation that cannot be read back is no success, and no token of it stays (R47)."""
    fake = FakeWix()
    seen: list[object] = []
    async with running(
        fake, storage=ForgetfulStorage(), on_install=seen.append, recover=False
    ) as app:
        browser = Browser(app)
        answer = await call_back(browser, await begin(browser, fake))
        with pytest.raises(NotInstalled):
            await app.wix.client(SITE).get("/x")

    assert (500, "internal") == reason_of(answer)
    assert "the installation is gone already" in caplog.text
    assert not seen


@pytest.mark.parametrize("step", ["grants", "proves"])
async def test_browser_hangs_up(flow: FlowUnderTest, step: str) -> None:
    """A browser that leaves while Wix is asked does not cost the site owner the install (R25)."""
    fake = FakeWix()
    storage = FlakyStorage()
    seen: list[object] = []
    async with running(fake, storage=storage, on_install=seen.append) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        gate = fake.hold(getattr(flow, step))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.http.get, url)
            await gate.arrived()
            tasks.cancel_scope.cancel()
        assert not await storage.sites(fake.app_id)
        gate.release()
        # Leaving waits for the install under way.

    assert [SITE] == await storage.sites(fake.app_id)
    assert 1 == len(seen)
    assert 1 == fake.count(flow.grants)


async def test_shutdown_does_not_wait_for_ever(flow: FlowUnderTest) -> None:
    """An exchange that outlasts the shutdown is cut off, and its browser told (R25, R47)."""
    fake = FakeWix()
    answers: list[httpx.Response] = []
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)

        async def load() -> None:
            answers.append(await call_back(browser, url))

        with fake.hold(flow.grants) as gate:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load)
                await gate.arrived()
                with anyio.fail_after(PATIENCE):
                    await app.wix._detached.aclose(0)

    assert [(500, "internal")] == [reason_of(answer) for answer in answers]


@pytest.mark.flow("advanced")
@pytest.mark.parametrize("kind", ["drop", "answer"])
async def test_exchange_is_never_repeated(flow: FlowUnderTest, kind: Any) -> None:
    """Once Wix may have seen the code it is not sent again, by us or by a reload (R26)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        path, query = split_url(url)
        kept = cookies_of(browser)
        fake.fail(flow.grants, kind=kind)
        refused = await call_back(browser, url)
        again = await call_back(browser, url)
        with_the_cookie = await ask(app, path, query, headers=kept)
        restarted = await browser.install(fake)

    assert (503, "wix_unavailable") == reason_of(refused)
    assert "Retry-After" in refused.headers
    assert "Add to Site" in refused.json()["message"]
    assert (409, "state_reused") == reason_of(again)
    assert 503 == with_the_cookie.status
    assert "5" == with_the_cookie.one("Retry-After")
    assert 1 == fake.count(flow.grants, code=query_of(url)["code"])
    assert 303 == restarted.status_code


async def test_exchange_that_was_never_sent_may_be_repeated(flow: FlowUnderTest) -> None:
    """While Wix refuses connections nothing is spent: the same address works later (R26)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(flow.grants, kind="refuse", times=None)
        refused = [reason_of(await call_back(browser, url)) for _ in range(2)]
        fake.heal()
        finished = await browser.http.get(url)

    assert [(503, "wix_unavailable")] * 2 == refused
    assert 303 == finished.status_code
    assert 1 == fake.count(flow.grants)


async def test_connection_is_refused_once(flow: FlowUnderTest) -> None:
    """A connection that fails once is tried again at once, unseen by the site owner (R26)."""
    fake = FakeWix()
    async with running(fake) as app:
        fake.fail(flow.grants, kind="refuse")
        answer = await Browser(app).install(fake)

    assert 303 == answer.status_code
    assert 1 == fake.count(flow.grants)


async def test_state_that_cannot_be_freed_stays_used(flow: FlowUnderTest) -> None:
    """When neither Wix nor the storage can be reached, the state is not good twice (R4)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(flow.grants, kind="refuse", times=None)
        storage.down = {"release"}
        refused = await call_back(browser, url)
        fake.heal()
        again = await call_back(browser, url)

    assert (503, "wix_unavailable") == reason_of(refused)
    assert (202, 0) == (again.status_code, fake.count(flow.grants))


@pytest.mark.parametrize("kind", ["drop", "answer", "refuse"])
async def test_token_info_fails_once(flow: FlowUnderTest, kind: Any) -> None:
    """A call of token-info that fails is repeated, which is safe."""
    fake = FakeWix()
    fake.fail(flow.proves, kind=kind)
    async with running(fake) as app:
        answer = await Browser(app).install(fake)

    assert 303 == answer.status_code


@pytest.mark.flow("advanced")
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "invalid_grant"}, (502, "exchange_rejected")),
        (401, {"error": "invalid_client"}, (502, "exchange_rejected")),
        (403, None, (502, "exchange_rejected")),
        (500, None, (503, "wix_unavailable")),
        (429, None, (503, "wix_unavailable")),
        (200, b"not json", (503, "wix_unavailable")),
        (200, {}, (503, "wix_unavailable")),
        (200, {"access_token": "test-access-token-0123"}, (502, "exchange_rejected")),
        (200, {"access_token": 1, "refresh_token": 2}, (503, "wix_unavailable")),
        (302, None, (503, "wix_unavailable")),
    ],
)
async def test_responses_of_wix(
    flow: FlowUnderTest, status: int, body: Any, expected: tuple[int, str]
) -> None:
    """A response of Wix that is no grant ends the flow, and stores nothing (R47)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(
            flow.grants, status=status, body=body, headers={"Location": "https://evil.example"}
        )
        refused = await call_back(browser, url)
        again = await call_back(browser, url)

    assert expected == reason_of(refused)
    assert (409, "state_reused") == reason_of(again)
    assert 1 == fake.count(flow.grants)
    assert not await storage.sites(fake.app_id)
