from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from threading import Thread

import anyio
import anyio.lowlevel
import pytest

from wix_asgi.concurrency import detached as _detached
from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks, Interrupted
from wix_asgi.testing.fake_wix._signal import Signal


class Work:
    """Work that says when it began, waits to be let go, and remembers how it ended."""

    def __init__(self, outcome: Callable[[], str] = lambda: "done") -> None:
        self.outcome = outcome
        self.begun = anyio.Event()
        self.go_on = anyio.Event()
        self.ended = ""

    async def __call__(self) -> str:
        self.begun.set()
        try:
            await self.go_on.wait()
        except BaseException:
            self.ended = "cancelled"
            raise
        self.ended = "done"
        return self.outcome()

    def fail(self) -> None:
        """End with an error once let go."""

        def raise_it() -> str:
            raise LookupError("work failed")

        self.outcome = raise_it


async def wait(event: anyio.Event) -> None:
    """Wait for `event` with a bound."""
    with anyio.fail_after(10):
        await event.wait()


async def result(flight: DetachedTask[str]) -> str:
    """Wait for the result of `flight` with a bound."""
    with anyio.fail_after(10):
        return await flight.result()


async def test_every_waiter_gets_the_outcome() -> None:
    """Whoever waits, early or late, gets what the work returned."""
    work, detached, results = Work(), DetachedTasks(), list[str]()
    flight = detached.start(work)

    async def listen() -> None:
        results.append(await result(flight))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(listen)
        await wait(work.begun)
        before = flight.landed
        work.go_on.set()

    assert not before
    assert flight.landed
    assert ["done"] * 5 == results
    assert "done" == await result(flight)


async def test_every_waiter_gets_the_error() -> None:
    """An error of the work is raised to each waiter, with a traceback of its own."""
    work, detached, depths = Work(), DetachedTasks(), list[int]()
    work.fail()
    work.go_on.set()
    flight = detached.start(work)
    for _ in range(3):
        with pytest.raises(LookupError, match="work failed") as caught:
            await result(flight)
        depths.append(len(caught.traceback))

    assert 1 == len(set(depths))


async def test_a_cancelled_waiter_takes_nobody_down() -> None:
    """The work and the other waiters go on when the one who started it is cancelled."""
    work, detached, started = Work(), DetachedTasks(), list[DetachedTask[str]]()

    async def leave() -> None:
        started.append(detached.start(work))
        await started[0].result()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
        await wait(work.begun)
        tasks.cancel_scope.cancel()
    work.go_on.set()

    assert "done" == await result(started[0])


async def test_the_work_begins_after_start_has_returned() -> None:
    """Whoever starts it can note the flight first, whatever makes the loop's tasks."""
    work, detached = Work(), DetachedTasks()
    eager = getattr(asyncio, "eager_task_factory", None)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        loop.set_task_factory(eager)
    flight = detached.start(work)
    begun_early = work.begun.is_set()
    work.go_on.set()

    assert not begun_early
    assert "done" == await result(flight)


async def test_closing_waits_for_what_is_running(caplog: pytest.LogCaptureFixture) -> None:
    """Within the grace everything is finished, what is begun meanwhile too, and nothing said."""
    first, second, detached = Work(), Work(), DetachedTasks()

    async def lead_on() -> None:
        await first()
        detached.start(second)

    detached.start(lead_on)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(detached.aclose, 10)
        await wait(first.begun)
        first.go_on.set()
        await wait(second.begun)
        second.go_on.set()

    assert ["done", "done"] == [first.ended, second.ended]
    assert [] == caplog.records


async def test_closing_does_not_mind_errors() -> None:
    """What the work raised is for its waiters, not for whoever closes."""
    work, detached = Work(), DetachedTasks()
    work.fail()
    work.go_on.set()
    flight = detached.start(work)
    await detached.aclose(10)

    assert flight.landed


async def test_closing_with_nothing_running_returns() -> None:
    """There is nothing to wait for."""
    with anyio.fail_after(10):
        await DetachedTasks().aclose(0)


