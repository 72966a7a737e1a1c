"""The slots at Wix: how many refreshes of a process are there, and where the others wait."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
import stamina

from tests.engine import (
    ACCESS,
    Engine,
    ManualClock,
    Steps,
    overdue_sites,
    refresh_failure,
    refreshing,
)
from wix_asgi.concurrency.slots import Slots
from wix_asgi.errors import StorageUnavailable, WixUnavailable
from wix_asgi.testing import FakeWix
from wix_asgi.tokens.policy import RefreshPolicy

SLOTS = 2
"""How many refreshes of a process of these tests may be at Wix at one time."""


@pytest.fixture(name="engine")
def _engine(storage: Steps, clock: ManualClock) -> Iterator[Engine]:
    """Give an engine with few slots at Wix, which does not pause between its tries."""
    with stamina.set_testing(True, attempts=3):
        yield Engine(FakeWix(), storage, clock, policy=RefreshPolicy(max_refreshes=SLOTS))


async def _keep(tokens: list[str], engine: Engine, site: str) -> None:
    """Add the token that a refresh brings."""
    tokens.append((await engine.refresher.refresh(site, ())).value)


async def test_refreshes_at_wix_are_bounded(engine: Engine, storage: Steps) -> None:
    """The next refresh is sent when one of them is over, and has no lease before."""
    one = engine.another()
    sites = await overdue_sites(engine, SLOTS + 1)
    gate = engine.fake.hold(ACCESS)
    async with refreshing(one.refresher, sites):
        await gate.arrived(SLOTS)
        await anyio.wait_all_tasks_blocked()
        at_once = engine.posts, storage.log.count("claim")
        gate.release()

    assert (SLOTS, SLOTS) == at_once
    assert SLOTS + 1 == engine.posts


async def test_a_refresh_without_a_slot_leaves_the_lease_to_other_processes(engine: Engine) -> None:
    """Another process that has a free slot refreshes meanwhile, and its token is found."""
    one, other = engine.another(), engine.another()
    *sites, last = await overdue_sites(engine, SLOTS + 1)
    tokens: list[str] = []
    gate = engine.fake.hold(ACCESS)
    async with refreshing(one.refresher, sites) as tasks:
        await gate.arrived(SLOTS)
        tasks.start_soon(_keep, tokens, one, last)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(_keep, tokens, other, last)
        await gate.arrived(SLOTS + 1)
        gate.release()

    assert 1 == len(set(tokens))
    assert SLOTS + 1 == engine.posts


async def test_a_refresh_that_waits_for_a_slot_looks_into_the_storage(
    engine: Engine, storage: Steps
) -> None:
    """A token that another process stored is found while all slots are taken."""
    one = engine.another(slot_wait=0.01)
    *sites, last = await overdue_sites(engine, SLOTS + 1)
    tokens: list[str] = []
    gate = engine.fake.hold(ACCESS)
    async with refreshing(one.refresher, sites):
        await gate.arrived(SLOTS)
        looks = storage.log.count("get")
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(_keep, tokens, one, last)
            await storage.asked("get", looks + 2)
            brought = await engine.install(last)
        gate.release()

    assert [brought.value] == tokens
    assert SLOTS == engine.posts


async def test_a_refresh_gives_up_its_wait_for_a_slot_while_wix_fails(
    engine: Engine, storage: Steps
) -> None:
    """Behind calls that hang no slot becomes free, and the caller is told so."""
    one = engine.another(slot_wait=0.01)
    sites = await overdue_sites(engine, SLOTS)
    await engine.install(left=0)
    gate = engine.fake.hold(ACCESS)
    async with refreshing(one.refresher, sites):
        await gate.arrived(SLOTS)
        one.oauth._throttle.note_failure()
        claims = storage.log.count("claim")
        error = await refresh_failure(one)
        gate.release()

    assert isinstance(error, WixUnavailable)
    assert claims == storage.log.count("claim")
    assert SLOTS == engine.posts


async def test_a_wix_that_is_well_again_serves_more_refreshes_than_slots(engine: Engine) -> None:
    """After a failure a burst is served as at other times, slot by slot."""
    one = engine.another()
    sites = await overdue_sites(engine, 3 * SLOTS)
    one.oauth._throttle.note_failure()
    async with refreshing(one.refresher, sites):
        pass

    assert len(sites) == engine.posts


async def test_a_slot_that_is_taken_in_the_end_was_not_missed() -> None:
    """A slot that was waited for in vain, and is taken a moment later, is as good as any."""
    slots = Slots(1)
    with slots.slot() as first, slots.slot() as second:
        first.take()
        await second.wait(0.0)
        was_missed = [second.was_missed]
        first.release()
        second.take()
        was_missed += [second.was_missed]

    assert [True, False] == was_missed


async def test_a_refresh_that_waits_for_another_process_has_no_slot(
    engine: Engine, storage: Steps
) -> None:
    """A lease that is held elsewhere holds up the refresh of its own token only."""
    one = engine.another()
    *sites, last = await overdue_sites(engine, SLOTS + 1)
    for site in sites:
        await storage.claim(f"refresh:{engine.fake.app_id}:{site}", "another", 60.0)
    claims = storage.log.count("claim")
    async with refreshing(one.refresher, sites) as tasks:
        await storage.asked("claim", claims + SLOTS)
        await anyio.wait_all_tasks_blocked()
        token = await one.refresher.refresh(last, ())
        tasks.cancel_scope.cancel()

    assert 300.0 == token.lifetime
    assert 1 == engine.posts


async def test_a_token_that_cannot_be_stored_takes_no_slot(
    storage: Steps, clock: ManualClock
) -> None:
    """The slot is released once Wix has answered, before the storage is waited for."""
    policy = RefreshPolicy(max_refreshes=SLOTS, save_pause=0.01)
    engine = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock, policy=policy)
    *sites, last = await overdue_sites(engine, SLOTS + 1)
    storage.fail("replace", StorageUnavailable("down"), times=1_000_000)
    async with refreshing(engine.refresher, sites) as tasks:
        await storage.asked("replace", 2 * SLOTS)
        gate = engine.fake.hold(ACCESS)
        tasks.start_soon(engine.refresher.refresh, last, ())
        await gate.arrived()
        gate.release()
        del storage.before["replace"]

    assert SLOTS + 1 == engine.posts
