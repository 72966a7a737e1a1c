"""The portal: one event loop for all threads that cannot await."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from tests.concurrency.portals import (
    COLOUR,
    Resource,
    colour,
    fail,
    ident,
    run_here,
)
from tests.limits import PATIENCE
from wix_asgi.concurrency._wakers import LockWaker
from wix_asgi.concurrency.detached import Interrupted
from wix_asgi.concurrency.portal import Portal, close_with_portal, portal


def test_work_runs_in_the_portals_thread() -> None:
    """Results, errors and context variables pass between the caller and the portal."""

    def use(here: Portal) -> tuple[int, str, int]:
        COLOUR.set("red")
        with pytest.raises(LookupError, match="lost"):
            here.call(fail)
        return here.call(ident), here.call(colour), threading.get_ident()

    ran_in, seen, caller = run_here(use)

    assert (threading.get_ident(), "red") == (ran_in, seen)
    assert caller != ran_in


def test_a_process_has_one_portal() -> None:
    """Threads that come at once share its thread, and the same one serves later calls."""
    meeting = threading.Barrier(8)
    one = Portal()

    def use() -> int:
        meeting.wait(PATIENCE)
        return one.call(ident)

    with ThreadPoolExecutor(8) as pool:
        threads = {each.result(PATIENCE) for each in [pool.submit(use) for _ in range(8)]}
    one.stop()

    assert 1 == len(threads)
    assert portal() is portal()


def test_a_thread_that_cannot_begin_is_tried_again() -> None:
    """Where the system gives no thread, the calls of that moment fail, and none waits for ever."""
    ended: list[BaseException] = []
    others: list[threading.Thread] = []

    def call() -> None:
        try:
            one.call(ident)
        except Interrupted as exc:
            ended.append(exc)

    def start(run: Callable[[], None]) -> None:
        if not others:
            others.append(threading.Thread(target=call))
            others[0].start()
            # Only the queue tells that the other call has begun to wait; nothing wakes us for it.
            while len(one._pending) < 2:
                time.sleep(0.001)
            raise RuntimeError("can't start new thread")
        threading.Thread(target=run, daemon=True).start()

    one = Portal(start_thread=start)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        one.call(ident)
    others[0].join(PATIENCE)
    ran_in = one.call(ident)
    one.stop()

    assert 1 == len(ended)
    assert threading.get_ident() != ran_in


def test_work_that_nobody_waits_for_runs() -> None:
    """Its errors are dropped."""

    def use(here: Portal) -> int:
        done: queue.Queue[int] = queue.Queue()

        async def tell() -> None:
            done.put(1)

        here.start_soon(fail)
        here.start_soon(tell)
        return done.get(timeout=PATIENCE)

    assert 1 == run_here(use)


def test_end_closes_what_was_opened_and_cancels_the_rest() -> None:
    """Work under way is interrupted, and so is a call that comes too late."""
    first, second = Resource(), Resource()

    async def hang() -> None:
        await anyio.sleep_forever()

    def use(here: Portal) -> Portal:
        here.call(ident)
        here.close_at_end(first)
        here.close_at_end(second)
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(here.call, hang)
            here.call(ident)
            here.stop()
            with pytest.raises(Interrupted):
                hanging.result(PATIENCE)
        with pytest.raises(Interrupted):
            here.call(ident)
        return here

    here = run_here(use)
    here.stop()

    assert [threading.get_ident()] * 2 == [first.closed_in, second.closed_in]


def test_resource_that_is_gone_is_not_kept() -> None:
    """The portal keeps nothing alive until the end of the process."""

    def use(here: Portal) -> int:
        here.close_at_end(Resource())
        here.call(ident)
        return len(here._closing)

    assert 0 == run_here(use)


def test_process_does_not_wait_for_a_blocked_portal() -> None:
    """A portal that an app blocks is left behind."""
    blocked, freed, ended = threading.Event(), threading.Event(), threading.Event()

    def start(run: Callable[[], None]) -> None:
        def run_and_tell() -> None:
            run()
            ended.set()

        threading.Thread(target=run_and_tell, daemon=True).start()

    one = Portal(start_thread=start, stop_seconds=0.01)

    async def block() -> None:
        blocked.set()
        freed.wait(PATIENCE)

    one.start_soon(block)
    assert blocked.wait(PATIENCE)
    one.stop()
    freed.set()

    assert ended.wait(PATIENCE)


def test_unused_portal_has_nothing_to_stop() -> None:
    """It starts no thread for it."""

    def start(_: Callable[[], None]) -> None:
        raise AssertionError

    Portal(start_thread=start).stop()


def test_portal_of_a_parent_is_not_stopped() -> None:
    """The end of a forked process leaves the portal of its parent alone."""
    pids = [1]

    def use(here: Portal) -> int:
        here.call(ident)
        pids.append(2)
        here.stop()
        pids.pop()
        return here.call(ident)

    assert threading.get_ident() == run_here(use, getpid=lambda: pids[-1])


def test_call_that_comes_while_the_portal_ends_is_refused() -> None:
    """Nobody waits for an event loop that is over."""
    threads: list[Callable[[], None]] = []
    one = Portal(start_thread=threads.append)

    async def stop_and_leave_another() -> None:
        one._stopped.set()
        # As a thread does whose call the event loop does not come to any more.
        one._pending.append(late)

    one.start_soon(stop_and_leave_another)
    late = one._begin(ident, LockWaker())
    one._pending.remove(late)
    threads.pop()()
    with pytest.raises(Interrupted):
        late.result()


def test_portals_own_loop_is_told_not_to_wait_for_itself() -> None:
    """A sync call inside of an async function of the portal raises instead of hanging."""

    def use(here: Portal) -> None:
        async def wait_for_itself() -> None:
            here.call(ident)

        with pytest.raises(RuntimeError, match="use the async client"):
            here.call(wait_for_itself)

    run_here(use)


async def test_other_loops_may_wait() -> None:
    """On another event loop, of asyncio or trio, a sync call blocks, and works."""
    one = Portal()
    thread = one.call(ident)
    one.stop()

    assert threading.get_ident() != thread


async def test_resource_of_another_loop_is_left_to_it() -> None:
    """Only the portal's event loop closes with the portal."""
    portal()
    resource = Resource()
    close_with_portal(resource)

    assert resource not in portal()._closing


def test_resource_that_opens_on_the_portal_is_closed_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The portal's event loop registers it; a process without a portal has nothing to do."""
    resource = Resource()
    close_with_portal(resource)

    async def open_it() -> None:
        close_with_portal(resource)

    def use(here: Portal) -> None:
        monkeypatch.setitem(_portals(), os.getpid(), here)
        here.call(open_it)

    run_here(use)
    monkeypatch.delitem(_portals(), os.getpid())
    close_with_portal(resource)
    monkeypatch.undo()

    assert threading.get_ident() == resource.closed_in


def _portals() -> dict[int, Portal]:
    from wix_asgi.concurrency import portal as module  # noqa: PLC0415

    return module._portals
