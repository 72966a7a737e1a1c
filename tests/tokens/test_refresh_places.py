"""How many refreshes of a process are at Wix, and what becomes of the others."""

from __future__ import annotations

import anyio
import pytest

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
from wix_asgi.tokens import refresh as refresh_module


@pytest.fixture(name="few_places")
def _few_places(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let so few refreshes of a process made from now on be at Wix at once."""
    monkeypatch.setattr(refresh_module, "MAX_REFRESHES", 2)
    return 2


async def _keep(tokens: list[str], engine: Engine, site: str) -> None:
    """Add the token that a refresh brings."""
    tokens.append((await engine.refresher.refresh(site, ())).value)


async def test_no_more_than_so_many_are_at_wix(
    engine: Engine, storage: Steps, few_places: int
) -> None:
    """The next refresh goes when one of them is over, and has no lease before."""
    one = engine.another()
    sites = await overdue_sites(engine, few_places + 1)
    gate = engine.fake.hold(ACCESS)
    async with refreshing(one.refresher, sites):
        await gate.arrived(few_places)
        await anyio.wait_all_tasks_blocked()
        at_once = engine.posts, storage.log.count("claim")
        gate.release()

    assert (few_places, few_places) == at_once
    assert few_places + 1 == engine.posts


async def test_who_waits_for_a_place_leaves_the_lease_to_other_processes(
    engine: Engine, few_places: int
) -> None:
    """Another process that has a place refreshes meanwhile, and its token is found."""
    one, other = engine.another(), engine.another()
    *sites, last = await overdue_sites(engine, few_places + 1)
    tokens: list[str] = []
    gate = engine.fake.hold(ACCESS)
    async with refreshing(one.refresher, sites) as tasks:
        await gate.arrived(few_places)
        tasks.start_soon(_keep, tokens, one, last)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(_keep, tokens, other, last)
        await gate.arrived(few_places + 1)
        gate.release()

    assert 1 == len(set(tokens))
    assert few_places + 1 == engine.posts


async def test_nobody_waits_for_a_place_for_long_without_a_look(
    engine: Engine, storage: Steps, few_places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process has brought is found while all places are taken."""
    monkeypatch.setattr(refresh_module, "_PLACE_PATIENCE", 0.01)
    one = engine.another()
    *sites, last = await overdue_sites(engine, few_places + 1)
    tokens: list[str] = []
    gate = engine.fake.hold(ACCESS)
    async with refreshing(one.refresher, sites):
        await gate.arrived(few_places)
        looks = storage.log.count("get")
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(_keep, tokens, one, last)
            await storage.asked("get", looks + 2)
            brought = await engine.install(last)
        gate.release()

    assert [brought.value] == tokens
    assert few_places == engine.posts


async def test_nobody_waits_for_a_place_for_long_while_wix_fails(
    engine: Engine, storage: Steps, few_places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind calls that hang there is nothing to wait for."""
    monkeypatch.setattr(refresh_module, "_PLACE_PATIENCE", 0.01)
    one = engine.another()
    sites = await overdue_sites(engine, few_places)
    await engine.install(left=0)
    gate = engine.fake.hold(ACCESS)
    async with refreshing(one.refresher, sites):
        await gate.arrived(few_places)
        one.oauth._throttle.note_failure()
        claims = storage.log.count("claim")
        error = await refresh_failure(one)
        gate.release()

    assert isinstance(error, WixUnavailable)
    assert claims == storage.log.count("claim")
    assert few_places == engine.posts


async def test_a_wix_that_is_well_again_serves_more_than_have_places(
    engine: Engine, few_places: int
) -> None:
    """After a failure a burst is served as it is at other times, place by place."""
    one = engine.another()
    sites = await overdue_sites(engine, 3 * few_places)
    one.oauth._throttle.note_failure()
    async with refreshing(one.refresher, sites):
        pass

    assert len(sites) == engine.posts


async def test_a_place_that_is_had_in_the_end_was_not_missed() -> None:
    """What was waited for in vain, and is free a moment later, is as good as any."""
    places = Slots(1)
    with places.slot() as first, places.slot() as second:
        first.take()
        await second.wait(0.0)
        was_missed = [second.was_missed]
        first.release()
        second.take()
        was_missed += [second.was_missed]

    assert [True, False] == was_missed


async def test_who_waits_for_another_process_has_no_place(
    engine: Engine, storage: Steps, few_places: int
) -> None:
    """A lease that is held elsewhere keeps nobody from Wix but those who want that token."""
    one = engine.another()
    *sites, last = await overdue_sites(engine, few_places + 1)
    for site in sites:
        await storage.claim(f"refresh:{engine.fake.app_id}:{site}", "another", 60.0)
    claims = storage.log.count("claim")
    async with refreshing(one.refresher, sites) as tasks:
        await storage.asked("claim", claims + few_places)
        await anyio.wait_all_tasks_blocked()
        token = await one.refresher.refresh(last, ())
        tasks.cancel_scope.cancel()

    assert 300.0 == token.lifetime
    assert 1 == engine.posts


async def test_a_token_that_cannot_be_stored_takes_nobodys_place(
    storage: Steps, clock: ManualClock, few_places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place is for what is at Wix, and is left before the storage is waited for."""
    monkeypatch.setattr(refresh_module, "_SAVE_PAUSE", 0.01)
    engine = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock)
    *sites, last = await overdue_sites(engine, few_places + 1)
    storage.fail("replace", StorageUnavailable("down"), times=1_000_000)
    async with refreshing(engine.refresher, sites) as tasks:
        await storage.asked("replace", 2 * few_places)
        gate = engine.fake.hold(ACCESS)
        tasks.start_soon(engine.refresher.refresh, last, ())
        await gate.arrived()
        gate.release()
        del storage.before["replace"]

    assert few_places + 1 == engine.posts
