"""The end of a worker: no event more, time for running handlers, and the rest is given back."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.support import SlowHook
from tests.webhooks.working import Working, jumping, working
from wix_asgi.events import WebhookEvent
from wix_asgi.models import EventState
from wix_asgi.webhooks.policy import WebhookPolicy
from wix_asgi.webhooks.worker import EventWorker

IMPATIENT = WebhookPolicy(shutdown_grace=0.01)


@contextlib.asynccontextmanager
async def stopping(worker: EventWorker) -> Any:
    """Stop the worker beside a block."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.stop)
        yield


async def test_a_running_handler_may_end() -> None:
    """A stop waits for it, and takes nothing more meanwhile."""
    go_on = anyio.Event()
    async with working(concurrency=1) as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.attempt)
            await go_on.wait()

        await app.add(times=2)
        worker.start()
        await app.until(lambda: bool(app.calls))
        async with stopping(worker):
            await checkpoint()
            worker.wake()
            go_on.set()
        states = sorted(kept.record.state for kept in await app.kept())

    assert [EventState.DONE, EventState.WAITING] == states
    assert [1] == app.calls


async def test_a_handler_that_outlives_the_grace_is_cancelled_and_its_event_given_back() -> None:
    """It is due at once, its attempt is not counted, and returned handlers stay returned."""
    async with working(IMPATIENT) as (app, worker):

        @app.on()
        async def first(event: WebhookEvent) -> None: ...

        @app.on()
        async def second(event: WebhookEvent) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                app.calls.append("cancelled")

        await app.add()
        worker.start()
        await app.until_step("renew")
        await worker.stop()
        record = await app.only()
        outcomes = await app.outcomes()

    assert ["cancelled"] == app.calls
    assert (EventState.WAITING, 0, False) == (record.state, record.attempts, record.is_taken)
    assert record.due_in <= 0
    assert {"first": "returned"} == outcomes


async def test_the_handler_after_one_that_was_cancelled_does_not_begin() -> None:
    """A handler that swallows its cancellation has returned; the next one is another process's."""
    async with working(IMPATIENT) as (app, worker):

        @app.on()
        async def first(event: WebhookEvent) -> None:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                app.calls.append("swallowed")

        app.on()(app.calls.append)
        await app.add()
        worker.start()
        await app.until_step("take")
        await anyio.wait_all_tasks_blocked()
        await worker.stop()
        record = await app.only()

    assert ["swallowed"] == app.calls
    assert (EventState.WAITING, 0) == (record.state, record.attempts)


async def test_an_event_whose_thread_goes_on_is_due_when_its_lease_would_end() -> None:
    """Nobody begins beside it before the process has had the time to end."""
    slow = SlowHook()
    async with working(IMPATIENT) as (app, worker):
        app.on()(slow)
        await app.add()
        worker.start()
        await slow.has_begun()
        await worker.stop()
        record = await app.only()
        slow.told.set()

    assert (EventState.WAITING, 0, False) == (record.state, record.attempts, record.is_taken)
    assert 10 < record.due_in <= 20


async def test_a_handler_that_ignores_the_shutdown_does_not_hold_it_up() -> None:
    """Its event comes back when the lease ends."""
    go_on = anyio.Event()
    policy = WebhookPolicy(shutdown_grace=0.01, shutdown_cleanup=0.01)
    async with working(policy) as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.attempt)
            with anyio.CancelScope(shield=True):
                await go_on.wait()

        await app.add()
        worker.start()
        await app.until(lambda: bool(app.calls))
        await worker.stop()
        record = await app.only()
        go_on.set()

    assert (EventState.WAITING, 1, True) == (record.state, record.attempts, record.is_taken)


async def test_events_that_come_with_the_shutdown_are_given_back() -> None:
    """The storage was being asked when it began: no handler is called."""
    async with working() as (app, worker):
        app.on()(app.calls.append)
        asked, go_on = anyio.Event(), anyio.Event()

        async def hold() -> None:
            asked.set()
            await go_on.wait()

        app.storage.before["take"] = hold
        await app.add()
        worker.start()
        await asked.wait()
        async with stopping(worker):
            await checkpoint()
            go_on.set()
        record = await app.only()

    assert [] == app.calls
    assert (EventState.WAITING, 0, False) == (record.state, record.attempts, record.is_taken)


