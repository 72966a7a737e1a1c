"""Rotating keys, and writes of workers between its steps."""

from __future__ import annotations

import anyio
import pytest

from tests.engine import ACCESS, Engine, ManualClock, Steps, refresh
from tests.operations.sealed import (
    APP,
    NEW,
    OLD,
    SITE,
    install,
    installations,
    read,
    record_of,
    refresh_token,
    token,
)
from wix_asgi.errors import StorageUnavailable
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.models import Grant
from wix_asgi.operations.rotate_keys import Rotation, rotate_keys
from wix_asgi.sealing.keys import derive_key
from wix_asgi.sealing.vault import Vault

RING = Vault([NEW, OLD])


@pytest.fixture
def anyio_backend() -> str:
    """Run on one loop: the order of the steps is given."""
    return "asyncio"


async def refresh_with_the_old_key(storage: Steps) -> None:
    """Refresh as a worker does that has only the old key."""
    grant = Grant(token("access-2"), "refresh-2")
    worker = installations(storage, OLD)
    assert await worker.replace(await read(storage, SITE, OLD), grant)


async def test_a_refresh_in_between_wins(storage: Steps) -> None:
    """A record refreshed after it was read is read again, and keeps the new tokens (R33)."""
    await install(storage, SITE)

    async def overtake() -> None:
        del storage.before["replace"]
        await refresh_with_the_old_key(storage)

    storage.before["replace"] = overtake
    rotation = await rotate_keys(APP, storage, RING)

    assert Rotation(resealed=1) == rotation
    assert "refresh-2" == await refresh_token(storage, SITE, NEW)


async def test_a_refresh_since_the_page_was_read_wins(storage: Steps) -> None:
    """A record refreshed while its page was being resealed keeps the new tokens (R33)."""
    await install(storage, "a", SITE)

    async def overtake() -> None:
        del storage.after["replace"]
        await refresh_with_the_old_key(storage)

    storage.after["replace"] = overtake
    rotation = await rotate_keys(APP, storage, RING)

    assert Rotation(resealed=2) == rotation
    assert "refresh-2" == await refresh_token(storage, SITE, NEW)


async def test_what_is_removed_in_between_does_not_come_back(storage: Steps) -> None:
    """A record that is gone when it would be written stays gone, and is not counted."""
    await install(storage, SITE)

    async def remove() -> None:
        await storage.delete(APP, SITE)

    storage.before["replace"] = remove
    rotation = await rotate_keys(APP, storage, RING)

    assert Rotation() == rotation
    assert await storage.get(APP, SITE) is None


async def test_a_slow_page_is_taken_off(storage: Steps, clock: ManualClock) -> None:
    """Durations are shorter by the time that has passed since they were read (R33)."""
    await install(storage, "a", SITE)
    worker = installations(storage, OLD)
    await worker.note_failure(await read(storage, SITE, OLD), RefreshFailure.UNAVAILABLE, 60.0)
    before = await record_of(storage)

    async def dawdle() -> None:
        clock.advance(7)

    storage.after["replace"] = dawdle
    await rotate_keys(APP, storage, RING, clock=clock)
    after = await record_of(storage)

    # Seven seconds after the first record, and seven after the second.
    assert (60.0 - 14.0, "unavailable") == (after.retry_in, after.failure)
    assert before.expires_in - 14.0 == after.expires_in


async def test_a_rotation_that_broke_off_goes_on(storage: Steps) -> None:
    """Resealed records stay, and another rotation reseals the rest (R33)."""
    await install(storage, "a", "b", "c")

    async def second_fails() -> None:
        storage.fail("replace", StorageUnavailable())

    storage.after["replace"] = second_fails
    with pytest.raises(StorageUnavailable):
        await rotate_keys(APP, storage, RING)
    storage.after.clear()
    rotation = await rotate_keys(APP, storage, RING)

    assert Rotation(resealed=2, current=1) == rotation
    assert ["refresh-a", "refresh-b", "refresh-c"] == [
        await refresh_token(storage, site, NEW) for site in "abc"
    ]


async def test_a_refresh_on_its_way_to_wix_is_not_lost(engine: Engine) -> None:
    """A grant made while the record is resealed is stored over it, with one call (R33).

    Resealing does not wait for a refresh for ever.
    """
    waits = ManualClock()

    async def wait(seconds: float) -> None:
        waits.advance(seconds)

    await engine.install(left=0)
    before = await engine.stored()
    derived = derive_key(engine.fake.app_secret, "tokens at rest")
    ring = Vault([NEW, derived])
    engine.installations._vault = ring
    granted: list[str] = []

    async def work() -> None:
        granted.append((await refresh(engine)).value)

    with engine.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await gate.arrived()
            rotation = await rotate_keys(
                engine.fake.app_id, engine.storage, ring, clock=waits, sleep=wait
            )
            gate.release()
    engine.installations._vault = Vault([NEW])
    after = await engine.stored()

    assert Rotation(resealed=1) == rotation
    assert after.access_token is not None
    assert granted == [after.access_token.value]
    assert before.installed_at == after.installed_at
    assert 1 == engine.posts


async def test_resealing_gives_way_to_a_refresh(engine: Engine, storage: Steps) -> None:
    """An installation that is being refreshed is resealed after its new tokens are saved (R33)."""
    await engine.install(left=0)
    ring = Vault([NEW, derive_key(engine.fake.app_secret, "tokens at rest")])
    writes: list[int] = []

    async def let_the_refresh_end(_: float) -> None:
        writes.append(storage.log.count("replace"))
        gate.release()
        await storage.asked("release")

    with engine.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refresh, engine)
            await gate.arrived()
            rotation = await rotate_keys(
                engine.fake.app_id, storage, ring, sleep=let_the_refresh_end
            )

    assert Rotation(resealed=1) == rotation
    assert [0] == writes
    # One write of the worker, which lost no comparison, and one of the rotation.
    assert 2 == storage.log.count("replace")
