from __future__ import annotations

import anyio
import pytest

from wix_asgi.concurrency.slots import Slot, Slots


async def test_slots_that_are_all_taken_are_not_free() -> None:
    """`are_free` says whether one more slot can be taken."""
    slots = Slots(1)
    slot = slots.slot()
    free = [slots.are_free]
    taken = [slot.take(), slots.slot().take()]
    free += [slots.are_free]
    slot.release()
    free += [slots.are_free]

    assert [True, False] == taken
    assert [True, False, True] == free


async def test_a_taken_slot_counts_once() -> None:
    """Taking a taken slot, or releasing a free one, changes nothing."""
    slots = Slots(2)
    slot = slots.slot()
    taken = [slot.take(), slot.take()]
    free_then = slots.are_free
    slot.release()
    slot.release()
    others = [slots.slot().take() for _ in range(3)]

    assert [True, True] == taken
    assert free_then
    assert [True, True, False] == others


async def test_the_block_releases_the_slot() -> None:
    """The end of a block releases the slot, after an error too."""
    slots = Slots(1)

    def fail(slot: Slot) -> None:
        slot.take()
        raise LookupError

    with pytest.raises(LookupError), slots.slot() as slot:
        fail(slot)

    assert not slot.is_taken
    assert slots.are_free


async def test_waiting_tasks_get_the_slot_in_order() -> None:
    """A released slot goes to the task that has waited longest, and `wait` says that it came."""
    slots, order = Slots(1), list[tuple[int, bool]]()
    first = slots.slot()
    first.take()

    async def wait(number: int) -> None:
        with slots.slot() as slot:
            order.append((number, await slot.wait(10)))

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
        first.release()
        jumped = slots.slot().take()

    assert not jumped
    assert [(0, True), (1, True), (2, True)] == order


async def test_waiting_ends_without_a_slot() -> None:
    """When the seconds are over, `wait` says that no slot came, and the slot was missed."""
    slots = Slots(1)
    with slots.slot() as first, slots.slot() as second:
        first.take()
        came = await second.wait(0.0)

        assert not came
        assert (False, True) == (second.is_taken, second.was_missed)


@pytest.mark.parametrize("seconds", [None, 10.0])
async def test_a_slot_that_comes_in_the_end_was_not_missed(seconds: float | None) -> None:
    """A slot that was waited for in vain and is got later counts as never missed."""
    slots = Slots(1)
    with slots.slot() as first, slots.slot() as second:
        first.take()
        await second.wait(0.0)
        first.release()
        came = second.take() if seconds is None else await second.wait(seconds)

        assert came
        assert (True, False) == (second.is_taken, second.was_missed)


async def test_a_cancelled_wait_leaves_the_slot_to_the_next() -> None:
    """A task that is cancelled while it waits leaves its turn to the next task."""
    slots = Slots(1)
    first, cancelled = slots.slot(), slots.slot()
    first.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancelled.wait, 10)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    first.release()

    assert not cancelled.is_taken
    assert slots.are_free


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_event_loop_has_all_slots(backend: str) -> None:
    """The number holds for each event loop by itself."""
    slots, taken = Slots(1), list[Slot]()

    async def take() -> None:
        slot = slots.slot()
        slot.take()
        taken.append(slot)

    for _ in range(2):
        anyio.run(take, backend=backend)

    assert [True, True] == [slot.is_taken for slot in taken]
