"""A storage that is a `ClaimReader` tells the exact owner of a name, and asking changes nothing."""

from __future__ import annotations

from functools import partial
from typing import Final, Protocol

from wix_asgi.storage import ClaimReader, Storage
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.records import CALLERS
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_asking_changes_nothing",
    "test_asking_renews_nothing",
    "test_asking_takes_nothing",
    "test_owner_after_another",
    "test_owner_after_release",
    "test_owner_after_release_by_another",
    "test_owner_after_renewal",
    "test_owner_beside_a_loser",
    "test_owner_is_exact",
    "test_owner_of_a_free_name",
    "test_owner_of_another_name",
    "test_owner_until_seconds_are_over",
    "test_owner_with_no_seconds",
    "test_winner_is_the_owner",
]

_LONG: Final = 60.0  # seconds; longer than any case runs
_SHORT: Final = 0.05  # seconds; over soon


class _Readable(Storage, ClaimReader, Protocol):
    """A storage that tells the owners of claims."""


async def _is_free(storage: _Readable) -> bool:
    return await storage.claim_owner("name") is None


@each(
    "owner",
    {
        "letters": "owner",
        "capitals": "Owner",
        "space behind": "owner ",
        "Unicode form": "e\u0301",
        "wildcard": "%",
        "beyond the BMP": "\U0001f600",
        "quotes": "o'w\"n\\er",
        "JSON": '{"instance_id": "1f0c7a52"}',
        "2000 letters": "o" * 2000,
    },
)
async def test_owner_is_exact(storage: _Readable, owner: str) -> None:
    """The owner of a name is told as it was given, to the code point."""
    await storage.claim("name", owner, _LONG)

    assert owner == await storage.claim_owner("name")


async def test_owner_of_a_free_name(storage: _Readable) -> None:
    """A name that was never claimed has no owner."""
    assert await storage.claim_owner("name") is None


@each("name", {"case": "Name", "space behind": "name ", "beginning": "nam", "wildcard": "nam%"})
async def test_owner_of_another_name(storage: _Readable, name: str) -> None:
    """A name that only looks like a claimed name has no owner."""
    await storage.claim("name", "owner", _LONG)

    assert await storage.claim_owner(name) is None


async def test_owner_after_release(storage: _Readable) -> None:
    """A released name has no owner, and then the next."""
    await storage.claim("name", "first", _LONG)
    await storage.release("name", "first")

    assert await storage.claim_owner("name") is None
    await storage.claim("name", "second", _LONG)
    assert "second" == await storage.claim_owner("name")


async def test_owner_after_release_by_another(storage: _Readable) -> None:
    """A name that another owner tried to release keeps its owner."""
    await storage.claim("name", "first", _LONG)
    await storage.release("name", "second")

    assert "first" == await storage.claim_owner("name")


async def test_owner_until_seconds_are_over(storage: _Readable) -> None:
    """A name has no owner once its seconds are over by the store's clock, without a purge."""
    await storage.claim("name", "owner", _SHORT)
    await until(partial(_is_free, storage))

    assert await storage.claim("name", "other", _LONG)


async def test_owner_with_no_seconds(storage: _Readable) -> None:
    """A name that is claimed for no time has no owner."""
    await storage.claim("name", "owner", 0)

    assert await storage.claim_owner("name") is None


async def test_owner_after_another(storage: _Readable) -> None:
    """The owner that took an expired name is told, and not the owner before."""
    await storage.claim("name", "first", 0)
    await storage.claim("name", "second", _LONG)

    assert "second" == await storage.claim_owner("name")


async def test_owner_after_renewal(storage: _Readable) -> None:
    """A renewal keeps the owner; a renewal for no time leaves none."""
    await storage.claim("name", "owner", _LONG)
    await storage.claim("name", "owner", _LONG)
    assert "owner" == await storage.claim_owner("name")
    await storage.claim("name", "owner", 0)

    assert await storage.claim_owner("name") is None


async def test_owner_beside_a_loser(storage: _Readable) -> None:
    """A caller that did not get a name is not told as its owner."""
    await storage.claim("name", "first", _LONG)
    await storage.claim("name", "second", _LONG)

    assert "first" == await storage.claim_owner("name")


async def test_asking_changes_nothing(storage: _Readable) -> None:
    """Twenty callers that ask at once are told the owner, and it can still renew and release."""
    await storage.claim("name", "owner", _LONG)
    told = await together(*[partial(storage.claim_owner, "name")] * 20)

    assert ["owner"] * 20 == told
    assert not await storage.claim("name", "other", _LONG)
    assert await storage.claim("name", "owner", _LONG)
    await storage.release("name", "owner")
    assert await storage.claim("name", "other", _LONG)


async def test_asking_takes_nothing(storage: _Readable) -> None:
    """A free name that was asked for often stays free for the first caller that claims it."""
    await together(*[partial(storage.claim_owner, "name")] * 20)

    assert await storage.claim("name", "owner", _LONG)
    assert "owner" == await storage.claim_owner("name")


async def test_asking_renews_nothing(storage: _Readable) -> None:
    """A name that is asked for all the time expires nevertheless, and can be claimed."""
    await storage.claim("name", "owner", _SHORT)
    await until(partial(_is_free, storage))

    assert await storage.claim("name", "other", _LONG)
    assert not await storage.claim("name", "owner", _LONG)


async def test_winner_is_the_owner(storage: _Readable) -> None:
    """If twenty callers claim a name at once, the owner told is the caller that got it."""
    won = await together(*[partial(storage.claim, "name", who, _LONG) for who in CALLERS])

    assert [await storage.claim_owner("name")] == [
        who for who, got in zip(CALLERS, won, strict=True) if got
    ]
