"""The worker: it takes due events, calls their handlers, and notes what became of each."""

from __future__ import annotations

import logging

import pytest
from anyio.lowlevel import checkpoint

from tests.support import SITE, SlowHook
from tests.webhooks.working import working
from wix_asgi.events import WebhookEvent
from wix_asgi.models import EventState
from wix_asgi.webhooks.policy import WebhookPolicy


async def test_an_event_is_handled_and_is_done() -> None:
    """Each handler of its type gets it once, prepared before; the payload is gone."""
    async with working() as (app, worker):

        @app.on("AppRemoved")
        async def first(event: WebhookEvent) -> None:
            app.calls.append(("first", event.data, len(app.prepared)))

        @app.on("*")
        def second(event: WebhookEvent) -> None:
            app.calls.append(("second", event.instance_id, event.attempt))

        @app.on("another")
        async def third(event: WebhookEvent) -> None:
            app.calls.append(("third",))

        await app.add("AppRemoved")
        worker.start()
        await app.until_over()
        record = await app.only()
        outcomes = await app.outcomes()

    assert [("first", {"number": 1}, 1), ("second", SITE, 1)] == app.calls
    assert (EventState.DONE, None, None, 1) == (
        record.state,
        record.payload,
        record.failure,
        record.attempts,
    )
    assert {"first": "returned", "second": "returned"} == outcomes


async def test_the_id_of_an_event_is_that_of_its_row() -> None:
    """By it handlers know an event that they get again, and operators the row."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(event.id)

        await app.add()
        worker.start()
        await app.until_over()
        record = await app.only()

    assert [record.event_id] == app.calls


async def test_an_event_that_one_handler_fails_is_not_handled_again_by_the_others() -> None:
    """Each handler has its own outcome; all get their call though one before them failed."""
    policy = WebhookPolicy(first_delay=0.01, max_delay=0.01)
    async with working(policy) as (app, worker):

        @app.on()
        async def failing(event: WebhookEvent) -> None:
            app.calls.append(f"failing {event.attempt}")
            if event.attempt < 3:
                raise ValueError

        @app.on()
        async def well(event: WebhookEvent) -> None:
            app.calls.append(f"well {event.attempt}")

        await app.add()
        worker.start()
        await app.until_over()
        record = await app.only()

    assert ["failing 1", "well 1", "failing 2", "failing 3"] == app.calls
    assert 3 == record.attempts
    assert 1 == len(app.prepared)


async def test_the_outcome_of_a_handler_is_noted_before_the_next_one_begins() -> None:
    """A process that is killed inside of the second one calls the first one never again."""
    seen = []
    async with working() as (app, worker):

        @app.on()
        async def first(event: WebhookEvent) -> None: ...

        @app.on()
        async def second(event: WebhookEvent) -> None:
            seen.append(await app.outcomes())

        await app.add()
        worker.start()
        await app.until_over()

    assert [{"first": "returned"}] == seen


async def test_an_event_after_its_last_attempt_is_a_dead_letter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It keeps its payload, and the log says so; handlers with more attempts go on before."""
    policy = WebhookPolicy(first_delay=0.01, max_delay=0.01)
    async with working(policy) as (app, worker):

        @app.on(max_attempts=2)
        async def hopeless(event: WebhookEvent) -> None:
            app.calls.append("hopeless")
            raise LookupError("no such thing")

        @app.on(max_attempts=3)
        async def stubborn(event: WebhookEvent) -> None:
            app.calls.append("stubborn")
            if event.attempt < 3:
                raise ValueError

        await app.add()
        with caplog.at_level(logging.WARNING):
            worker.start()
            await app.until_over(EventState.DEAD)
        record = await app.only()
        outcomes = await app.outcomes()

    assert ["hopeless", "stubborn"] * 2 + ["stubborn"] == app.calls
    assert {"hopeless": "given up", "stubborn": "returned"} == outcomes
    assert record.payload is not None
    assert record.expires_in is not None
    assert pytest.approx(30 * 86400, abs=60) == record.expires_in
    levels = [(each.levelno, "hopeless" in each.getMessage()) for each in caplog.records]
    assert [
        (logging.WARNING, True),
        (logging.WARNING, False),
        (logging.ERROR, True),
        (logging.WARNING, False),
    ] == levels
    assert "kept as a dead letter" in caplog.messages[2]


