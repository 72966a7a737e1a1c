"""Leases of events: renewed while a handler runs, or lost. Time is a program's here."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tests.webhooks.working import APP, Working, jumping, working
from wix_asgi.errors import StorageUnavailable
from wix_asgi.events import WebhookEvent
from wix_asgi.models import EventState
from wix_asgi.reporting.line_limit import LineLimit
from wix_asgi.webhooks._event_lease import EventLease


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on a clock that jumps to the next moment at which there is work to do."""
    return jumping()


async def test_a_lease_is_renewed_for_as_long_as_a_handler_runs() -> None:
    """Another process that looks all the time never gets the event."""
    async with working() as (app, worker):

        @app.on(handler_timeout=600)
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.attempt)
            await anyio.sleep(590)

        await app.add()
        other = app.worker()
        worker.start()
        await app.until_step("take")
        other.start()
        await app.until_over()
        await other.stop()

    assert [1] == app.calls
    assert 590 * 3 / 20 <= app.storage.steps.count("renew") + 1 <= 590 * 6 / 20


async def test_a_handler_is_cancelled_before_its_lease_ends() -> None:
    """Where the storage fails: fifteen of twenty seconds after the latest renewal began."""
    lasted = []
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            if event.attempt > 1:
                return
            begun_at = anyio.current_time()
            app.storage.fail("take", "renew", "finish", "postpone")
            try:
                await anyio.sleep(300)
            finally:
                lasted.append(anyio.current_time() - begun_at)
                app.storage.heal()

        await app.add()
        worker.start()
        await app.until_over()
        record = await app.only()

    assert pytest.approx([15]) == lasted
    assert 2 == record.attempts
    assert "postpone" not in app.storage.steps


async def test_a_lost_lease_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """An operator has dropped the event meanwhile: its handler is cancelled at the next renewal."""
    lasted = []
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            begun_at = anyio.current_time()
            (kept,) = await app.kept()
            assert await app.inbox.drop(kept, keep=60)
            try:
                await anyio.sleep(300)
            finally:
                lasted.append(anyio.current_time() - begun_at)

        await app.add()
        with caplog.at_level(logging.WARNING):
            worker.start()
            await app.until(lambda: bool(lasted))

    assert pytest.approx([20 / 3]) == lasted
    assert ["lease of event AppRemoved", "was lost"] == [
        words for words in ("lease of event AppRemoved", "was lost") if words in caplog.text
    ]
    assert not {"finish", "postpone"} & set(app.storage.steps)


async def test_a_renewal_that_fails_once_costs_nothing() -> None:
    """The next one is still in time."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.attempt)
            app.storage.fail("renew")
            await anyio.sleep(7)
            app.storage.heal()
            await anyio.sleep(60)

        await app.add()
        worker.start()
        await app.until_over()

    assert [1] == app.calls


async def test_failed_renewals_are_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Of all events together, since any number may be under way."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            if event.attempt == 1:
                app.storage.fail("renew")
                await anyio.sleep(300)

        await app.add(times=4)
        with caplog.at_level(logging.WARNING):
            worker.start()
            await app.until_over(times=4)
    told = [line for line in caplog.messages if "could not be renewed" in line]

    assert 1 == len(told)
    assert told[0].endswith("could not be renewed: StorageUnavailable")


async def test_the_end_of_a_handler_that_returned_is_noted_when_the_storage_is_back() -> None:
    """An outage that began meanwhile has nobody handle the event again."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.attempt)
            app.storage.fail("take", "renew", "finish")

        await app.add()
        worker.start()
        await app.until_step("finish", 100)
        app.storage.heal()
        await app.until_over()

    assert [1] == app.calls


async def test_a_lease_is_renewed_while_the_storage_fails_to_note_the_end_of_an_event() -> None:
    """Also where no handler was called for it, since it cannot be read."""
    async with working() as (app, worker):
        app.on()(app.note)
        await app.add()
        record = await app.only()
        await app.storage.reseal_event(
            APP, record.event_id, b"changed", expected=record.payload or b""
        )
        app.storage.fail("finish")
        worker.start()
        await app.until_step("renew", 2)
        app.storage.heal()
        await app.until_over(EventState.DEAD)
        record = await app.only()

    assert [] == app.calls
    assert 1 == record.attempts