async def test_an_event_between_two_handlers_is_given_back() -> None:
    """The grace is over while the outcome of the first one is noted."""
    async with working(IMPATIENT) as (app, worker):

        @app.on()
        async def first(event: WebhookEvent) -> None:
            app.calls.append("first")

        @app.on()
        async def second(event: WebhookEvent) -> None:
            app.calls.append("second")

        noting, go_on = anyio.Event(), anyio.Event()

        async def hold() -> None:
            noting.set()
            await go_on.wait()

        app.storage.before["renew"] = hold
        await app.add()
        worker.start()
        await noting.wait()
        async with stopping(worker):
            await anyio.sleep(0.1)
            go_on.set()
        record = await app.only()

    assert ["first"] == app.calls
    assert (EventState.WAITING, 0) == (record.state, record.attempts)


async def test_a_worker_that_was_stopped_may_start_again() -> None:
    """A wake does not do that: the storage is closed."""
    async with working() as (app, worker):
        app.on()(app.calls.append)
        worker.start()
        await app.until_step("take")
        await worker.stop()
        await app.add()
        worker.wake()
        await anyio.wait_all_tasks_blocked()
        before = len(app.calls)
        worker.start()
        await app.until_over()

    assert (0, 1) == (before, len(app.calls))


async def test_a_worker_that_never_started_stops_at_once() -> None:
    """A job may not have had an event."""
    async with working() as (app, worker):
        await worker.stop()

    assert [] == app.storage.steps


async def test_run_takes_events_until_it_is_cancelled() -> None:
    """Then it stops as a shutdown does: its running handler ends, its events are given back."""
    async with working(IMPATIENT) as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.attempt)
            await anyio.sleep_forever()

        await app.add()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await app.until(lambda: bool(app.calls))
            tasks.cancel_scope.cancel()
        record = await app.only()

    assert (EventState.WAITING, 0, False) == (record.state, record.attempts, record.is_taken)


async def test_two_runs_in_one_process_are_refused() -> None:
    """It would not take more at once; the error says how to."""
    async with working() as (app, worker):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await app.until_step("take")
            with pytest.raises(RuntimeError, match="webhook_concurrency"):
                await worker.run()
            tasks.cancel_scope.cancel()
        with anyio.move_on_after(0):
            await worker.run()

    assert app.storage.steps


def test_a_worker_of_another_event_loop_is_asked_to_stop() -> None:
    """Only its own loop can wait for its handlers."""
    begun, over = threading.Event(), threading.Event()
    apps: list[tuple[Working, EventWorker]] = []

    async def other_loop() -> None:
        app = Working()
        worker = app.worker()
        apps.append((app, worker))
        worker.start()
        await app.until_step("take")
        begun.set()
        await anyio.to_thread.run_sync(over.wait, PATIENCE)
        taken = len(app.storage.steps)
        app.on()(app.calls.append)
        await app.add()
        worker.wake()
        await anyio.wait_all_tasks_blocked()
        app.calls.append(len(app.storage.steps) - taken)

    thread = threading.Thread(target=anyio.run, args=(other_loop,))
    thread.start()
    assert begun.wait(PATIENCE)
    app, worker = apps[0]
    anyio.run(worker.stop)
    over.set()
    thread.join(PATIENCE)

    assert [0] == app.calls


@pytest.mark.parametrize("anyio_backend", [jumping()], ids=["jumping"])
async def test_a_storage_that_is_down_does_not_hold_up_the_shutdown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It ends after its bounds; the events come back when their leases end."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.storage.fail("take", "renew", "postpone", "finish")

        await app.add()
        worker.start()
        await app.until_step("finish")
        begun_at = anyio.current_time()
        with caplog.at_level(logging.ERROR):
            await worker.stop()
        lasted = anyio.current_time() - begun_at
        await anyio.wait_all_tasks_blocked()
        app.storage.heal()

    assert pytest.approx(8 + 5) == lasted
    assert [] == caplog.messages
