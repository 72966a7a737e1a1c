"""A name belongs to one owner at a time, until its seconds are over by the store's clock."""

from __future__ import annotations

from functools import partial
from typing import Final

import anyio

from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.records import APP, CALLERS, SITE, read, record
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_any_number_of_seconds",
    "test_each_has_its_own_seconds",
    "test_exclusive",
    "test_exclusive_at_first",
    "test_exclusive_when_it_ran_out",
    "test_holds_alone",
    "test_losing_changes_nothing",
    "test_names_are_no_ids",
    "test_no_seconds",
    "test_one_gets_it",
    "test_owner_at_once",
    "test_owner_gets_back_what_ran_out",
    "test_owner_gets_it_again",
    "test_owners_are_exact",
    "test_released",
    "test_released_again",
    "test_released_by_another",
    "test_released_by_its_name",
    "test_released_too_late",
    "test_renewal_holds",
    "test_renewal_shortens",
    "test_runs_out",
    "test_winner_is_told",
]

_LONG: Final = 60.0  # seconds; longer than any case runs
_SHORT: Final = 0.05  # seconds; over soon, but not before the call that claims has returned
_NAMES: Final = [f"name-{number}" for number in range(25)]


async def test_one_gets_it(storage: Storage) -> None:
    """A name goes to the first caller that claims it, and to no later caller."""
    assert await storage.claim("name", "first", _LONG)
    assert not await storage.claim("name", "second", _LONG)
    assert not await storage.claim("name", "third", 0)


async def test_losing_changes_nothing(storage: Storage) -> None:
    """A caller that does not get a name takes nothing from its owner."""
    await storage.claim("name", "first", _LONG)
    await storage.claim("name", "second", 0)

    assert not await storage.claim("name", "third", _LONG)
    assert await storage.claim("name", "first", _LONG)


async def test_owner_gets_it_again(storage: Storage) -> None:
    """An owner may claim its name again, and no other caller gets it meanwhile."""
    assert await storage.claim("name", "owner", _LONG)
    assert await storage.claim("name", "owner", _LONG)
    assert not await storage.claim("name", "other", _LONG)


async def test_owner_gets_back_what_ran_out(storage: Storage) -> None:
    """An owner whose claim has expired gets the name again if no other caller took it."""
    assert await storage.claim("name", "owner", 0)
    assert await storage.claim("name", "owner", _LONG)
    assert not await storage.claim("name", "other", _LONG)


@each("seconds", {"longer": 3600.0, "shorter": 1.0})
async def test_renewal_holds(storage: Storage, seconds: float) -> None:
    """A renewed name is held, for a longer or a shorter time than before."""
    assert await storage.claim("name", "owner", _LONG)
    assert await storage.claim("name", "owner", seconds)
    assert not await storage.claim("name", "other", _LONG)


async def test_renewal_shortens(storage: Storage) -> None:
    """A renewal counts the seconds anew, even if they become fewer."""
    assert await storage.claim("name", "owner", _LONG)
    assert await storage.claim("name", "owner", 0)

    assert await storage.claim("name", "other", _LONG)


@each(
    "owners",
    {
        "case": ("owner", "Owner"),
        "space behind": ("owner", "owner "),
        "Unicode form": ("\u00e9", "e\u0301"),
        "beginning": ("owner", "own"),
        "wildcard": ("owner", "%"),
    },
)
async def test_owners_are_exact(storage: Storage, owners: tuple[str, str]) -> None:
    """Owners whose names only look alike are different owners."""
    one, other = owners
    assert await storage.claim("name", one, _LONG)

    assert not await storage.claim("name", other, _LONG)
    await storage.release("name", other)
    assert not await storage.claim("name", "third", _LONG)


@each(
    "seconds",
    {"a millisecond": 0.001, "whole": 2, "a float": 2.0, "parts": 1.5005, "days": 259_200.0},
)
async def test_any_number_of_seconds(storage: Storage, seconds: float) -> None:
    """Names are held from a millisecond up to days, for whole and fractional seconds."""
    assert await storage.claim("name", "owner", seconds)
    assert await storage.claim("name", "owner", seconds)


async def test_no_seconds(storage: Storage) -> None:
    """A name that is claimed for no time is free at once."""
    assert await storage.claim("name", "first", 0)
    assert await storage.claim("name", "second", _LONG)


async def test_runs_out(storage: Storage) -> None:
    """A name is free when its seconds are over by the store's clock, without a purge."""
    assert await storage.claim("name", "first", _SHORT)
    await until(partial(storage.claim, "name", "second", _LONG))

    assert not await storage.claim("name", "first", _LONG)


