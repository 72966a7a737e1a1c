"""How handlers are called: in threads of their own, and without a request's variables."""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import Any

import anyio
import pytest

from tests.support import SlowHook
from tests.webhooks.working import working
from wix_asgi.events import WebhookEvent
from wix_asgi.models import EventState

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="none")


async def test_plain_handlers_leave_the_threads_of_the_app_alone() -> None:
    """They run in threads of their own number, and the event loop goes on."""
    limiter = anyio.to_thread.current_default_thread_limiter()
    slow = SlowHook()
    async with working() as (app, worker):
        app.on()(slow)
        await app.add(times=4)
        worker.start()
        await slow.has_begun(4)
        borrowed = limiter.borrowed_tokens
        slow.told.set()
        await app.until_over(times=4)

    # One is the test's own, which waits for the handlers.
    assert borrowed <= 1


async def test_a_plain_handler_goes_on_after_its_time_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A thread cannot be cancelled: it is told of as still running, and its end counts."""
    slow = SlowHook()
    async with working() as (app, worker):
        app.on(handler_timeout=0.3)(slow)
        await app.add()
        with caplog.at_level(logging.WARNING):
            worker.start()
            await slow.has_begun()
            while not caplog.messages:  # noqa: ASYNC110 - nothing else tells of a log line
                await anyio.sleep(0.001)
            slow.told.set()
            await app.until_over()
        record = await app.only()

    assert [True] == [
        "is still running after its time-out of 0.3 s" in line for line in caplog.messages
    ]
    assert (1, EventState.DONE) == (record.attempts, record.state)


async def test_handlers_know_no_variables_of_the_request_that_came_first() -> None:
    """A worker that a request starts lives longer than the request."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(VARIABLE.get())

        @app.on()
        def handle_in_thread(event: WebhookEvent) -> None:
            app.calls.append(VARIABLE.get())

        token = VARIABLE.set("the request's")
        await app.add()
        worker.wake()
        VARIABLE.reset(token)
        await app.until_over()

    assert ["none", "none"] == app.calls


async def test_handlers_may_take_no_argument_and_may_return_a_coroutine() -> None:
    """They are called as hooks are."""
    async with working() as (app, worker):
        threads: list[Any] = []

        @app.on()
        def nothing() -> None:
            threads.append(threading.get_ident())

        async def inner(event: WebhookEvent) -> None:
            threads.append(threading.get_ident())

        @app.on()
        def outer(event: WebhookEvent) -> object:
            return inner(event)

        await app.add()
        worker.start()
        await app.until_over()

    assert threading.get_ident() != threads[0]
    assert threading.get_ident() == threads[1]


async def test_each_handler_has_data_of_its_own() -> None:
    """A handler that changes the data changes them for no other."""
    async with working() as (app, worker):

        @app.on()
        async def change(event: WebhookEvent) -> None:
            event.data.clear()

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.data)

        await app.add()
        worker.start()
        await app.until_over()

    assert [{"number": 1}] == app.calls
