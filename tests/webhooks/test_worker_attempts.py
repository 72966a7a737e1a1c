"""When events come back, and for how long; what comes before their handlers."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tests.webhooks.working import APP, jumping, make_event, working
from wix_asgi.errors import StorageUnavailable, WixUnavailable
from wix_asgi.events import WebhookEvent
from wix_asgi.models import EventState
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.sealing.vault import Vault
from wix_asgi.webhooks.inbox import Inbox
from wix_asgi.webhooks.policy import WebhookPolicy

HOUR = 3600.0
RARE = WebhookPolicy(poll_pause=24 * HOUR, max_poll_pause=24 * HOUR)
"""Looks for the events of others that are too rare to find an event which comes back."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on a clock that jumps to the next moment at which there is work to do."""
    return jumping()


@pytest.mark.parametrize(
    ("attempt", "jitter", "seconds"),
    [
        (1, 0.5, 10),
        (2, 0.5, 52),
        (3, 0.5, 270.4),
        (6, 0.5, 38020),
        (7, 0.5, 12 * HOUR),
        (10_000, 0.5, 12 * HOUR),
        (1, 0.0, 7.5),
        (1, 1.0, 12.5),
    ],
)
def test_delays_grow_up_to_half_a_day(attempt: int, jitter: float, seconds: float) -> None:
    """They vary by a quarter, so that events that failed together do not come back together."""
    assert pytest.approx(seconds, rel=0.001) == WebhookPolicy().delay_after(attempt, jitter)


async def test_eight_attempts_are_spread_over_a_day() -> None:
    """Each begins as soon as its delay is over, though the looks for others' events are rarer."""
    async with working(RARE) as (app, worker):

        @app.on()
        async def handle(event: WebhookEvent) -> None:
            app.calls.append(anyio.current_time())
            raise ValueError

        await app.add()
        worker.start()
        await app.until_over(EventState.DEAD)
    pauses = [after - before for before, after in zip(app.calls, app.calls[1:], strict=False)]

    policy = WebhookPolicy()
    assert pytest.approx([policy.delay_after(n, 0.5) for n in range(1, 8)], rel=0.01) == pauses
    assert 24 * HOUR < app.calls[-1] - app.calls[0] < 26 * HOUR


async def test_a_process_that_is_killed_each_time_ends_in_a_dead_letter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The event that kills it is not taken for ever."""
    async with working() as (app, worker):
        app.on(max_attempts=3)(app.note)
        await app.add()
        for attempt in range(3):
            assert await app.inbox.take(f"killed {attempt}", limit=1, lease=1)
            await anyio.sleep(2)
        with caplog.at_level(logging.ERROR):
            worker.start()
            await app.until_over(EventState.DEAD)
        record = await app.only()

    assert [] == app.calls
    assert "did not live to the end of attempt 3" in caplog.text
    assert record.failure is not None
    assert record.failure.startswith("killed in ")


@pytest.mark.parametrize(
    "error", [WixUnavailable("Wix is down."), StorageUnavailable("down"), ValueError("a bug")]
)
async def test_a_preparation_that_fails_postpones_the_event(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """No handler runs before it, and no attempt of a handler is spent by it."""
    failures = [error, error]

    async def prepare(signed: SignedEvent) -> None:
        if failures:
            raise failures.pop()

    async with working(prepare=prepare) as (app, worker):
        app.on(max_attempts=1)(app.note)
        await app.add()
        with caplog.at_level(logging.WARNING):
            worker.start()
            await app.until_over()
        record = await app.only()

    assert [1] == [event.attempt for event in app.calls]
    assert 3 == record.attempts
    assert 2 == caplog.text.count("could not be prepared")


async def test_a_preparation_that_always_fails_ends_in_a_dead_letter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After a day an operator has to look."""

    async def prepare(signed: SignedEvent) -> None:
        raise WixUnavailable

    async with working(RARE, prepare=prepare) as (app, worker):
        app.on()(app.note)
        await app.add()
        with caplog.at_level(logging.ERROR):
            worker.start()
            await app.until_over(EventState.DEAD)
        record = await app.only()

    assert [] == app.calls
    assert 8 == record.attempts
    assert record.payload is not None
    assert "dead letter: WixUnavailable in preparation" in caplog.text


async def test_a_preparation_that_hangs_is_cancelled() -> None:
    """After five minutes, and tried again."""
    hangs = [True]

    async def prepare(signed: SignedEvent) -> None:
        if hangs:
            hangs.clear()
            await anyio.sleep_forever()

    async with working(prepare=prepare) as (app, worker):
        app.on()(app.note)
        await app.add()
        begun_at = anyio.current_time()
        worker.start()
        await app.until_over()
        lasted = anyio.current_time() - begun_at

    assert 1 == len(app.calls)
    assert pytest.approx(310, abs=1) == lasted


async def test_an_event_that_cannot_be_made_is_postponed() -> None:
    """A deploy may mend it."""
    broken = [True]

    def make(signed: SignedEvent, event_id: str, attempt: int) -> WebhookEvent:
        if broken:
            broken.clear()
            raise KeyError("cycle")
        return make_event(signed, event_id, attempt)

    async with working(make_event=make) as (app, worker):
        app.on(max_attempts=1)(app.note)
        await app.add()
        worker.start()
        await app.until_over()

    assert 1 == len(app.calls)
    assert 1 == len(app.prepared)


async def test_an_event_whose_key_is_missing_is_postponed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A deploy that brings the key may be under way; after a day it is a dead letter."""
    async with working(RARE) as (app, worker):
        app.on()(app.note)
        app.inbox._vault = Vault([b"n" * 32])
        await app.add()
        app.inbox._vault = app.vault
        with caplog.at_level(logging.ERROR):
            worker.start()
            await app.until_over(EventState.DEAD)
        record = await app.only()

    assert [] == app.calls
    assert 8 == record.attempts
    assert 7 == sum("tried again later" in line for line in caplog.messages)
    assert "kept as a dead letter" in caplog.messages[-1]


async def test_an_event_that_was_changed_is_a_dead_letter_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing will make it readable."""
    async with working() as (app, worker):
        app.on()(app.note)
        await app.add()
        record = await app.only()
        assert record.payload is not None
        changed = record.payload[:-1] + bytes([record.payload[-1] ^ 1])
        assert await app.storage.reseal_event(
            APP, record.event_id, changed, expected=record.payload
        )
        with caplog.at_level(logging.ERROR):
            worker.start()
            await app.until_over(EventState.DEAD)
        record = await app.only()

    assert [] == app.calls
    assert 1 == record.attempts
    assert "cannot be read, and is kept as a dead letter" in caplog.text
    assert "UnsealError" == record.failure


async def test_an_error_of_our_own_leaves_the_event_to_its_lease(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back, and the worker goes on."""
    async with working() as (app, worker):
        app.on()(app.note)
        await app.add()
        opened = Inbox.open

        def break_once(self: Inbox, kept: Any) -> SignedEvent:
            monkeypatch.setattr(Inbox, "open", opened)
            raise ZeroDivisionError

        monkeypatch.setattr(Inbox, "open", break_once)
        with caplog.at_level(logging.ERROR):
            worker.start()
            await app.until_over()

    assert [2] == [event.attempt for event in app.calls]
    assert "could not be handled, and comes back when its lease ends" in caplog.text