async def test_each_has_its_own_seconds(storage: Storage) -> None:
    """A name that expires leaves further names of its owner alone."""
    assert await storage.claim("long", "owner", _LONG)
    assert await storage.claim("short", "owner", _SHORT)
    await until(partial(storage.claim, "short", "other", _LONG))

    assert not await storage.claim("long", "other", _LONG)


async def test_released(storage: Storage) -> None:
    """A released name is free."""
    await storage.claim("name", "first", _LONG)
    await storage.release("name", "first")

    assert await storage.claim("name", "second", _LONG)


async def test_released_by_another(storage: Storage) -> None:
    """Only its owner can release a name."""
    await storage.claim("name", "first", _LONG)
    await storage.release("name", "second")

    assert not await storage.claim("name", "second", _LONG)


async def test_released_too_late(storage: Storage) -> None:
    """An owner whose claim has expired cannot release the name of its new owner."""
    await storage.claim("name", "first", 0)
    await storage.claim("name", "second", _LONG)
    await storage.release("name", "first")

    assert not await storage.claim("name", "third", _LONG)


async def test_released_again(storage: Storage) -> None:
    """Releasing a free name, or a name that was never claimed, is harmless."""
    await storage.release("name", "first")
    await storage.claim("name", "first", _LONG)
    await storage.release("name", "first")
    await storage.release("name", "first")

    assert await storage.claim("name", "second", _LONG)


async def test_released_by_its_name(storage: Storage) -> None:
    """Releasing a name keeps further names of its owner."""
    await storage.claim("one", "owner", _LONG)
    await storage.claim("two", "owner", _LONG)
    await storage.release("one", "owner")

    assert not await storage.claim("two", "other", _LONG)


async def test_names_are_no_ids(storage: Storage) -> None:
    """Names and installations with equal ids do not affect each other."""
    await storage.put(record())

    assert await storage.claim(SITE, "owner", _LONG)
    assert await storage.delete(APP, SITE)
    assert not await storage.claim(SITE, "other", _LONG)
    await storage.put(record(version="version-2"))
    await storage.release(SITE, "owner")
    assert "version-2" == (await read(storage)).version


@each("seconds", {"an hour": 3600.0, "no time": 0})
async def test_exclusive(storage: Storage, seconds: float) -> None:
    """If twenty callers claim a released name at once, exactly one gets it."""
    for name in _NAMES:
        await storage.claim(name, "before", seconds)
        await storage.release(name, "before")
    calls = [partial(storage.claim, name, who, _LONG) for name in _NAMES for who in CALLERS]
    won = await together(*calls)
    winners = [call.args[0] for call, got in zip(calls, won, strict=True) if got]

    assert sorted(_NAMES) == sorted(winners)


async def test_exclusive_at_first(storage: Storage) -> None:
    """If twenty callers claim a name that was never claimed, exactly one gets it, every time."""
    calls = [partial(storage.claim, name, who, _LONG) for name in _NAMES for who in CALLERS]
    won = await together(*calls)
    winners = [call.args[0] for call, got in zip(calls, won, strict=True) if got]

    assert sorted(_NAMES) == sorted(winners)


async def test_exclusive_when_it_ran_out(storage: Storage) -> None:
    """If twenty callers claim an expired name, exactly one gets it, every time."""
    for name in _NAMES[:5]:
        await storage.claim(name, "before", 0)
        won = await together(*[partial(storage.claim, name, who, _LONG) for who in CALLERS])

        assert 1 == sum(won)


async def test_winner_is_told(storage: Storage) -> None:
    """The caller that was told it got the name is the caller that can renew and release it."""
    won = await together(*[partial(storage.claim, "name", who, _LONG) for who in CALLERS])
    (winner,) = [who for who, got in zip(CALLERS, won, strict=True) if got]
    again = [await storage.claim("name", who, _LONG) for who in CALLERS]

    assert [winner] == [who for who, got in zip(CALLERS, again, strict=True) if got]
    await storage.release("name", winner)
    assert await storage.claim("name", "another", _LONG)


async def test_owner_at_once(storage: Storage) -> None:
    """An owner that claims its name twenty times at once gets it every time."""
    won = await together(*[partial(storage.claim, "name", "owner", _LONG) for _ in range(20)])

    assert [True] * 20 == won


async def test_holds_alone(storage: Storage) -> None:
    """Callers that wait for a name, and release it, never hold it at the same time."""
    inside: list[str] = []
    most: list[int] = []

    async def hold_name(who: str) -> None:
        await until(partial(storage.claim, "name", who, _LONG))
        inside.append(who)
        most.append(len(inside))
        await anyio.lowlevel.checkpoint()
        inside.remove(who)
        await storage.release("name", who)

    await together(*[partial(hold_name, who) for who in CALLERS[:6]])

    assert [1] * 6 == most
