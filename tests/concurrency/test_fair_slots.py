from __future__ import annotations

import asyncio
from collections.abc import Iterable
from threading import Event as ThreadEvent
from threading import Lock, Thread

import anyio
import anyio.lowlevel
import pytest

from tests.limits import PATIENCE
from wix_asgi.concurrency.fair_slots import FairSlots

BACKENDS = ["asyncio", "trio"]


class Order:
    """Tasks that wait for a slot, and the order in which they are served or turned away."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.served: list[str] = []
        self.refused: list[str] = []

    async def wait(self, name: str) -> None:
        """Wait as the party of the first letter, and give the slot on at once."""
        if await self.slots.acquire(name[0]):
            self.served.append(name)
            self.slots.release()
        else:
            self.refused.append(name)

    async def queue(self, names: Iterable[str]) -> None:
        """Have these tasks queue in this order behind a taken slot, which is then released."""
        assert await self.slots.acquire("holder")
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(self.wait, name)
                await anyio.wait_all_tasks_blocked()
            self.slots.release()


def make_slots(count: int = 1, *, max_queue: int = 100, max_wait: float = PATIENCE) -> FairSlots:
    """Return slots with a queue that no test fills by accident."""
    return FairSlots(count, max_queue=max_queue, max_wait=max_wait)


async def test_free_slots_are_taken_at_once() -> None:
    """As many tasks as there are slots wait for nobody."""
    slots = make_slots(3, max_queue=0)
    taken = [await slots.acquire("a") for _ in range(4)]
    slots.release()
    taken += [await slots.acquire("a")]

    assert [True, True, True, False, True] == taken


async def test_turns_go_round_over_the_parties() -> None:
    """A party that queues behind many tasks of another is served after one of them (R49)."""
    order = Order(make_slots())
    await order.queue(["a1", "a2", "a3", "a4", "b1", "c1", "b2"])

    assert ["a1", "b1", "c1", "a2", "b2", "a3", "a4"] == order.served


async def test_one_party_is_served_in_order() -> None:
    """A party that is alone is served first in, first out."""
    order = Order(make_slots())
    names = [f"a{number}" for number in range(9)]
    await order.queue(names)

    assert names == order.served


async def test_nobody_overtakes_the_queue() -> None:
    """A released slot belongs to the next turn, before a task that comes later asks."""
    slots = make_slots(max_queue=1)
    served: list[str] = []

    async def wait() -> None:
        if await slots.acquire("first"):
            served.append("first")

    await slots.acquire("holder")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        slots.release()
        tasks.start_soon(slots.acquire, "late")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert ["first"] == served


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["a1", "a2", "a3", "a4"], ["a4"]),
        (["a1", "a2", "a3", "b1"], ["a3"]),
        (["a1", "a2", "b1", "b2"], ["b2"]),
        (["a1", "b1", "b2", "a2"], ["a2"]),
        (["a1", "b1", "c1", "d1"], ["d1"]),
        (["a1", "a2", "a3", "b1", "c1"], ["a3", "a2"]),
    ],
)
async def test_a_full_queue_refuses_the_newest_of_the_largest_party(
    names: list[str], refused: list[str]
) -> None:
    """In a queue of three, the party with the most tasks loses its newest to the others (R49)."""
    order = Order(make_slots(max_queue=3))
    await order.queue(names)

    assert refused == order.refused
    assert sorted(set(names) - set(refused)) == sorted(order.served)


async def test_waiting_is_bounded() -> None:
    """A task that gets no slot within the time is turned away, and leaves its place (R49)."""
    slots = make_slots(max_queue=1, max_wait=0.001)
    await slots.acquire("holder")
    came = [await slots.acquire("a") for _ in range(3)]
    slots.release()
    came += [await slots.acquire("a")]

    assert [False, False, False, True] == came


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    """A task that is cancelled while it waits costs no slot and no place in the queue."""
    order = Order(make_slots(max_queue=1))
    await order.slots.acquire("holder")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(order.wait, "cancelled")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    order.slots.release()
    await order.queue(["a1"])

    assert ["a1"] == order.served


async def test_a_cancelled_task_gives_its_new_slot_on() -> None:
    """A slot that comes together with the cancellation goes to the next task."""
    order = Order(make_slots())
    await order.slots.acquire("holder")
    async with anyio.create_task_group() as outer, anyio.create_task_group() as tasks:
        tasks.start_soon(order.wait, "cancelled")
        await anyio.wait_all_tasks_blocked()
        outer.start_soon(order.wait, "next")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        order.slots.release()

    assert ["next"] == order.served


@pytest.mark.parametrize("here", BACKENDS)
@pytest.mark.parametrize("there", BACKENDS)
def test_slots_are_the_processs(here: str, there: str) -> None:
    """A slot that one event loop holds is waited for on another, and handed over between them."""
    slots, held, served = make_slots(), ThreadEvent(), list[bool]()
    waiting = ThreadEvent()

    async def wait() -> None:
        held.wait(PATIENCE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(acquire)
            await anyio.wait_all_tasks_blocked()
            waiting.set()

    async def acquire() -> None:
        served.append(await slots.acquire("there"))

    async def hold() -> None:
        await slots.acquire("here")
        held.set()
        assert await anyio.to_thread.run_sync(waiting.wait, PATIENCE)
        slots.release()

    thread = Thread(target=lambda: anyio.run(wait, backend=there))
    thread.start()
    anyio.run(hold, backend=here)
    thread.join(PATIENCE)

    assert [True] == served


def test_no_slot_is_lost_or_given_twice() -> None:
    """Tasks of four event loops, half of them cancelled at any moment, keep to the number of slots.

    All others are served.
    """
    slots, lock = make_slots(3, max_queue=1000), Lock()
    held, most, served = 0, 0, 0

    def count(step: int) -> None:
        nonlocal held, most, served
        with lock:
            held, most, served = held + step, max(most, held + step), served + (step > 0)

    async def use(party: int) -> None:
        if await slots.acquire(party):
            try:
                count(+1)
                await anyio.lowlevel.checkpoint()
            finally:
                count(-1)
                slots.release()

    async def visit() -> None:
        async with anyio.create_task_group() as lasting:
            for _ in range(10):
                async with anyio.create_task_group() as cancelled:
                    for number in range(20):
                        (lasting if number % 2 else cancelled).start_soon(use, number % 7)
                        await anyio.lowlevel.checkpoint()
                    cancelled.cancel_scope.cancel()

    threads = [Thread(target=anyio.run, args=[visit], kwargs={"backend": b}) for b in BACKENDS * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    free = [anyio.run(slots.acquire, "last") for _ in range(3)]

    assert [True] * 3 == free
    assert (0, True) == (held, most <= 3)
    assert served >= 4 * 100


def test_a_closed_event_loop_keeps_no_slot() -> None:
    """A task that waits on an event loop which was closed is passed over, as if it had left."""
    order = Order(make_slots())
    gone = asyncio.new_event_loop()

    async def leave_waiting() -> None:
        await order.slots.acquire("holder")
        task = asyncio.ensure_future(order.slots.acquire("gone"))
        await asyncio.sleep(0)
        tasks.append(task)

    tasks: list[asyncio.Task[bool]] = []
    gone.run_until_complete(leave_waiting())
    gone.close()
    order.slots.release()
    anyio.run(order.queue, ["a1"])
    with pytest.raises(RuntimeError, match="no running event loop"):
        # As the garbage collector does it, where anyio's cancel scope complains.
        tasks[0].get_coro().close()

    assert ["a1"] == order.served