async def test_the_log_of_a_failure_names_the_event_and_shows_no_payload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has the traceback of the handler, the handler's name, type, id and site (R35)."""
    async with working() as (app, worker):

        @app.on()
        def failing(event: WebhookEvent) -> None:
            raise LookupError("no such thing")

        await app.add(data={"email": "person@example.com"})
        with caplog.at_level(logging.DEBUG):
            worker.start()
            await app.until_step("postpone")
        record = await app.only()
    (line,) = [each for each in caplog.records if each.levelno == logging.WARNING]

    assert f"event AppRemoved {record.event_id} of site {SITE}" in line.getMessage()
    assert "test_the_log_of_a_failure_names_the_event_and_shows_no_payload" in line.getMessage()
    assert "attempt 1 of 8" in line.getMessage()
    assert ("AppRemoved", record.event_id, SITE) == (
        getattr(line, "event_type", None),
        getattr(line, "event_id", None),
        getattr(line, "instance_id", None),
    )
    assert "LookupError: no such thing" in caplog.text
    assert 'raise LookupError("no such thing")' in caplog.text
    assert "person@example.com" not in caplog.text
    assert record.failure is not None
    assert record.failure.startswith("LookupError in ")


@pytest.mark.parametrize("kind", ["async", "plain"])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, BaseException])
async def test_no_error_of_a_handler_ends_the_worker(error: type[BaseException], kind: str) -> None:
    """A handler that ends the program fails like any other; the next event is handled."""
    async with working() as (app, worker):

        def end(event: WebhookEvent) -> None:
            raise error

        async def end_async(event: WebhookEvent) -> None:
            await checkpoint()
            raise error

        app.on("a")(end if kind == "plain" else end_async)
        app.on("b")(app.calls.append)
        await app.add("a")
        worker.start()
        await app.until_step("postpone")
        await app.add("b")
        worker.wake()
        await app.until_over()
        failures = [kept.record.failure for kept in await app.kept() if kept.record.failure]

    assert 1 == len(app.calls)
    assert [True] == [failure.startswith(error.__name__) for failure in failures]


async def test_prepared_events_need_no_handler(caplog: pytest.LogCaptureFixture) -> None:
    """Those of installs and uninstalls are done, and told of once a type."""
    async with working() as (app, worker):
        app.on("another")(app.calls.append)
        await app.add("AppRemoved", 2)
        with caplog.at_level(logging.INFO):
            worker.start()
            await app.until_over(times=2)

    assert ["events of type AppRemoved have no handler in this process"] == caplog.messages
    assert 2 == len(app.prepared)
    assert [] == app.calls


async def test_other_events_are_not_prepared() -> None:
    """Of all events only those of installs and uninstalls are, whoever handles them."""
    async with working() as (app, worker):
        app.on("*")(app.note)
        await app.add("AppRemoved")
        await app.add("another")
        worker.start()
        await app.until_over(times=2)

    assert ["AppRemoved"] == [signed.event_type for signed in app.prepared]
    assert 2 == len(app.calls)


async def test_no_more_events_are_taken_than_there_are_slots() -> None:
    """Other processes may have the rest; each free slot takes one more."""
    slow = SlowHook()
    async with working(concurrency=2) as (app, worker):
        app.on()(slow)
        await app.add(times=5)
        worker.start()
        await slow.has_begun(2)
        begun = len(slow.events)
        waiting = [kept for kept in await app.kept() if not kept.record.is_taken]
        slow.told.set()
        await app.until_over(times=5)

    assert (2, 3) == (begun, len(waiting))
    assert "take 2" == app.storage.steps[0]


async def test_two_workers_share_the_events() -> None:
    """Each event is handled once, by one of them."""
    async with working() as (app, worker):
        other = app.worker()

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            await checkpoint()
            app.calls.append(event.id)

        await app.add(times=20)
        worker.start()
        other.start()
        await app.until_over(times=20)
        await other.stop()

    assert 20 == len(app.calls) == len(set(app.calls))


async def test_measurements() -> None:
    """An observer gets how long each call took and how it ended; its errors harm nobody."""
    async with working() as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None: ...

        await app.add()
        worker.start()
        await app.until_over()
    (call,) = [each for each in app.measured if each[0] == "webhook.handler.seconds"]
    (wait,) = [each for each in app.measured if each[0] == "webhook.event.wait"]

    assert ("AppRemoved", "returned") == (call[2]["event_type"], call[2]["outcome"])
    assert {"event_type": "AppRemoved"} == wait[2]


async def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is told of once a minute."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with working(observer=fail) as (app, worker):
        app.on()(app.calls.append)
        await app.add(times=3)
        worker.start()
        await app.until_over(times=3)

    assert 1 == caplog.messages.count("the observer of webhooks raised ZeroDivisionError")
