"""Resources that are closed on their event loops, by code that cannot await."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from functools import partial

import anyio
import pytest

from tests.concurrency.portals import Resource
from tests.limits import PATIENCE
from wix_asgi.concurrency.closers import Closers
from wix_asgi.concurrency.portal import Portal

ON_BOTH = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def use(closers: Closers, resource: Resource) -> None:
    """Use a resource on the running event loop."""
    closers.add(resource, resource.aclose)


@contextlib.contextmanager
def portal_of_test() -> Iterator[Portal]:
    """Serve as an event loop of another thread."""
    portal = Portal()
    try:
        yield portal
    finally:
        portal.stop()


@pytest.fixture(name="idle")
def _idle() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def test_other_threads_are_waited_for() -> None:
    """A resource of an event loop of another thread is closed there when the call returns."""
    closers, resource, again = Closers(), Resource(), Resource()
    with portal_of_test() as portal:
        portal.call(partial(use, closers, resource))
        portal.call(partial(use, closers, resource))
        known = (resource in closers, again in closers)
        closers.close(PATIENCE)

    assert (True, False) == known
    assert resource.closed_in not in {None, threading.get_ident()}
    assert resource not in closers
    assert not closers.is_closing


def test_the_wait_ends_in_time() -> None:
    """A resource that does not close is left behind, and told."""
    closers = Closers()
    with portal_of_test() as portal:

        async def hang() -> None:
            closers.add(closers, anyio.sleep_forever)

        portal.call(hang)
        closers.close(0)
        is_closing = closers.is_closing

    assert is_closing
    assert not closers.is_closing


def test_an_error_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """A resource that fails to close keeps no other one from it, and logs nothing."""
    closers, resource = Closers(), Resource()
    with portal_of_test() as portal:

        async def fail() -> None:
            raise LookupError("lost")

        async def add() -> None:
            closers.add(closers, fail)
            closers.add(resource, resource.aclose)

        portal.call(add)
        closers.close(PATIENCE)

    assert resource.closed_in is not None
    assert [] == caplog.records


@ON_BOTH
def test_an_event_loop_that_is_over_is_left_out(backend: str) -> None:
    """Nothing can be closed where nothing runs any more."""
    closers, resource = Closers(), Resource()
    anyio.run(use, closers, resource, backend=backend)
    closers.close(PATIENCE)

    assert (None, False) == (resource.closed_in, closers.is_closing)


def test_an_idle_event_loop_is_run(idle: asyncio.AbstractEventLoop) -> None:
    """An event loop of this thread that waits for the next test closes its resources at once."""
    closers, resource = Closers(), Resource()
    idle.run_until_complete(use(closers, resource))
    closers.close(PATIENCE)

    assert threading.get_ident() == resource.closed_in


def test_an_idle_event_loop_of_another_thread_is_not_waited_for(
    idle: asyncio.AbstractEventLoop,
) -> None:
    """Only its own thread may run it: it closes its resources when it runs again."""
    closers, resource = Closers(), Resource()
    other = threading.Thread(target=lambda: idle.run_until_complete(use(closers, resource)))
    other.start()
    other.join(PATIENCE)
    closers.close(PATIENCE)
    before = (resource.closed_in, closers.is_closing)
    idle.run_until_complete(until_closed(closers))

    assert (None, True) == before
    assert resource.closed_in is not None


async def until_closed(closers: Closers) -> None:
    """Wait for the end of a closing."""
    with anyio.fail_after(PATIENCE):
        while closers.is_closing:  # noqa: ASYNC110 - nothing else tells of it
            await anyio.sleep(0.001)


async def test_the_running_event_loop_closes_later() -> None:
    """The event loop of the call itself closes its resources once it runs again."""
    closers, resource = Closers(), Resource()
    await use(closers, resource)
    closers.close(PATIENCE)
    before = (resource.closed_in, closers.is_closing)
    await until_closed(closers)

    assert (None, True) == before
    assert threading.get_ident() == resource.closed_in


def test_an_idle_event_loop_cannot_be_run_by_a_running_one(
    idle: asyncio.AbstractEventLoop,
) -> None:
    """Where another event loop runs in the thread, an idle one closes its resources later."""
    closers, resource = Closers(), Resource()

    async def close() -> None:
        closers.close(PATIENCE)

    idle.run_until_complete(use(closers, resource))
    asyncio.run(close())
    before = (resource.closed_in, closers.is_closing)
    idle.run_until_complete(until_closed(closers))

    assert (None, True) == before
    assert threading.get_ident() == resource.closed_in


async def test_a_closed_resource_is_left_alone() -> None:
    """A resource that its owner has closed is not closed once more."""
    closers, resource = Closers(), Resource()
    await use(closers, resource)
    closers.discard(resource)
    closers.close(PATIENCE)

    assert (None, False) == (resource.closed_in, closers.is_closing)


def test_a_forked_process_leaves_the_resources_of_its_parent() -> None:
    """The event loops of a parent are none of its child."""
    pids = iter([1, 2])
    closers, resource = Closers(getpid=lambda: next(pids)), Resource()
    with portal_of_test() as portal:
        portal.call(partial(use, closers, resource))
        closers.close(PATIENCE)

    assert resource.closed_in is None
