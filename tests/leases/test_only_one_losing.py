"""The lease of work: kept for as long as the work goes on, or lost. Time is a program's here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio.testing

from tests.engine import Steps
from tests.leases.only_ones import make_worker
from wix_asgi.errors import LeaseLost, StorageUnavailable
from wix_asgi.leases.only_one import OnlyOne

NAME = "only_one:app job"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on a clock that jumps to the next moment at which there is work to do."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture(name="storage")
def _storage() -> Steps:
    return Steps(anyio.current_time)


@pytest.fixture(name="worker")
def _worker(storage: Steps) -> OnlyOne:
    return make_worker(storage)


async def seconds_until_lost(worker: OnlyOne, begun: Callable[[], object]) -> float:
    """Do work that loses its lease, after `begun` was called; return how long it went on."""
    lasted: list[float] = []

    async def work() -> None:
        async with worker.hold("job"):
            begun_at = anyio.current_time()
            begun()
            try:
                await anyio.sleep(300)
            finally:
                lasted.append(anyio.current_time() - begun_at)

    with pytest.raises(LeaseLost):
        await work()
    return lasted[0]


async def test_the_lease_is_kept_for_as_long_as_the_work_goes_on(
    storage: Steps, worker: OnlyOne
) -> None:
    """Another worker waits for all of its five minutes, and then begins within two seconds."""
    began_at: list[float] = []

    async def wait() -> None:
        async with make_worker(storage).hold("job"):
            began_at.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        async with worker.hold("job"):
            tasks.start_soon(wait)
            await anyio.sleep(300)
        ended_at = anyio.current_time()

    assert ended_at <= began_at[0] <= ended_at + 2


async def test_work_ends_before_another_worker_can_begin(
    storage: Steps, worker: OnlyOne, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the storage fails, it is cancelled seven seconds after the latest renewal began."""
    with caplog.at_level(logging.WARNING):
        lasted = await seconds_until_lost(
            worker, lambda: storage.fail("claim", StorageUnavailable("down"), times=1000)
        )

    assert pytest.approx(7) == lasted
    assert {f"the lease of only_one could not be renewed: StorageUnavailable ({NAME})"} == set(
        caplog.messages
    )


async def test_a_renewal_that_fails_once_costs_nothing(storage: Steps, worker: OnlyOne) -> None:
    """The next one is still in time."""
    async with worker.hold("job"):
        storage.fail("claim", StorageUnavailable("down"))
        await anyio.sleep(60)

    assert set() == storage.holders


async def test_a_storage_that_hangs_costs_the_lease(storage: Steps, worker: OnlyOne) -> None:
    """The work is cancelled while the renewal still waits for an answer."""

    async def hang() -> None:
        await anyio.sleep(20)

    lasted = await seconds_until_lost(worker, lambda: storage.before.update(claim=hang))

    assert pytest.approx(7) == lasted
    assert set() == storage.holders


async def test_a_lease_that_another_worker_has_is_lost_at_once(
    storage: Steps, worker: OnlyOne
) -> None:
    """Somebody has removed its row: the next renewal tells, and the work is cancelled."""
    lasted = await seconds_until_lost(
        worker, lambda: storage._claims.update({NAME: ("another", anyio.current_time() + 60)})
    )

    assert pytest.approx(10 / 3) == lasted
    assert not await storage.claim(NAME, "third", 60)


async def test_a_lease_that_came_too_late_is_asked_for_again(
    storage: Steps, worker: OnlyOne
) -> None:
    """Work does not begin with a lease that has less than three seconds left."""
    answers = [8.0, 0.0]

    async def answer_late() -> None:
        await anyio.sleep(answers.pop(0))

    storage.after["claim"] = answer_late
    async with worker.hold("job"):
        asked = storage.log.count("claim")

    assert 2 == asked


async def test_work_that_ends_late_keeps_others_away(storage: Steps, worker: OnlyOne) -> None:
    """Cancelled work that takes long to end is still alone, if the storage is well again."""
    began_at: list[float] = []

    async def wait() -> None:
        async with make_worker(storage).hold("job"):
            began_at.append(anyio.current_time())

    async def work() -> None:
        async with worker.hold("job"):
            tasks.start_soon(wait)
            storage.fail("claim", StorageUnavailable("down"), times=1000)
            try:
                await anyio.sleep(300)
            finally:
                del storage.before["claim"]
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(60)

    async with anyio.create_task_group() as tasks:
        with pytest.raises(LeaseLost):
            await work()
        ended_at = anyio.current_time()

    assert ended_at <= began_at[0]
