"""A callback that comes again at another process, which knows the first load by storage alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    CLOSE_WINDOW,
    FlowUnderTest,
    Line,
    Load,
    app_of,
    begin,
    call_back,
    reason_of,
)
from tests.support import PUBLIC_URL, SITE, Browser, make_wix
from wix_asgi import Wix
from wix_asgi.errors import NotInstalled
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage

pytestmark = pytest.mark.usefixtures("flow")

OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Any) -> str | Storage:
    """Return the storage that both processes use: a URL, or memory that stands for one."""
    if request.param == "memory":
        return FlakyStorage()
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/wix-asgi.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, which the databases want."""
    return "asyncio"


@dataclass
class Process:
    """One process that serves the app, and the installations of its hook."""

    app: ASGIApp
    wix: Wix
    seen: list[str]


@asynccontextmanager
async def process(
    fake: FakeWix, shared: str | Storage, *, answer: Response | None = None, **options: Any
) -> AsyncIterator[Process]:
    """Run the app, with nothing in common with another process but the storage."""
    seen: list[str] = []

    def on_install(installation: Any, _: Request) -> Response | None:
        seen.append(installation.instance_id)
        return answer

    async with make_wix(fake, storage=shared, on_install=on_install, **options) as wix:
        yield Process(app_of(wix, fake), wix, seen)


async def test_install_is_shown_at_another_process(
    flow: FlowUnderTest, shared: str | Storage
) -> None:
    """A repeated load gets the redirect with a token of that site, and exchanges nothing (R4)."""
    fake = FakeWix()
    async with process(fake, shared) as first, process(fake, shared) as second:
        browser = Browser(first.app)
        load = Load(browser, await begin(browser, fake))
        answers = [await load.at(first.app), await load.at(second.app), await load.at(second.app)]
        token = (await second.wix._tokens.get(SITE)).value

    assert [303] * 3 == [answer.status for answer in answers]
    assert [f"{CLOSE_WINDOW}{token}"] * 3 == [answer.one("Location") for answer in answers]
    assert [1] * 3 == [len(answer.all("Set-Cookie")) for answer in answers]
    assert ([SITE], []) == (first.seen, second.seen)
    assert 1 == fake.count(flow.grants)


async def test_page_of_the_app_is_shown_at_another_process(shared: str | Storage) -> None:
    """A hook's own response stays with its process; elsewhere `after_install` is shown (R4)."""
    fake = FakeWix()
    options: Any = {"after_install": "/welcome", "answer": PlainTextResponse("hello")}
    async with process(fake, shared, **options) as first, process(fake, shared, **options) as other:
        browser = Browser(first.app)
        load = Load(browser, await begin(browser, fake))
        answers = [await load.at(first.app), await load.at(first.app), await load.at(other.app)]

    assert [200, 200, 303] == [answer.status for answer in answers]
    assert [b"hello"] * 2 == [answer.body for answer in answers[:2]]
    assert f"{PUBLIC_URL}/welcome" == answers[2].one("Location")
    assert ([SITE], []) == (first.seen, other.seen)


async def test_used_state_of_ones_own_opens_no_other_site(shared: str | Storage) -> None:
    """A used state of one's own with the id of another site never gives that site's token (R4)."""
    fake = FakeWix()
    async with process(fake, shared) as first, process(fake, shared) as second:
        victim = Browser(first.app)
        await victim.install(fake, OTHER_SITE)
        thief = Browser(first.app)
        load = Load(thief, await begin(thief, fake))
        await load.at(first.app)
        answers = [
            await load.at(app, **{name: OTHER_SITE})
            for app in (first.app, second.app)
            for name in ("instanceId", "instance_id", "code", "instance")
        ]
        stolen = (await second.wix._tokens.get(OTHER_SITE)).value
        own = (await second.wix._tokens.get(SITE)).value

    assert stolen != own
    assert {(303, f"{CLOSE_WINDOW}{own}")} == {
        (answer.status, answer.one("Location")) for answer in answers
    }
    assert [] == [answer for answer in answers if stolen.encode() in answer.body]


