"""Webhooks as a whole: a signed POST into WixMiddleware ends in the app's handlers, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from tests.client.clients import install
from tests.limits import PATIENCE
from tests.support import PUBLIC_URL, SITE, make_app, make_wix
from wix_asgi import Wix, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.events import WebhookEvent
from wix_asgi.storage import EventStorage
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix.events import FakeEvent

CONTACT = "wix.contacts.v4.contact_created"


class Handled:
    """A handler that notes its events.

    Attributes:
        events: The events, one for each call.
        failures: How many calls raise from now on.
    """

    def __init__(self) -> None:
        self.events: list[WebhookEvent] = []
        self.failures = 0
        self._changed = anyio.Event()

    async def __call__(self, event: WebhookEvent) -> None:
        self.events.append(event)
        self._changed.set()
        if self.failures:
            self.failures -= 1
            raise ValueError("the app failed for a test")

    async def has_been_called(self, times: int = 1) -> None:
        """Wait until it was called so many times."""
        with anyio.fail_after(PATIENCE):
            while len(self.events) < times:
                await self._changed.wait()
                self._changed = anyio.Event()


async def deliver(fake: FakeWix, app: ASGIApp, event: FakeEvent) -> httpx.Response:
    """Deliver an event as Wix does, which sends it again after a 503: a busy machine is slow."""
    with anyio.fail_after(PATIENCE):
        while True:
            answer = await fake.deliver(app, event)
            if answer.status_code != 503:
                return answer


async def waiting(wix: Wix) -> int:
    """Return how many events wait in the inbox."""
    assert isinstance(wix.storage, EventStorage)
    return (await wix.storage.count_events(wix.settings.app_id, limit=1000)).waiting


async def settled(wix: Wix) -> None:
    """Wait until nothing waits in the inbox, then close the app."""
    with anyio.fail_after(PATIENCE):
        while await waiting(wix):  # noqa: ASYNC110 - the storage tells nobody
            await anyio.sleep(0.01)
    await wix.aclose()


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    """Run on asyncio, as the drivers of the databases do."""
    return "asyncio"


@pytest.fixture(name="storage", params=["memory", "sqlite", "postgresql"])
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/wix-asgi.db"


async def test_an_event_ends_in_its_handlers(fake: FakeWix, storage: str) -> None:
    """A signed event reaches the handlers of its type and of all types, with a client (R44)."""
    one, every, other = Handled(), Handled(), Handled()
    async with make_wix(fake, storage=storage) as wix:
        await install(wix, fake)
        wix.on(CONTACT)(one)
        wix.on("*")(every)
        wix.on("AppRemoved")(other)
        answer = await deliver(
            fake, WixMiddleware(make_app(), wix), fake.make_event(CONTACT, SITE, {"id": "c-1"})
        )
        await one.has_been_called()
        await every.has_been_called()
        (event,) = one.events
        called = (await event.client.get("/echo")).status_code
        await settled(wix)

    assert (200, b"") == (answer.status_code, answer.content)
    assert [event.id] == [each.id for each in every.events]
    assert (CONTACT, SITE, {"id": "c-1"}, 1) == (
        event.event_type,
        event.instance_id,
        event.data,
        event.attempt,
    )
    assert 200 == called
    assert [] == other.events


async def test_fifty_copies_are_run_once(fake: FakeWix, storage: str) -> None:
    """Of 50 copies at once and one after the run, one is handled, and none is refused (R43)."""
    handled = Handled()
    async with make_wix(fake, storage=storage) as wix:
        wix.on(CONTACT)(handled)
        app = WixMiddleware(make_app(), wix)
        event = fake.make_event(CONTACT, SITE, {"id": "c-1"})
        answers = await fake.deliver_copies(app, event, 50)
        await handled.has_been_called()
        late = await deliver(fake, app, event)
        await settled(wix)

    assert {answer.status_code for answer in answers} <= {200, 503}
    assert 200 == late.status_code
    assert 1 == len(handled.events)


async def test_two_processes_share_the_events(
    fake: FakeWix, tmp_path: Path, postgres_url: str
) -> None:
    """An event that one process keeps and a second gets again is handled by one of them (R43)."""
    for url in (f"sqlite:///{tmp_path}/wix-asgi.db", postgres_url):
        handled = Handled()
        async with make_wix(fake, storage=url) as first, make_wix(fake, storage=url) as second:
            apps = []
            for wix in (first, second):
                wix.on(CONTACT)(handled)
                apps.append(WixMiddleware(make_app(), wix))
            event = fake.make_event(CONTACT, SITE, {"id": "c-1"})
            async with anyio.create_task_group() as group:
                for app in apps * 5:
                    group.start_soon(deliver, fake, app, event)
            await handled.has_been_called()
            await settled(first)

        assert 1 == len(handled.events)


async def test_a_handler_that_raises_is_called_again(fake: FakeWix) -> None:
    """A handler's error is no concern of Wix's: the event is kept, and tried again (R44)."""
    handled = Handled()
    handled.failures = 1
    async with make_wix(fake) as wix:
        wix.on(CONTACT, max_attempts=1)(handled)
        answer = await deliver(
            fake, WixMiddleware(make_app(), wix), fake.make_event(CONTACT, SITE, {})
        )
        await handled.has_been_called()
        await settled(wix)

    assert 200 == answer.status_code
    assert 1 == len(handled.events)


async def test_the_store_of_another_process(fake: FakeWix, tmp_path: Path) -> None:
    """With `webhooks="store"` a web process keeps any event, and a worker of its own runs it."""
    url = f"sqlite:///{tmp_path}/wix-asgi.db"
    handled = Handled()
    async with make_wix(fake, storage=url, webhooks="store") as web:
        answer = await deliver(
            fake, WixMiddleware(make_app(), web), fake.make_event(CONTACT, SITE, {})
        )
    async with make_wix(fake, storage=url) as wix, anyio.create_task_group() as group:
        wix.on(CONTACT)(handled)
        group.start_soon(wix.work_events)
        await handled.has_been_called()
        group.cancel_scope.cancel()

    assert 200 == answer.status_code
    assert 1 == len(handled.events)


async def test_an_app_without_a_lifespan_runs_events(fake: FakeWix) -> None:
    """Where a server has no lifespan the first event opens the storage and starts the worker."""
    handled = Handled()
    wix = make_wix(fake)
    wix.on(CONTACT)(handled)
    answer = await deliver(fake, WixMiddleware(make_app(), wix), fake.make_event(CONTACT, SITE, {}))
    await handled.has_been_called()
    await settled(wix)

    assert 200 == answer.status_code
    assert not wix.is_open


async def test_forgeries_and_unknown_types_run_nothing(fake: FakeWix) -> None:
    """A forgery is 401, and a type without a handler 200; neither is in the inbox (R42, R55)."""
    handled = Handled()
    async with make_wix(fake) as wix:
        wix.on(CONTACT)(handled)
        app = WixMiddleware(make_app(), wix)
        unknown = await deliver(
            fake, app, fake.make_event("wix.stores.v1.product_changed", SITE, {})
        )
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=PUBLIC_URL
        ) as http:
            forged = await http.post("/wix/webhook", content=b"e30.e30.e30")
        left = await waiting(wix)

    assert (200, 401) == (unknown.status_code, forged.status_code)
    assert 0 == left
    assert [] == handled.events


def wrapped(app: ASGIApp, wix: Wix) -> ASGIApp:
    """Wrap any app."""
    return WixMiddleware(app, wix)


def added(app: Any, wix: Wix) -> ASGIApp:
    """Add the middleware to the app."""
    app.add_middleware(WixMiddleware, wix)
    with_wix: ASGIApp = app
    return with_wix


def mounted(app: ASGIApp, wix: Wix) -> ASGIApp:
    """Mount the app with its middleware below another app, whose lifespan does not reach it."""
    return Starlette(routes=[Mount("/sub", app=WixMiddleware(app, wix))])


WAYS: dict[str, tuple[Callable[..., Any], Callable[[Any, Wix], ASGIApp], str]] = {
    "FastAPI": (FastAPI, added, ""),
    "Starlette": (Starlette, added, ""),
    "any": (make_app, wrapped, ""),
    "mounted": (make_app, mounted, "/sub"),
    "mounted FastAPI": (FastAPI, mounted, "/sub"),
}


@pytest.mark.parametrize(("make", "wrap", "mount"), WAYS.values(), ids=WAYS)
def test_frameworks(
    fake: FakeWix,
    make: Callable[..., Any],
    wrap: Callable[[Any, Wix], ASGIApp],
    mount: str,
) -> None:
    """In every framework, mounted or not, an event is answered and then handled."""
    handled = Handled()
    wix = make_wix(fake, public_url=PUBLIC_URL + mount)
    wix.on(CONTACT)(handled)
    event = fake.make_event(CONTACT, SITE, {"id": "c-1"})
    with TestClient(wrap(make(), wix), base_url=PUBLIC_URL) as client:
        answer = client.post(f"{mount}/wix/webhook", content=event.token)
        while answer.status_code == 503:
            answer = client.post(f"{mount}/wix/webhook", content=event.token)
        assert client.portal is not None
        client.portal.call(handled.has_been_called)
        client.portal.call(settled, wix)

    assert 200 == answer.status_code
    assert ["c-1"] == [each.data["id"] for each in handled.events]