async def test_an_end_after_the_lease_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Another process has taken the event meanwhile, and its word counts."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.attempt)
            if event.attempt == 1:
                (kept,) = await app.kept()
                await app.inbox.drop(kept, keep=60)

        await app.add()
        with caplog.at_level(logging.WARNING):
            worker.start()
            await app.until_step("finish")
            await anyio.sleep(1)

    assert "ended here after its lease" in caplog.text
    assert [1] == app.calls


async def test_outcomes_are_noted_by_the_next_renewal_where_the_first_one_fails() -> None:
    """The next handler begins all the same."""
    async with working() as (app, worker):

        @app.on()
        async def first(event: WebhookEvent) -> None:
            app.storage.fail("renew")

        @app.on()
        async def second(event: WebhookEvent) -> None:
            before = await app.outcomes()
            app.storage.heal()
            await anyio.sleep(7)
            app.calls.append((before, await app.outcomes()))

        await app.add()
        worker.start()
        await app.until_over()

    assert [({}, {"first": "returned"})] == app.calls


async def test_a_renewal_after_the_end_asks_nothing() -> None:
    """A renewal that waited for its turn would write outcomes of before."""
    app = Working()
    await app.add()
    (kept,) = await app.inbox.take("owner", limit=1, lease=app.policy.lease)
    lease = EventLease(
        app.inbox,
        kept,
        "owner",
        asked_at=app.clock(),
        policy=app.policy,
        lines=LineLimit(60),
        clock=app.clock,
    )
    await lease.end(lambda inbox, kept, owner: inbox.finish(kept, owner, keep=60, outcomes=""))
    await lease.renew()

    assert ["take 1", "finish"] == app.storage.steps


async def test_events_that_a_failed_question_has_taken_are_handled() -> None:
    """The same name asks again, and gets them without another attempt counted."""
    async with working() as (app, worker):
        app.on()(app.note)
        await app.add()

        async def take_and_fail() -> None:
            app.storage.heal()
            (owner,) = [worker._taking._owner] if worker._taking else []
            await app.inbox.take(owner, limit=4, lease=20)
            raise StorageUnavailable("The connection was lost.")

        app.storage.before["take"] = take_and_fail
        worker.start()
        await app.until_over()
        record = await app.only()

    assert [1] == [event.attempt for event in app.calls]
    assert 1 == record.attempts


async def test_a_handler_is_cancelled_after_its_time_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That is a failure, and the event comes back."""
    lasted = []
    async with working() as (app, worker):

        @app.on(handler_timeout=7, max_attempts=2)
        async def handle(event: WebhookEvent) -> None:
            begun_at = anyio.current_time()
            try:
                await anyio.sleep(60)
            finally:
                lasted.append(anyio.current_time() - begun_at)

        await app.add()
        with caplog.at_level(logging.WARNING):
            worker.start()
            await app.until_over(EventState.DEAD)
        record = await app.only()

    assert pytest.approx([7, 7]) == lasted
    assert "timed out with event AppRemoved" in caplog.text
    assert record.failure is not None
    assert record.failure.startswith("timed_out in ")


async def test_a_handler_that_goes_on_after_its_time_out_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It ignores its cancellation: its event is kept from others, and its slot taken."""
    async with working(concurrency=1) as (app, worker):

        @app.on("a", handler_timeout=7, max_attempts=1)
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.attempt)
            with anyio.CancelScope(shield=True):
                await anyio.sleep(100)

        app.on("b")(app.note)
        await app.add("a")
        await app.add("b")
        with caplog.at_level(logging.WARNING):
            worker.start()
            await app.until_step("renew", 10)
            before = len(app.calls)
            await app.until_over()

    assert 1 == before
    assert "is still running after its time-out of 7 s" in caplog.text


async def test_a_handler_that_never_ends_keeps_its_slot_and_not_its_event() -> None:
    """After a quarter of an hour more the event is tried again beside it."""
    never = anyio.Event()
    async with working(concurrency=1) as (app, worker):

        @app.on(handler_timeout=7)
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(anyio.current_time())
            if event.attempt == 1:
                with anyio.CancelScope(shield=True):
                    await never.wait()

        await app.add()
        worker.start()
        await app.until_step("postpone")
        other = app.worker(concurrency=1)
        other.start()
        await app.until_over()
        await other.stop()
        taken = [step for step in app.storage.steps if step.startswith("take")]
        never.set()

    assert pytest.approx(7 + 1 + 1000 + 10, abs=15) == app.calls[1] - app.calls[0]
    assert taken