async def test_after_the_grace_the_rest_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """Its waiters get a typed error instead of hanging, and it has ended when closing returns."""
    quick, slow, detached = Work(), Work(), DetachedTasks()
    quick.go_on.set()
    detached.start(quick)
    flight, errors = detached.start(slow), list[str]()

    async def listen() -> None:
        with pytest.raises(Interrupted):
            await result(flight)
        errors.append("interrupted")

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(listen)
        await wait(slow.begun)
        with caplog.at_level(logging.WARNING):
            await detached.aclose(0.01)
        ended = slow.ended

    assert "cancelled" == ended
    assert ["interrupted"] * 3 == errors
    assert ["shutdown did not wait for 1 unfinished operations"] == caplog.messages


async def test_work_that_has_not_begun_is_cancelled_too() -> None:
    """A flight that is started and closed at once lands all the same."""
    work, detached = Work(), DetachedTasks()
    flight = detached.start(work)
    await detached.aclose(0)
    with pytest.raises(Interrupted):
        await result(flight)

    assert flight.landed


async def test_closing_waits_for_what_is_tidied_up() -> None:
    """Cancelled work may still give back what it holds, shielded, before closing returns."""
    detached, begun, order = DetachedTasks(), anyio.Event(), list[str]()

    async def work() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
            order.append("given back")

    detached.start(work)
    await wait(begun)
    await detached.aclose(0)
    order.append("closed")

    assert ["given back", "closed"] == order


async def test_closing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that does not let itself be cancelled is left behind after a while."""
    monkeypatch.setattr(_detached, "_LAST_WORDS", 0.01)
    detached, begun, let_go = DetachedTasks(), anyio.Event(), anyio.Event()

    async def work() -> None:
        with anyio.CancelScope(shield=True):
            begun.set()
            await let_go.wait()

    flight = detached.start(work)
    await wait(begun)
    with anyio.fail_after(10):
        await detached.aclose(0)
    left_behind = not flight.landed
    let_go.set()
    with anyio.fail_after(10):
        await flight.wait()

    assert left_behind


async def test_work_that_ends_in_spite_of_a_cancellation_has_its_result() -> None:
    """What was finished before the cancellation came is not lost."""
    work, detached = Work(), DetachedTasks()
    flight = detached.start(work)
    await wait(work.begun)
    work.go_on.set()
    await wait_until_ended(work)
    flight.cancel()

    assert "done" == await result(flight)


async def wait_until_ended(work: Work) -> None:
    """Wait until `work` has returned."""
    with anyio.fail_after(10):
        while not work.ended:
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_that_ends_ends_its_work(backend: str) -> None:
    """Without a close the work ends with its event loop, and does not hold another one up."""
    detached, works, flights = DetachedTasks(), list[Work](), list[DetachedTask[str]]()

    async def start() -> None:
        works.append(Work())
        flights.append(detached.start(works[0]))
        await wait(works[0].begun)

    async def close() -> None:
        with anyio.fail_after(10):
            await detached.aclose(10)

    anyio.run(start, backend=backend)
    anyio.run(close, backend=backend)

    assert "cancelled" == works[0].ended
    assert flights[0].landed


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_closing_leaves_other_loops_alone(backend: str) -> None:
    """What runs on another thread's event loop goes on there."""
    detached, ended, begun = DetachedTasks(), list[str](), list[bool]()
    ready, closed = _Gate(), _Gate()

    async def elsewhere() -> None:
        work = Work()
        flight = detached.start(work)
        await wait(work.begun)
        begun.append(True)
        ready.open()
        await closed.wait()
        work.go_on.set()
        ended.append(await result(flight))

    async def here() -> None:
        flight = detached.start(anyio.sleep_forever)
        await ready.wait()
        await detached.aclose(0)
        closed.open()
        assert flight.landed

    thread = Thread(target=lambda: anyio.run(elsewhere, backend=backend))
    thread.start()
    anyio.run(here, backend=backend)
    thread.join(10)

    assert ["done"] == ended


class _Gate:
    """An event between threads, waited for with a bound."""

    def __init__(self) -> None:
        self._signal = Signal()
        self._is_open = False

    def open(self) -> None:
        self._is_open = True
        self._signal.notify()

    async def wait(self) -> None:
        with anyio.fail_after(10):
            await self._signal.wait_until(lambda: self._is_open)
