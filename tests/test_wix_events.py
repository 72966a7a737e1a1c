"""Events with a whole Wix: where they are handled, from when on, and until when."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from tests.limits import PATIENCE
from tests.support import PUBLIC_URL, SITE, make_app, make_wix
from wix_asgi import SettingsError, Wix, WixMiddleware
from wix_asgi.events import WebhookEvent
from wix_asgi.models import EventState
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix._signal import Signal
from wix_asgi_backends.memory import MemoryStorage

TYPE = "wix.contacts.v4.contact_created"


class Calls:
    """Handlers, and the calls that they got."""

    def __init__(self) -> None:
        self.events: list[WebhookEvent] = []
        self.changed = Signal()

    async def handle(self, event: WebhookEvent) -> None:
        """Note an event."""
        self.events.append(event)
        self.changed.notify()

    async def until(self, times: int = 1) -> None:
        """Return once so many events have come."""
        with anyio.fail_after(PATIENCE):
            await self.changed.wait_until(lambda: len(self.events) >= times)


@pytest.fixture(name="calls")
def _calls() -> Calls:
    return Calls()


@pytest.fixture(name="storage")
def _storage() -> MemoryStorage:
    return MemoryStorage()


async def send(fake: FakeWix, wix: Wix, event_type: str = TYPE) -> int:
    """Send an event; return the status of the answer."""
    return (await fake.send_event(WixMiddleware(make_app(), wix), event_type, SITE)).status_code


def without_key(fake: FakeWix, **options: Any) -> Wix:
    """Return a Wix without a public key, as a process without HTTP may have one."""
    settings = {name: value for name, value in fake.settings().items() if name != "public_key"}
    return Wix(**{"public_url": PUBLIC_URL, "transport": fake.transport, **settings, **options})


async def states(storage: MemoryStorage, fake: FakeWix) -> list[EventState]:
    """Return the states of all events."""
    return [record.state for record in await storage.events(fake.app_id)]


async def test_an_event_is_handled_in_the_process_that_got_it(
    fake: FakeWix, calls: Calls, storage: MemoryStorage
) -> None:
    """The first event starts the worker where there is no lifespan; the client is the site's."""
    wix = make_wix(fake, storage=storage)
    wix.on(TYPE)(calls.handle)
    status = await send(fake, wix)
    await calls.until()
    await wix.aclose()

    (event,) = calls.events
    assert 200 == status
    assert (TYPE, SITE, 1) == (event.event_type, event.instance_id, event.attempt)
    assert event.client.identity is not None
    assert SITE == event.client.identity.instance_id
    assert [EventState.DONE] == await states(storage, fake)


async def test_a_handler_that_is_registered_after_the_start_gets_events(
    fake: FakeWix, calls: Calls
) -> None:
    """An app may register its handlers in its own lifespan."""
    async with make_wix(fake) as wix:
        wix.on(TYPE)(calls.handle)
        await send(fake, wix)
        await calls.until()

    assert 1 == len(calls.events)


async def test_store_takes_nothing_until_it_is_asked_to(
    fake: FakeWix, calls: Calls, storage: MemoryStorage
) -> None:
    """A web process only keeps; `work_events` of another process handles, without a public key."""
    async with make_wix(fake, storage=storage, webhooks="store") as web:
        web.on(TYPE)(calls.handle)
        await send(fake, web)
        await anyio.wait_all_tasks_blocked()
        in_web = len(calls.events)
        worker = without_key(fake, storage=storage, webhooks="store")
        async with worker, anyio.create_task_group() as tasks:
            worker.on(TYPE)(calls.handle)
            tasks.start_soon(worker.work_events)
            await calls.until()
            tasks.cancel_scope.cancel()

    assert (0, 1) == (in_web, len(calls.events))


