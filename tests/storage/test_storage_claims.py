"""The contract: of any number of callers, one gets a name."""

from __future__ import annotations

import anyio
import pytest

from tests.storage.cases import Case
from tests.storage.records import until
from wix_asgi.storage import Storage

LONG = 60.0
SHORT = 0.05
ROUNDS = 25


async def test_one_gets_it(storage: Storage) -> None:
    """A name goes to the first who asks."""
    assert await storage.claim("name", "first", LONG)
    assert not await storage.claim("name", "second", LONG)


async def test_names_are_exact(storage: Storage) -> None:
    """Names that differ in case or in Unicode form are different names."""
    assert await storage.claim("name", "first", LONG)
    assert await storage.claim("Name", "second", LONG)
    assert await storage.claim("n\u00e5me", "third", LONG)
    assert await storage.claim("na\u030ame", "fourth", LONG)


async def test_owner_gets_it_again(storage: Storage) -> None:
    """An owner renews what it has, and nobody else gets it meanwhile."""
    assert await storage.claim("name", "owner", 0)
    assert await storage.claim("name", "owner", LONG)
    assert await storage.claim("name", "owner", LONG)
    assert await storage.purge() == 0
    assert not await storage.claim("name", "other", LONG)


async def test_seconds_are_counted_anew(storage: Storage) -> None:
    """A renewal sets the seconds that are left, to fewer as well."""
    assert await storage.claim("name", "owner", LONG)
    assert await storage.claim("name", "owner", 0)

    assert await storage.claim("name", "other", LONG)


async def test_exclusive(storage: Storage) -> None:
    """Of twenty callers at once, one gets the name, in every round (R4)."""
    winners: dict[str, list[str]] = {f"round-{number}": [] for number in range(ROUNDS)}

    async def claim(name: str, owner: str) -> None:
        if await storage.claim(name, owner, LONG):
            winners[name].append(owner)

    async with anyio.create_task_group() as tasks:
        for name in winners:
            for number in range(20):
                tasks.start_soon(claim, name, f"caller-{number}")

    assert [len(owners) for owners in winners.values()] == [1] * ROUNDS


async def test_exclusive_when_it_ran_out(storage: Storage) -> None:
    """Of twenty callers for a name that ran out, one gets it (R4)."""
    await storage.claim("name", "before", 0)
    winners: list[str] = []

    async def claim(owner: str) -> None:
        if await storage.claim("name", owner, LONG):
            winners.append(owner)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(claim, f"caller-{number}")

    assert len(winners) == 1


async def test_runs_out(storage: Storage) -> None:
    """A name is free when its seconds are over by the store's clock (R5)."""
    assert await storage.claim("name", "first", SHORT)
    await until(lambda: storage.claim("name", "second", LONG))

    assert not await storage.claim("name", "first", LONG)


async def test_released(storage: Storage) -> None:
    """A name that was given back is free."""
    await storage.claim("name", "first", LONG)
    await storage.release("name", "first")

    assert await storage.claim("name", "second", LONG)


async def test_released_by_another(storage: Storage) -> None:
    """Only its owner gives a name back; another, or one too late, changes nothing."""
    await storage.claim("name", "first", LONG)
    await storage.release("name", "second")
    await storage.release("no such name", "first")

    assert not await storage.claim("name", "second", LONG)


async def test_purge(storage: Storage) -> None:
    """What ran out is removed and counted; what is held stays (R8)."""
    for number in range(5):
        await storage.claim(f"short-{number}", "owner", 0)
    await storage.claim("long", "owner", LONG)

    assert await storage.purge() == 5
    assert await storage.purge() == 0
    assert not await storage.claim("long", "other", LONG)


@pytest.mark.parametrize("ttl", [0.001, 2, 2.0, 259_200.0])
async def test_any_number_of_seconds(storage: Storage, case: Case, ttl: float) -> None:
    """Names are held from a millisecond up to days."""
    assert await storage.claim(case.backend, "owner", ttl)
    assert await storage.claim(case.backend, "owner", ttl)
