"""The watch over an inbox: what operators are told of, and how often. Time is a program's here."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.webhooks.working import APP, Working, jumping
from wix_asgi.models import EventCounts
from wix_asgi.webhooks.policy import WebhookPolicy
from wix_asgi.webhooks.watch import InboxWatch

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on a clock that jumps to the next moment at which there is work to do."""
    return jumping()


class Watched(Working):
    """An app whose inbox has the counts that a test gives, and any number of watches."""

    def __init__(self) -> None:
        super().__init__(policy=WebhookPolicy())
        self.counts = EventCounts()
        self.seen: list[EventCounts] = []
        self.storage.count_events = self._count  # type: ignore[method-assign] # a test's counts

    async def _count(self, app_id: str, *, limit: int) -> EventCounts:
        await self.storage._begin(f"count {limit}")
        return self.counts

    def watch(self) -> InboxWatch:
        """Return the watch of one process."""
        return InboxWatch(
            self.inbox,
            self.storage,
            APP,
            detached=self.detached,
            policy=self.policy,
            observe=self.seen.append,
            clock=self.clock,
        )

    async def told(
        self, caplog: pytest.LogCaptureFixture, *counts: EventCounts, watches: int = 1
    ) -> list[int]:
        """Return how many lines have been told after each of these counts, a minute each."""
        told = []
        self.counts = EventCounts()
        async with anyio.create_task_group() as tasks:
            for _ in range(watches):
                tasks.start_soon(self.watch().run)
            # So that no look falls together with a change of the counts.
            await anyio.sleep(self.policy.watch_interval / 2)
            for each in counts:
                self.counts = each
                await anyio.sleep(self.policy.watch_interval)
                told.append(len([line for line in caplog.records if line.levelno >= 30]))
            tasks.cancel_scope.cancel()
        return told


@pytest.fixture(name="app")
async def _app() -> AsyncIterator[Watched]:
    app = Watched()
    yield app
    await app.detached.aclose(1)


async def test_a_number_that_grows_is_told(app: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """From a thousand waiting events on, at each doubling, and again after it has shrunk."""
    waiting = [10, 999, 1000, 1500, 2000, 3999, 1200, 2300, 2400, 0, 1000]
    told = await app.told(caplog, *[EventCounts(waiting=number) for number in waiting])

    assert [0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4] == told


async def test_an_age_that_grows_is_told(app: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """From a quarter of an hour on, at each doubling; the line has the figures as fields."""
    ages = [100.0, 900.0, 960.0, 1800.0, 60.0]
    told = await app.told(caplog, *[EventCounts(waiting=3, dead=2, oldest_age=age) for age in ages])
    line = next(line for line in caplog.records if line.levelno == logging.WARNING)

    assert [0, 1, 1, 2, 2] == told
    assert "3 events wait for their handlers, the oldest for 900 s" in line.getMessage()
    assert (3, 900.0, 2) == tuple(
        getattr(line, name, None) for name in ("waiting", "oldest_age", "dead")
    )


async def test_one_of_all_processes_counts(app: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """It counts once a minute; when it is killed, another process goes on."""
    await app.told(caplog, *[EventCounts(waiting=5000)] * 3, watches=3)

    assert 4 == sum(step.startswith("count") for step in app.storage.steps)
    assert 1 == sum("5000 events wait" in line for line in caplog.messages)
    assert 4 == len(app.seen)


async def test_another_process_counts_after_one_that_was_killed(
    app: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """After two and a half minutes at most."""
    await app.storage.claim(f"watch_events:{APP}", "killed", app.policy.watch_lease)
    told = await app.told(caplog, *[EventCounts(waiting=5000)] * 4)

    assert [0, 0, 1, 1] == told


async def test_dead_letters_are_told_of_a_day_before_they_go(
    app: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a day over all processes, also over those that start meanwhile."""
    later = EventCounts(dead=3, next_dead_in=DAY + 60)
    soon = EventCounts(dead=3, next_dead_in=20 * HOUR)
    told = await app.told(caplog, later, soon, soon)
    again = await app.told(caplog, soon)

    assert [0, 1, 1] == told
    assert [1] == again
    assert "the first of 3 dead letters is forgotten in 20 hours" in caplog.text


async def test_the_inbox_is_purged_in_each_interval(
    app: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """By each process; the storage has one of them do it at a time."""
    await app.told(caplog, *[EventCounts()] * 5)

    assert 3 <= app.storage.steps.count("purge") <= 6


async def test_a_storage_that_fails_is_not_told_here(
    app: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker tells it already; the watch goes on."""
    app.storage.fail("count")
    before = await app.told(caplog, EventCounts(waiting=5000))
    app.storage.heal()
    after = await app.told(caplog, EventCounts(waiting=5000))

    assert ([0], [1]) == (before, after)


async def test_an_error_of_a_backend_is_told_once_a_minute(
    app: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """The watch goes on, and looks once a minute."""
    app.storage.fail("count", error=ZeroDivisionError())
    told = await app.told(caplog, EventCounts(), EventCounts())

    assert [2, 3] == told
    assert "the inbox could not be counted: ZeroDivisionError" in caplog.text
