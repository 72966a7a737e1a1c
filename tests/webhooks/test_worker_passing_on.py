"""Events that the process which takes them has no handler for: another process has."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.webhooks.working import Working, jumping, working
from wix_asgi.events import WebhookEvent
from wix_asgi.models import EventState
from wix_asgi.webhooks.handlers import Handlers
from wix_asgi.webhooks.policy import WebhookPolicy

HOUR = 3600.0
TYPE = "wix.shop.v1.sale"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on a clock that jumps to the next moment at which there is work to do."""
    return jumping()


@asynccontextmanager
async def another_process(app: Working, handlers: Handlers) -> AsyncIterator[None]:
    """Take events in a process with handlers of its own."""
    own, app.handlers = app.handlers, handlers
    worker = app.worker()
    app.handlers = own
    worker.start()
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await worker.stop()


def test_pauses_of_events_without_a_handler_cover_a_day() -> None:
    """They grow up to an hour, so that such events take few looks."""
    policy = WebhookPolicy()
    pauses = [policy.pause_after(passes, 0.5) for passes in range(1, policy.max_passes + 1)]

    assert [5, 10, 20] == pytest.approx(pauses[:3])
    assert pytest.approx(HOUR) == pauses[-1]
    assert 23 * HOUR < sum(pauses) < 25 * HOUR


async def test_an_event_is_handled_by_the_process_that_has_its_handler() -> None:
    """Though another one takes it first, and again; that costs it no attempt."""
    async with working() as (app, worker):
        app.on("another")(app.note)
        await app.add(TYPE)
        worker.start()
        await app.until_step("postpone", times=5)
        waiting = await app.only()
        theirs = Handlers()
        theirs.on(TYPE, max_attempts=1)(app.note)
        async with another_process(app, theirs):
            await app.until_over()
        record = await app.only()

    assert (0, None) == (waiting.attempts, waiting.failure)
    assert [1] == [event.attempt for event in app.calls]
    assert 1 == record.attempts


async def test_an_event_without_a_handler_is_not_prepared() -> None:
    """It costs the process that has none a look, and no unsealing."""
    async with working() as (app, worker):
        await app.add(TYPE)
        worker.start()
        await app.until_step("postpone")
    record = await app.only()

    assert [] == app.prepared
    assert pytest.approx(5, abs=1) == record.due_in


async def test_an_event_that_no_process_handles_ends_after_a_day(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One warning for each type says so; nothing of it is kept but its key."""
    async with working() as (app, worker):
        await app.add(TYPE, 2)
        begun_at = anyio.current_time()
        with caplog.at_level(logging.WARNING):
            worker.start()
            await app.until_over(times=2)
        lasted = anyio.current_time() - begun_at
        kept = await app.kept()
    told = [line for line in caplog.messages if "end without a handler" in line]

    assert 23 * HOUR < lasted < 26 * HOUR
    assert [(None, 1), (None, 1)] == [(each.record.payload, each.record.attempts) for each in kept]
    assert 1 == len(told)
    assert f'@wix.on("{TYPE}")' in told[0]


async def test_events_without_a_handler_never_fill_the_inbox(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where many events wait, they end at once."""
    async with working(WebhookPolicy(crowded=3)) as (app, worker):
        await app.add(TYPE, 3)
        with caplog.at_level(logging.WARNING):
            worker.start()
            await app.until_over()

    assert "end without a handler: the inbox is too full" in caplog.text


async def test_passed_on_events_leave_the_slots_to_others() -> None:
    """They are not due for a while, so that a single slot handles what comes after them."""
    async with working(concurrency=1) as (app, worker):
        app.on("AppRemoved")(app.note)
        await app.add(TYPE, 20)
        await app.add("AppRemoved")
        begun_at = anyio.current_time()
        worker.start()
        await app.until_over()
        lasted = anyio.current_time() - begun_at

    assert ["AppRemoved"] == [event.event_type for event in app.calls]
    assert lasted < WebhookPolicy().pass_pause


async def test_a_handler_that_failed_elsewhere_is_left_to_its_process() -> None:
    """The process whose handlers have all ended costs the event no attempt of that handler."""
    failures = [ValueError()] * 2

    async def theirs_fails(event: WebhookEvent) -> None:
        if failures:
            raise failures.pop()
        await app.note(event)

    async with working() as (app, worker):
        app.on(TYPE)(app.note)
        theirs = Handlers()
        theirs.on(TYPE)(app.note)
        theirs.on(TYPE, max_attempts=3)(theirs_fails)
        await app.add(TYPE)
        async with another_process(app, theirs):
            await app.until_step("postpone")
            worker.start()
            await app.until_over()
        outcomes = await app.outcomes()

    assert {"note": "returned", "theirs_fails": "returned"} == outcomes
    assert [1, 3] == [event.attempt for event in app.calls]


async def test_a_handler_that_failed_and_is_gone_leaves_a_dead_letter() -> None:
    """A deploy renamed it; the event does not come back for ever."""
    async with working() as (app, worker):

        async def old(event: WebhookEvent) -> None:
            raise ValueError

        theirs = Handlers()
        theirs.on(TYPE)(old)
        await app.add(TYPE)
        async with another_process(app, theirs):
            await app.until_step("postpone")
        app.on(TYPE)(app.note)
        worker.start()
        await app.until_over(EventState.DEAD)
        outcomes = await app.outcomes()

    assert {"old": "failed", "note": "returned"} == outcomes
    assert 1 == len(app.calls)
