from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from threading import Thread

import anyio
import anyio.lowlevel
import pytest

from tests.limits import PATIENCE
from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks, Interrupted
from wix_asgi.testing.fake_wix._signal import Signal


class Work:
    """Work that sets `begun`, waits for `go_on`, and notes in `ended` how it ended."""

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
        """End with an error after `go_on`."""

        def raise_it() -> str:
            raise LookupError("work failed")

        self.outcome = raise_it


async def wait(event: anyio.Event) -> None:
    """Wait for `event`."""
    with anyio.fail_after(PATIENCE):
        await event.wait()


async def result(task: DetachedTask[str]) -> str:
    """Wait for the result of `task`."""
    with anyio.fail_after(PATIENCE):
        return await task.result()


async def test_every_waiting_task_gets_the_outcome() -> None:
    """Tasks that wait, early or late, get the value that the work returned."""
    work, detached, results = Work(), DetachedTasks(), list[str]()
    task = detached.start(work)

    async def listen() -> None:
        results.append(await result(task))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(listen)
        await wait(work.begun)
        before = task.is_done
        work.go_on.set()

    assert not before
    assert task.is_done
    assert ["done"] * 5 == results
    assert "done" == await result(task)


async def test_every_waiting_task_gets_the_error() -> None:
    """An error of the work is raised in each waiting task, with a traceback of its own."""
    work, detached, depths = Work(), DetachedTasks(), list[int]()
    work.fail()
    work.go_on.set()
    task = detached.start(work)
    for _ in range(3):
        with pytest.raises(LookupError, match="work failed") as caught:
            await result(task)
        depths.append(len(caught.traceback))

    assert 1 == len(set(depths))


async def test_a_cancelled_caller_does_not_end_the_work() -> None:
    """The work goes on when the task that started it is cancelled."""
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
    """The caller can note the task before the work begins, on eager loops too."""
    work, detached = Work(), DetachedTasks()
    eager = getattr(asyncio, "eager_task_factory", None)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        loop.set_task_factory(eager)
    task = detached.start(work)
    begun_early = work.begun.is_set()
    work.go_on.set()

    assert not begun_early
    assert "done" == await result(task)


async def test_closing_waits_for_running_work(caplog: pytest.LogCaptureFixture) -> None:
    """Within the grace all work ends, work begun meanwhile too, and nothing is logged."""
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
    """An error of the work is raised in the waiting tasks, not by `aclose`."""
    work, detached = Work(), DetachedTasks()
    work.fail()
    work.go_on.set()
    task = detached.start(work)
    await detached.aclose(10)

    assert task.is_done


async def test_closing_with_nothing_running_returns() -> None:
    """Without a task `aclose` returns at once."""
    with anyio.fail_after(PATIENCE):
        await DetachedTasks().aclose(0)


async def test_after_the_grace_the_rest_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """Waiting tasks get a typed error instead of hanging, and the work has ended on return."""
    quick, slow, detached = Work(), Work(), DetachedTasks()
    quick.go_on.set()
    detached.start(quick)
    task, errors = detached.start(slow), list[str]()

    async def listen() -> None:
        with pytest.raises(Interrupted):
            await result(task)
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


async def test_closing_cancels_work_that_it_does_not_wait_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Work that may go on another day ends at once, and costs neither grace nor a warning."""
    endless, detached = Work(), DetachedTasks()
    detached.start(endless, is_waited_for=False)
    await wait(endless.begun)
    await detached.aclose(PATIENCE)

    assert "cancelled" == endless.ended
    assert [] == caplog.records


async def test_work_that_has_not_begun_is_cancelled_too() -> None:
    """A task that is cancelled before its work begins has an outcome all the same."""
    work, detached = Work(), DetachedTasks()
    task = detached.start(work)
    await detached.aclose(0)
    with pytest.raises(Interrupted):
        await result(task)

    assert task.is_done


async def test_closing_waits_for_cleanup() -> None:
    """Cancelled work may still release a resource, shielded, before closing returns."""
    detached, begun, order = DetachedTasks(), anyio.Event(), list[str]()

    async def work() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
            order.append("released")

    detached.start(work)
    await wait(begun)
    await detached.aclose(0)
    order.append("closed")

    assert ["released", "closed"] == order


async def test_closing_does_not_wait_for_ever() -> None:
    """Work that ignores its cancellation is left behind after `cleanup_seconds`."""
    detached, begun, let_go = DetachedTasks(cleanup_seconds=0.01), anyio.Event(), anyio.Event()

    async def work() -> None:
        with anyio.CancelScope(shield=True):
            begun.set()
            await let_go.wait()

    task = detached.start(work)
    await wait(begun)
    with anyio.fail_after(PATIENCE):
        await detached.aclose(0)
    left_behind = not task.is_done
    let_go.set()
    with anyio.fail_after(PATIENCE):
        await task.wait()

    assert left_behind


async def test_work_that_ends_in_spite_of_a_cancellation_has_its_result() -> None:
    """A result that was ready before the cancellation came is not lost."""
    work, detached = Work(), DetachedTasks()
    task = detached.start(work)
    await wait(work.begun)
    work.go_on.set()
    await wait_until_ended(work)
    task.cancel()

    assert "done" == await result(task)


async def wait_until_ended(work: Work) -> None:
    """Wait until `work` has returned."""
    with anyio.fail_after(PATIENCE):
        while not work.ended:
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_that_ends_ends_its_work(backend: str) -> None:
    """Without a close the work ends with its event loop, and holds up no other loop."""
    detached, works, tasks = DetachedTasks(), list[Work](), list[DetachedTask[str]]()

    async def start() -> None:
        works.append(Work())
        tasks.append(detached.start(works[0]))
        await wait(works[0].begun)

    async def close() -> None:
        with anyio.fail_after(PATIENCE):
            await detached.aclose(10)

    anyio.run(start, backend=backend)
    anyio.run(close, backend=backend)

    assert "cancelled" == works[0].ended
    assert tasks[0].is_done


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_closing_leaves_other_loops_alone(backend: str) -> None:
    """Work on the event loop of another thread goes on."""
    detached, ended, begun = DetachedTasks(), list[str](), list[bool]()
    ready, closed = _Gate(), _Gate()

    async def elsewhere() -> None:
        work = Work()
        task = detached.start(work)
        await wait(work.begun)
        begun.append(True)
        ready.open()
        await closed.wait()
        work.go_on.set()
        ended.append(await result(task))

    async def here() -> None:
        task = detached.start(anyio.sleep_forever)
        await ready.wait()
        await detached.aclose(0)
        closed.open()
        assert task.is_done

    thread = Thread(target=lambda: anyio.run(elsewhere, backend=backend))
    thread.start()
    anyio.run(here, backend=backend)
    thread.join(PATIENCE)

    assert ["done"] == ended


class _Gate:
    """An event between threads, waited for during ten seconds at most."""

    def __init__(self) -> None:
        self._signal = Signal()
        self._is_open = False

    def open(self) -> None:
        self._is_open = True
        self._signal.notify()

    async def wait(self) -> None:
        with anyio.fail_after(PATIENCE):
            await self._signal.wait_until(lambda: self._is_open)


async def test_work_that_is_cancelled_before_it_begins() -> None:
    """It begins all the same, and is cancelled where it waits."""
    work, detached = Work(), DetachedTasks()
    task = detached.start(work)
    task.cancel()
    with pytest.raises(Interrupted):
        await result(task)

    assert "cancelled" == work.ended