async def test_refusal_is_shown_at_another_process(
    flow: FlowUnderTest, shared: str | Storage
) -> None:
    """A refused install is refused for the same reason elsewhere, and nothing is asked (R4)."""
    fake = FakeWix()
    async with process(fake, shared) as first, process(fake, shared) as second:
        browser = Browser(first.app)
        load = Load(browser, await begin(browser, fake))
        fake.fail(flow.grants, status=400, body={"error": "invalid_grant"})
        statuses = [(await load.at(app)).status for app in (first.app, second.app, second.app)]

    assert [502] * 3 == statuses
    assert 1 == fake.count(flow.grants)


async def test_denial_is_shown_at_another_process(
    flow: FlowUnderTest, shared: str | Storage
) -> None:
    """A denied install is denied elsewhere, too, even with a code (R4)."""
    fake = FakeWix()
    async with process(fake, shared) as first, process(fake, shared) as second:
        browser = Browser(first.app)
        load = Load(browser, await begin(browser, fake))
        statuses = [(await load.at(first.app, error="access_denied")).status]
        statuses += [(await load.at(second.app)).status for _ in range(2)]

    assert [403] * 3 == statuses
    assert 0 == fake.count(flow.grants)


async def test_install_under_way_at_another_process(
    flow: FlowUnderTest, shared: str | Storage
) -> None:
    """While the first load is at Wix, another process shows the page that comes again (R4, R50)."""
    fake = FakeWix()
    async with process(fake, shared) as first, process(fake, shared) as second:
        browser = Browser(first.app)
        load = Load(browser, await begin(browser, fake))
        statuses = []
        async with anyio.create_task_group() as tasks:
            with fake.hold(flow.grants) as gate:
                tasks.start_soon(load.at, first.app)
                await gate.arrived()
                early = [await load.at(second.app) for _ in range(2)]
        statuses.append((await load.at(second.app)).status)

    assert [202, 202] == [answer.status for answer in early]
    assert [[], []] == [answer.all("Set-Cookie") for answer in early]
    assert [303] == statuses
    assert 1 == fake.count(flow.grants) == len(first.seen)
    assert [] == second.seen


async def test_removed_installation_is_no_success(shared: str | Storage) -> None:
    """An install whose installation is not stored any more is never shown as a success (R47)."""
    fake = FakeWix()
    async with process(fake, shared) as first, process(fake, shared) as second:
        browser = Browser(first.app)
        load = Load(browser, await begin(browser, fake))
        await load.at(first.app)
        await first.wix.storage.delete(fake.app_id, SITE)
        statuses = [(await load.at(app)).status for app in (first.app, second.app)]

    assert [409, 409] == statuses


async def test_installation_removed_while_it_is_shown_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An installation that is gone before its token is read is never shown as a success (R47)."""
    fake = FakeWix()
    storage = MemoryStorage()
    async with process(fake, storage) as first, process(fake, storage) as second:
        browser = Browser(first.app)
        load = Load(browser, await begin(browser, fake))
        await load.at(first.app)

        async def gone(_: str) -> NoReturn:
            raise NotInstalled

        monkeypatch.setattr(second.wix._tokens, "get", gone)
        status = (await load.at(second.app)).status

    assert 409 == status


async def test_state_that_was_given_back_is_good_at_another_process(
    flow: FlowUnderTest,
    shared: str | Storage,
) -> None:
    """A process that saw a state in use takes it once it was given back (R26)."""
    fake = FakeWix()
    async with process(fake, shared) as first, process(fake, shared) as second:
        browser = Browser(first.app)
        load = Load(browser, await begin(browser, fake))
        line = Line(fake)
        cut = app_of(first.wix, fake, transport=line)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load.at, cut)
            await line.reached.wait()
            seen = await load.at(second.app)
            line.found_cut.set()
        statuses = [seen.status, *[(await load.at(second.app)).status for _ in range(2)]]

    assert [202, 202, 303] == statuses
    assert 1 == fake.count(flow.grants)


async def test_no_cookie_after_an_install_at_another_process(shared: str | Storage) -> None:
    """A reload without the cookie is told that all is finished, with a way on (R4)."""
    fake = FakeWix()
    to: Any = {"after_install": "/welcome"}
    async with process(fake, shared, **to) as first, process(fake, shared, **to) as other:
        browser = Browser(first.app)
        url = await begin(browser, fake)
        await browser.http.get(url)
        answers = [await call_back(Browser(app), url) for app in (other.app, other.app)]
        page = await Browser(other.app).http.get(url)

    assert [(409, "state_reused")] * 2 == [reason_of(answer) for answer in answers]
    assert f'href="{PUBLIC_URL}/welcome"' in page.text
