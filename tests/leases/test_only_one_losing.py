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
LOST = "The lease on 'job' was lost, and its work cancelled:"


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


async def until_lost(worker: OnlyOne, begun: Callable[[], object]) -> tuple[float, str]:
    """Do work that loses its lease, after `begun` was called; return its seconds, and the error."""
    lasted: list[float] = []

    async def work() -> None:
        async with worker.hold("job"):
            begun_at = anyio.current_time()
            begun()
            try:
                await anyio.sleep(300)
            finally:
                lasted.append(anyio.current_time() - begun_at)

    with pytest.raises(LeaseLost) as caught:
        await work()
    return lasted[0], str(caught.value)


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
        lasted, told = await until_lost(
            worker, lambda: storage.fail("claim", StorageUnavailable("down"), times=1000)
        )

    assert pytest.approx(7) == lasted
    assert f"{LOST} it could not be renewed: down." == told
    assert {f"the lease of only_one could not be renewed: StorageUnavailable ({NAME})"} == set(
        caplog.messages
    )


async def test_a_renewal_that_fails_once_costs_nothing(storage: Steps, worker: OnlyOne) -> None:
    """The next one is still in time."""
    async with worker.hold("job"):
        storage.fail("claim", StorageUnavailable("down"))
        await anyio.sleep(60)

    assert set() == storage.holders


@pytest.mark.parametrize("error", [None, StorageUnavailable("down")], ids=["answers", "fails"])
async def test_a_storage_that_hangs_costs_the_lease(
    storage: Steps, worker: OnlyOne, error: Exception | None
) -> None:
    """The work is cancelled while the renewal still waits for an answer."""

    async def hang() -> None:
        await anyio.sleep(20)
        if error is not None:
            raise error

    lasted, told = await until_lost(worker, lambda: storage.before.update(claim=hang))

    assert pytest.approx(7) == lasted
    assert f"{LOST} the storage did not answer its renewal for 3.7 s." == told
    assert set() == storage.holders


async def test_a_lease_that_another_worker_has_is_lost_at_once(
    storage: Steps, worker: OnlyOne
) -> None:
    """Somebody has removed its row: the next renewal tells, and the work is cancelled."""
    lasted, told = await until_lost(
        worker, lambda: storage._claims.update({NAME: ("another", anyio.current_time() + 60)})
    )

    assert pytest.approx(10 / 3) == lasted
    assert f"{LOST} another worker has it." == told
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


async def test_a_bug_of_a_storage_is_named_by_its_class(storage: Steps, worker: OnlyOne) -> None:
    """An error that is none of the contract may show anything, and so only its class is told."""
    _, told = await until_lost(
        worker, lambda: storage.fail("claim", ValueError("test-canary"), times=1000)
    )

    assert f"{LOST} it could not be renewed: ValueError." == told


async def test_a_process_that_was_held_up_renews_late(storage: Steps, worker: OnlyOne) -> None:
    """Frozen for eight of ten seconds, it still has its lease, and the work goes on."""
    async with worker.hold("job"):
        jump(8.0)
        await anyio.sleep(60)

    assert set() == storage.holders


async def test_a_process_that_was_held_up_for_too_long_ends_its_work(worker: OnlyOne) -> None:
    """Frozen until the end of the lease is near, it does not wait for a renewal."""
    lasted, told = await until_lost(worker, lambda: jump(9.0))

    assert pytest.approx(9) == lasted
    assert (
        f"{LOST} its renewal came over 5.2 s late, as the process or its event loop was held up."
    ) == told


@pytest.mark.parametrize("seconds", [1.0, 2.0, 3.0])
async def test_a_storage_that_always_answers_late_costs_nothing(
    storage: Steps, worker: OnlyOne, seconds: float
) -> None:
    """A lone holder whose renewals take up to three seconds each keeps its lease."""

    async def answer_late() -> None:
        await anyio.sleep(seconds)

    storage.after["claim"] = answer_late
    async with worker.hold("job"):
        await anyio.sleep(300)

    assert set() == storage.holders


async def test_a_lease_that_came_late_is_renewed_at_once(storage: Steps, worker: OnlyOne) -> None:
    """Work that begins a moment before it would have to end has its lease renewed before that."""
    answers = iter([6.9, 1.0])

    async def answer_late() -> None:
        await anyio.sleep(next(answers, 0.0))

    storage.after["claim"] = answer_late
    async with worker.hold("job"):
        await anyio.sleep(60)

    assert set() == storage.holders


def jump(seconds: float) -> None:
    """Let this time pass at once, as it does for a process that gets no turn of the machine."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    clock.jump(seconds)


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
