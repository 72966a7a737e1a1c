"""When a worker looks for events: woken for its own, and by a poll for those of others."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from typing import Any

import anyio
import pytest

from tests.limits import PATIENCE
from tests.webhooks.working import EventSteps, Working, jumping, working
from wix_asgi.events import WebhookEvent
from wix_asgi.webhooks.policy import WebhookPolicy
from wix_asgi.webhooks.worker import EventWorker


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on a clock that jumps to the next moment at which there is work to do."""
    return jumping()


def looks(app: Working) -> int:
    """Return how often the storage was asked for events."""
    return sum(step.startswith("take") for step in app.storage.steps)


async def test_an_event_of_this_process_is_handled_at_once() -> None:
    """The poll is not waited for."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None: ...

        worker.start()
        await anyio.sleep(300)
        await app.add()
        added_at = anyio.current_time()
        worker.wake()
        await app.until_over()

    assert pytest.approx(0, abs=0.1) == app.clock() - added_at


async def test_a_thread_without_an_event_loop_wakes_the_worker() -> None:
    """The poll is not waited for: a thread of an app may register a handler."""
    async with working() as (app, worker):
        app.on()(app.note)
        worker.start()
        await anyio.sleep(300)
        await app.add()
        added_at = anyio.current_time()
        thread = threading.Thread(target=worker.wake)
        thread.start()
        thread.join(PATIENCE)
        await app.until_over()

    assert pytest.approx(0, abs=0.1) == app.clock() - added_at


def test_a_wake_where_no_event_loop_runs_begins_nothing() -> None:
    """A program may register a handler once its event loop is over."""
    apps: list[tuple[Working, EventWorker]] = []

    async def loop_that_ends() -> None:
        app = Working()
        worker = app.worker()
        apps.append((app, worker))
        worker.start()
        await app.until_step("take")

    anyio.run(loop_that_ends)
    app, worker = apps[0]
    before = list(app.storage.steps)
    worker.wake()

    assert before == app.storage.steps


async def test_looks_for_events_of_others_become_rarer() -> None:
    """From half a second to ten seconds; an event that is found begins anew."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None: ...

        worker.start()
        await anyio.sleep(20)
        first = looks(app)
        await anyio.sleep(1000)
        in_quiet = looks(app) - first
        await app.add()
        await app.until_over()
        before = looks(app)
        await anyio.sleep(2)
        after = looks(app) - before

    assert 5 <= first <= 8
    assert 95 <= in_quiet <= 105
    assert 2 <= after <= 4


async def test_polls_of_many_processes_do_not_fall_together() -> None:
    """Each pause varies by a half."""
    async with working(jitter=lambda: 1.0) as (app, worker):
        app.on()(app.note)
        worker.start()
        await anyio.sleep(3000)

    assert 195 <= looks(app) <= 215


async def test_without_a_handler_there_is_no_poll() -> None:
    """It looks at its start, and once more when the lease of a killed process has ended."""
    async with working() as (app, worker):
        worker.start()
        await anyio.sleep(86_400)
        before = looks(app)
        await app.add()
        worker.wake()
        await app.until_over()

    assert 2 == before
    assert 1 == len(app.prepared)


async def test_a_storage_that_fails_is_told_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The worker goes on looking, also where nothing is registered."""
    async with working() as (app, worker):
        app.storage.fail("take")
        await app.add()
        with caplog.at_level(logging.WARNING):
            worker.start()
            await anyio.sleep(59)
            told = list(caplog.messages)
            app.storage.heal()
            await app.until_over()

    assert ["no events can be taken from the inbox: The test database is down."] == told


async def test_an_error_of_a_backend_does_not_end_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told with its traceback."""
    async with working() as (app, worker):
        app.on()(app.note)
        app.storage.fail("take", error=ZeroDivisionError())
        await app.add()
        with caplog.at_level(logging.ERROR):
            worker.start()
            await app.until_step("take", 2)
            app.storage.heal()
            await app.until_over()

    assert ["no events can be taken from the inbox: ZeroDivisionError"] == caplog.messages


async def test_the_worker_waits_until_the_app_is_open() -> None:
    """A storage that cannot be opened is one that fails."""
    failures = [OSError(), OSError()]

    async def ready() -> None:
        if failures:
            raise failures.pop()

    async with working(ready=ready) as (app, worker):
        app.on()(app.note)
        await app.add()
        worker.start()
        await app.until_over()

    assert 1 == len(app.calls)


async def test_a_second_start_changes_nothing() -> None:
    """There is one worker in a process."""
    async with working() as (app, worker):
        worker.start()
        worker.start()
        await anyio.sleep(5)

    assert 1 == looks(app)


def test_a_wake_without_an_event_loop_does_nothing() -> None:
    """A handler is registered while no loop runs."""
    steps = EventSteps(lambda: 0.0)

    async def make() -> Any:
        return Working(steps).worker()

    worker = asyncio.run(make())
    worker.wake()

    assert [] == steps.steps


def test_the_next_event_loop_takes_over_from_one_that_is_over() -> None:
    """Servers without a lifespan may run each request on a loop of its own."""
    held: list[Any] = []

    async def begin() -> None:
        app = Working()
        worker = app.worker(clock=time.monotonic)
        held[:] = [app, worker]
        worker.wake()
        await app.until_step("take")

    async def go_on() -> None:
        app, worker = held
        before = looks(app)
        worker.wake()
        await app.until_step("take", before + 1)
        await worker.stop()

    asyncio.run(begin())
    before = looks(held[0])
    asyncio.run(go_on())

    assert before < looks(held[0])


def test_events_of_other_threads_wake_the_one_worker() -> None:
    """`concurrency` is a number of the process, whichever loop an event came to."""
    begun, over = threading.Event(), threading.Event()
    held: list[Any] = []

    async def working_loop() -> None:
        app = Working(policy=WebhookPolicy(poll_pause=PATIENCE, max_poll_pause=PATIENCE))
        worker = app.worker()
        held[:] = [app, worker]

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(threading.get_ident())

        worker.start()
        await app.until_step("take")
        begun.set()
        await app.until_over()
        await worker.stop()
        over.set()

    async def other_loop() -> None:
        app, worker = held
        await app.add()
        worker.wake()

    thread = threading.Thread(target=anyio.run, args=(working_loop,))
    thread.start()
    assert begun.wait(PATIENCE)
    anyio.run(other_loop)
    assert over.wait(PATIENCE)
    thread.join(PATIENCE)

    assert [thread.ident] == held[0].calls


def test_a_forked_process_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop that it has from its parent runs there, and not here (gunicorn --preload)."""

    async def fork() -> tuple[int, int]:
        app = Working()
        worker = app.worker()
        worker.start()
        await app.until_step("take")
        parent = len(app.storage.steps)
        pid = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        worker.wake()
        await app.until_step("take", 2)
        await worker.stop()
        return parent, len(app.storage.steps)

    parent, child = asyncio.run(fork())

    assert parent < child
