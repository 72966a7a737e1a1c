"""Many refreshes that wait for others, beside one that others wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.engine import (
    ACCESS,
    Engine,
    ManualClock,
    Steps,
    make_lease,
    overdue_sites,
    refresh,
    refresh_failure,
    refreshing,
)
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi.errors import StorageUnavailable
from wix_asgi.leases.lease import Lease
from wix_asgi.testing import FakeWix
from wix_asgi.tokens.policy import RefreshPolicy
from wix_asgi.tokens.refresh import Refresher

TTL = RefreshPolicy().lease_ttl
WAITING = 50
CONNECTIONS = 5
"""Of the smallest pool that a storage has by default."""


def _refresher(
    engine: Engine,
    storage: Steps,
    clock: ManualClock,
    *,
    sleep: Callable[[float], Awaitable[object]],
    jitter: Callable[[], float] = lambda: 0.5,
) -> Refresher:
    """Return one that waits as the test says."""
    return Refresher(
        engine.installations,
        storage,
        engine.oauth,
        app_id=engine.fake.app_id,
        clock=clock,
        jitter=jitter,
        sleep=sleep,
    )


def lease_of(engine: Engine, storage: Steps) -> Lease:
    """Return the site's lease, as another process would take it."""
    name = f"refresh:{engine.fake.app_id}:{SITE}"
    return make_lease(storage, name, ttl=TTL, clock=engine.clock)


async def _refresh_in(
    seconds: float, engine: Engine, refresher: Refresher, clock: ManualClock
) -> None:
    """Refresh at a Wix that takes so many seconds."""
    await engine.install(left=0)
    gate = engine.fake.hold(ACCESS)
    async with refreshing(refresher, [SITE]):
        await gate.arrived()
        clock.advance(seconds)
        gate.release()


async def test_a_holder_does_not_queue_behind_waiting_refreshes(
    engine: Engine, storage: Steps
) -> None:
    """Its lease is renewed while others look, so no process takes it and sends the same token."""
    looking, free = 0, anyio.Event()

    async def look() -> None:
        nonlocal looking
        looking += 1
        await free.wait()

    sites = await overdue_sites(engine, WAITING)
    await engine.install(left=0)
    gate = engine.fake.hold(ACCESS)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.refresher.refresh, SITE, ())
            await gate.arrived()
            storage.before["get"] = look
            for site in sites:
                tasks.start_soon(engine.refresher.refresh, site, ())
            await anyio.wait_all_tasks_blocked()
            looked_at_once = looking
            gate.release()
            await storage.asked("replace")
            storage.before["get"] = checkpoint
            free.set()

    assert 0 < looked_at_once < CONNECTIONS
    assert WAITING + 1 == engine.posts


async def test_waiting_refreshes_look_more_often_than_they_ask_for_the_lease(
    engine: Engine, storage: Steps
) -> None:
    """A holder that ends well has stored a token; the lease only tells that the holder is gone."""
    await engine.install(left=0)
    gate = engine.fake.hold(ACCESS)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.refresher.refresh, SITE, ())
            await gate.arrived()
            looks, claims = storage.log.count("get"), storage.log.count("claim")
            tasks.start_soon(engine.another().refresher.refresh, SITE, ())
            await storage.asked("get", looks + 3)
            asked = storage.log.count("claim") - claims
            gate.release()

    assert 1 == asked
    assert 1 == engine.posts


async def test_the_lease_of_a_vanished_holder_is_found(
    engine: Engine, storage: Steps, clock: ManualClock
) -> None:
    """It is taken when its seconds are over."""
    await engine.install(left=0)
    gone = lease_of(engine, storage)
    await gone.take()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.refresher.refresh, SITE, ())
            await storage.asked("get", 2)
            posts_before_it_is_over = engine.posts
            clock.advance(TTL)

    assert 0 == posts_before_it_is_over
    assert 1 == engine.posts


async def test_the_next_look_is_when_a_refresh_is_usually_over(
    engine: Engine, storage: Steps, clock: ManualClock
) -> None:
    """A waiting process sleeps for as long as its refreshes usually take, then for moments."""
    gone = lease_of(engine, storage)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)
        if len(pauses) == 4:
            await gone.give_back()

    refresher = _refresher(engine, storage, clock, sleep=pause)
    await _refresh_in(0.8, engine, refresher, clock)
    await engine.install(left=0)
    await gone.take()
    with anyio.fail_after(PATIENCE):
        await refresher.refresh(SITE, ())

    # Of several refreshes the last one is a quarter of what is usual.
    assert pytest.approx([0.2 + 0.1, 0.2, 0.25, 0.25]) == pauses[:4]
    assert 2 == engine.posts


