"""Work that one worker does at a time: turns, ends, errors and cancellations."""

from __future__ import annotations

import asyncio
import logging
import time

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.engine import Steps
from tests.leases.only_ones import QUICK, make_worker
from tests.limits import PATIENCE
from wix_asgi.errors import LeaseLost, StorageUnavailable
from wix_asgi.leases.only_one import OnlyOne, OnlyOnePolicy


@pytest.fixture(name="storage")
def _storage() -> Steps:
    return Steps(anyio.current_time)


@pytest.fixture(name="worker")
def _worker(storage: Steps) -> OnlyOne:
    return make_worker(storage, policy=QUICK)


async def test_tasks_and_workers_take_turns(storage: Steps, worker: OnlyOne) -> None:
    """Two tasks of one worker, and another worker, are never in the block together."""
    steps: list[str] = []

    async def work(worker: OnlyOne) -> None:
        async with worker.hold("job"):
            steps.append("in")
            for _ in range(5):
                await checkpoint()
            steps.append("out")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for each in (worker, worker, make_worker(storage, policy=QUICK)):
                tasks.start_soon(work, each)

    assert ["in", "out"] * 3 == steps
    assert set() == storage.holders


async def test_other_work_and_other_apps_do_not_wait(storage: Steps, worker: OnlyOne) -> None:
    """A lease is of one name of one app, however the two are written."""
    other, third = make_worker(storage, "app:a"), make_worker(storage, "a")
    with anyio.fail_after(PATIENCE):
        async with worker.hold("job"), worker.hold("a"), other.hold("job"), third.hold("app job"):
            names = set(storage.holders)

    assert {"app job", "app a", "app:a job", "a app job"} == {name[9:] for name in names}


async def test_an_error_passes_as_it_is(storage: Steps, worker: OnlyOne) -> None:
    """The error of the work is raised by itself, in no group, and the lease is given back."""
    with pytest.raises(LookupError, match="the work failed"):
        async with worker.hold("job"):
            raise LookupError("the work failed")

    assert set() == storage.holders


async def test_a_time_out_of_the_work_is_its_own(storage: Steps, worker: OnlyOne) -> None:
    """It is not taken for the loss of the lease."""
    with pytest.raises(TimeoutError, match="the work's"):
        async with worker.hold("job"):
            raise TimeoutError("the work's")

    assert set() == storage.holders


async def test_cancelled_work_gives_its_lease_back(storage: Steps, worker: OnlyOne) -> None:
    """A cancellation from outside goes through, and nobody has to wait for the lease to end."""
    with anyio.CancelScope() as scope:
        async with worker.hold("job"):
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert set() == storage.holders


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_task_gives_its_lease_back(storage: Steps, worker: OnlyOne) -> None:
    """`task.cancel()`, twice even, ends the work and the lease."""
    begun = asyncio.Event()

    async def work() -> None:
        async with worker.hold("job"):
            begun.set()
            await asyncio.sleep(PATIENCE)

    task = asyncio.create_task(work())
    await begun.wait()
    storage.before["release"] = lambda: asyncio.sleep(0.01)
    task.cancel()
    await checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await worker._detached.aclose(PATIENCE)

    assert set() == storage.holders


async def test_a_worker_that_is_cancelled_while_it_asks_keeps_no_lease(
    storage: Steps, worker: OnlyOne
) -> None:
    """The storage may have given the lease by then, and nobody would work."""
    asked = anyio.Event()

    async def hang() -> None:
        asked.set()
        await anyio.sleep_forever()

    async def work() -> None:
        async with worker.hold("job"):
            raise AssertionError("never reached")

    storage.after["claim"] = hang
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await asked.wait()
        assert {"only_one:app job"} == storage.holders
        tasks.cancel_scope.cancel()

    assert set() == storage.holders


async def test_a_storage_that_fails_is_waited_for(
    storage: Steps, worker: OnlyOne, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so once a minute, with the reason, and the work begins when it is well."""
    storage.fail("claim", StorageUnavailable("no route\nto host"), times=3)
    with anyio.fail_after(PATIENCE), caplog.at_level(logging.WARNING):
        async with worker.hold("job"):
            pass

    line = "the storage fails, so that nobody can begin 'job': no route to host"
    assert [line] == caplog.messages
    assert 4 == storage.log.count("claim")


async def test_another_error_of_the_storage_is_raised(storage: Steps, worker: OnlyOne) -> None:
    """A bug of a backend is not waited for."""
    storage.fail("claim", LookupError("bug"))
    with pytest.raises(LookupError, match="bug"):
        async with worker.hold("job"):
            raise AssertionError("never reached")

    assert set() == storage.holders


async def test_a_lease_that_nobody_can_give_back_does_not_hide_the_end(
    storage: Steps, worker: OnlyOne
) -> None:
    """Work that is done is done; its lease ends by itself."""
    storage.fail("release", StorageUnavailable())
    async with worker.hold("job"):
        pass

    assert {"only_one:app job"} == storage.holders


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_frozen_worker_does_not_go_on(storage: Steps) -> None:
    """On asyncio it ends where it waited, though its wait is over, too, when it wakes."""
    worker = make_worker(storage, policy=OnlyOnePolicy(lease_ttl=1.5, renew_deadline=1.0))
    steps: list[str] = []

    async def freeze() -> None:
        # The process does nothing at all for longer than its lease.
        time.sleep(2)  # noqa: ASYNC251 - to stop the loop

    async def work() -> None:
        async with worker.hold("job"), anyio.create_task_group() as tasks:
            tasks.start_soon(freeze)
            steps.append("waits")
            await asyncio.sleep(0.001)
            steps.append("goes on")

    with pytest.raises(LeaseLost, match="The lease on 'job' was lost"):
        await work()

    assert ["waits"] == steps
    assert set() == storage.holders