async def test_a_job_without_handlers_ends_no_event_unhandled(
    fake: FakeWix, calls: Calls, storage: MemoryStorage
) -> None:
    """A cron job or a console has the environment of the app, and its public key."""
    async with make_wix(fake, storage=storage, webhooks="store") as web:
        await send(fake, web)
    async with make_wix(fake, storage=storage):
        await anyio.wait_all_tasks_blocked()
    waiting = await states(storage, fake)
    wix = make_wix(fake, storage=storage)
    wix.on(TYPE)(calls.handle)
    async with wix:
        await calls.until()

    assert [EventState.WAITING] == waiting


async def test_work_events_works_on_where_the_worker_runs_already(
    fake: FakeWix, calls: Calls
) -> None:
    """A process that opens its Wix with handlers has begun to work."""
    wix = make_wix(fake)
    wix.on(TYPE)(calls.handle)
    async with wix, anyio.create_task_group() as tasks:
        tasks.start_soon(wix.work_events)
        await send(fake, wix)
        await calls.until()
        with pytest.raises(RuntimeError, match="in this process already"):
            await wix.work_events()
        tasks.cancel_scope.cancel()

    assert 1 == len(calls.events)


class WithoutInbox(MemoryStorage):
    """A third party's storage without an inbox."""

    add_event = None  # type: ignore[assignment] # as if it were not there


async def test_a_storage_without_an_inbox_handles_nothing(fake: FakeWix, calls: Calls) -> None:
    """`work_events` says so; all else works."""
    async with without_key(fake, storage=WithoutInbox()) as wix:
        wix.on(TYPE)(calls.handle)
        with pytest.raises(SettingsError, match="WithoutInbox keeps no events"):
            await wix.work_events()


async def test_handlers_end_before_the_apps_own_shutdown(
    fake: FakeWix, storage: MemoryStorage
) -> None:
    """A handler uses the app's database, which the app closes in its lifespan."""
    steps: list[str] = []
    begun, go_on, shut = anyio.Event(), anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        steps.append("the app shuts down")
        await send({"type": "lifespan.shutdown.complete"})

    wix = make_wix(fake, storage=storage)

    @wix.on(TYPE)
    async def handle(event: WebhookEvent) -> None:
        begun.set()
        await go_on.wait()
        steps.append("the handler ends")

    messages = ["lifespan.startup", "lifespan.shutdown"]

    async def receive() -> Any:
        if len(messages) == 1:
            await shut.wait()
        return {"type": messages.pop(0)}

    async def answered(_: Any) -> None: ...

    middleware = WixMiddleware(app, wix)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(middleware, {"type": "lifespan"}, receive, answered)
        await fake.send_event(middleware, TYPE, SITE)
        await begun.wait()
        shut.set()
        await anyio.wait_all_tasks_blocked()
        before = list(steps)
        go_on.set()

    assert [] == before
    assert ["the handler ends", "the app shuts down"] == steps
    assert [EventState.DONE] == await states(storage, fake)


async def test_a_handler_may_call_wix_while_the_app_closes(fake: FakeWix) -> None:
    """Its client still works: the storage and the connections close after it."""
    fake.mark_installed(SITE)
    begun, go_on = anyio.Event(), anyio.Event()
    answers = []
    wix = make_wix(fake, flow="client_credentials")

    @wix.on(TYPE)
    async def handle(event: WebhookEvent) -> None:
        begun.set()
        await go_on.wait()
        answers.append((await event.client.get("/echo")).status_code)

    await send(fake, wix)
    with anyio.fail_after(PATIENCE):
        await begun.wait()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wix.aclose)
        await anyio.wait_all_tasks_blocked()
        go_on.set()

    assert [200] == answers


def test_handlers_are_registered_where_no_event_loop_runs(fake: FakeWix) -> None:
    """As a module of the app is imported in a thread while the app is open."""
    wix = make_wix(fake)

    async def serve() -> None:
        async with wix:
            thread = threading.Thread(target=lambda: wix.on(TYPE)(print))
            thread.start()
            await anyio.to_thread.run_sync(thread.join)

    anyio.run(serve)

    assert 1 == len(wix._handlers.of(TYPE))