async def test_a_refresh_that_took_long_puts_off_the_next_look_for_a_second_at_most(
    engine: Engine, storage: Steps, clock: ManualClock
) -> None:
    """A lease whose holder is gone is found soon, however long refreshes take."""
    pauses: list[float] = []
    gone = lease_of(engine, storage)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)

    refresher = _refresher(engine, storage, clock, sleep=pause)
    for _ in range(30):
        await _refresh_in(9.0, engine, refresher, clock)
    await engine.install(left=0)
    await gone.take()
    with anyio.fail_after(PATIENCE):
        await refresher.refresh(SITE, ())

    assert pytest.approx(1.1, abs=0.01) == pauses[0]


async def test_processes_that_begin_together_do_not_ask_in_the_same_order(
    engine: Engine, storage: Steps, clock: ManualClock
) -> None:
    """Refreshes that find the queue full begin at random moments of a tenth of a second."""
    pauses: list[float] = []
    moments = iter(range(WAITING))

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    refresher = _refresher(
        engine, storage, clock, jitter=lambda: next(moments) / WAITING, sleep=pause
    )
    sites = await overdue_sites(engine, WAITING)
    async with refreshing(refresher, sites):
        pass

    at_once = WAITING - len(pauses)
    assert 0 < at_once < CONNECTIONS
    assert pytest.approx([0.1 * number / WAITING for number in range(len(pauses))]) == pauses


async def test_the_queue_for_the_storage_has_an_end(engine: Engine, storage: Steps) -> None:
    """Where a storage hangs, a queued refresh fails; later ones are served when it answers."""
    free = anyio.Event()
    engine = engine.another(arrival_spread=0.0, reader_wait=0.2)
    await engine.install(left=0)
    storage.before["get"] = free.wait
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for _ in range(engine.policy.max_readers):
                tasks.start_soon(engine.refresher.refresh, SITE, ())
            await anyio.wait_all_tasks_blocked()
            error = await refresh_failure(engine)
            free.set()
    token = await refresh(engine)

    assert isinstance(error, StorageUnavailable)
    assert 300.0 == token.lifetime
    assert 1 == engine.posts


async def test_a_lease_is_renewed_from_the_moment_it_is_taken(
    engine: Engine, storage: Steps
) -> None:
    """A holder whose storage is slow keeps its lease while it reads, too."""
    engine = engine.another(lease_ttl=0.03)
    free = anyio.Event()
    await engine.install(left=0)

    async def slow_down() -> None:
        storage.before["get"] = free.wait

    storage.after["claim"] = slow_down
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.refresher.refresh, SITE, ())
            await storage.asked("claim", 3)
            posts_before_it_has_read = engine.posts
            free.set()

    assert 0 == posts_before_it_has_read
    assert 1 == engine.posts


async def test_a_holder_that_wakes_late_sends_nothing(storage: Steps, clock: ManualClock) -> None:
    """Frozen before it asked Wix, it does not send the refresh token that its successor sent."""
    holder = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock)
    await holder.install(left=0)

    async def sleep_through_the_lease() -> None:
        del storage.after["get"]
        clock.advance(TTL)
        await refresh(holder.another())

    async def freeze_when_it_has_read() -> None:
        del storage.after["claim"]
        storage.after["get"] = sleep_through_the_lease

    storage.after["claim"] = freeze_when_it_has_read
    token = await refresh(holder)
    posts = holder.posts
    await refresh(holder, token.value)

    assert 1 == posts
    assert 2 == holder.posts


async def test_a_holder_that_is_frozen_in_the_throttles_queue_sends_nothing(
    storage: Steps, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease may end in the queue: a refresh token that rotates is not sent twice."""
    holder = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock)
    await holder.install(left=0)

    async def freeze() -> bool:
        monkeypatch.undo()
        clock.advance(TTL)
        await refresh(holder.another())
        return True

    monkeypatch.setattr(holder.oauth._throttle, "acquire", freeze)
    token = await refresh(holder)
    posts = holder.posts
    await refresh(holder, token.value)

    assert 1 == posts
    assert 2 == holder.posts


async def test_a_late_answer_does_not_put_off_the_next_renewal(
    storage: Steps, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause counts from when the lease was asked for, and is never much shorter."""
    delays, pauses, move_on_after = [0.25, 1.0, 0.0, 1.9], [], anyio.move_on_after
    lease = make_lease(storage, "refresh", ttl=TTL, clock=clock)

    def move_on_at_once(seconds: float) -> anyio.CancelScope:
        pauses.append(seconds)
        return move_on_after(0)

    async def answer_late() -> None:
        clock.advance(delays.pop(0) if delays else 0.0)

    storage.after["claim"] = answer_late
    monkeypatch.setattr(anyio, "move_on_after", move_on_at_once)
    await lease.take()
    await lease.while_renewing(lambda: storage.asked("claim", 6))

    third = TTL / 3
    assert pytest.approx([third - 0.25, third / 2, third, 0.05, third]) == pauses[:5]
