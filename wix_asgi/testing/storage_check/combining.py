"""A storage that is a `CombiningStorage` takes two steps at once, as it takes each alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from wix_asgi.storage import AddingStorage, CombiningStorage, Storage
from wix_asgi.testing.storage_check.records import (
    APP,
    CALLERS,
    SITE,
    full_record,
    installed_at,
    read,
    record,
    timeless,
)
from wix_asgi.testing.storage_check.tasks import together

__all__ = [
    "test_add_and_get",
    "test_add_and_get_has_one_winner",
    "test_add_and_get_leaves_what_is_there",
    "test_claim_of_a_changed_row",
    "test_claim_of_a_missing_row",
    "test_claim_of_a_row_beside_replacements",
    "test_claim_of_a_row_has_one_winner",
    "test_claim_of_an_unchanged_row",
    "test_claim_of_another_owner",
    "test_put_and_get",
    "test_put_and_get_over_a_record",
    "test_replace_and_release",
    "test_replace_and_release_leaves_another_owner",
    "test_replace_and_release_of_another_version",
    "test_replace_and_release_repeated",
]

_LONG: Final = 60.0  # seconds; longer than any case runs
_SITES: Final = [f"site-{number}" for number in range(10)]
_FULL: Final = full_record()


class _Combining(Storage, AddingStorage, CombiningStorage, Protocol):
    """A storage that takes two steps at once."""


async def _claim(storage: _Combining, owner: str, version: str, site: str = SITE) -> bool:
    return await storage.claim_unchanged(
        f"name-{site}", owner, _LONG, app_id=APP, instance_id=site, version=version
    )


async def test_put_and_get(storage: _Combining) -> None:
    """An installed record is returned as it is read then, with its moment and its durations."""
    put = await storage.put_and_get(_FULL)
    found = await read(storage)

    assert timeless(_FULL) == timeless(put) == timeless(found)
    assert put.installed_at == found.installed_at
    assert abs(put.expires_in - found.expires_in) < _LONG
    assert abs(put.retry_in - found.retry_in) < _LONG


async def test_put_and_get_over_a_record(storage: _Combining) -> None:
    """A second install is returned with its own moment, and with nothing of the first."""
    await storage.put(_FULL)
    first = await installed_at(storage)
    put = await storage.put_and_get(record(version="version-2"))

    assert timeless(record(version="version-2")) == timeless(put)
    assert put.installed_at is not None
    assert first <= put.installed_at == await installed_at(storage)


async def test_add_and_get(storage: _Combining) -> None:
    """An added record is returned as it is read then."""
    added = await storage.add_and_get(_FULL)

    assert added is not None
    assert timeless(_FULL) == timeless(added) == timeless(await read(storage))
    assert added.installed_at == await installed_at(storage)


async def test_add_and_get_leaves_what_is_there(storage: _Combining) -> None:
    """Where there is a record, None is returned, and the record stays."""
    await storage.put(record())
    first = await installed_at(storage)

    assert await storage.add_and_get(record(version="version-2")) is None
    assert timeless(record()) == timeless(await read(storage))
    assert first == await installed_at(storage)


async def test_add_and_get_has_one_winner(storage: _Combining) -> None:
    """If twenty callers add a site at once, one is given its own record, which is stored."""
    calls = [partial(storage.add_and_get, record(version=caller)) for caller in CALLERS]
    (winner,) = [added for added in await together(*calls) if added is not None]

    assert winner.version == (await read(storage)).version


async def test_claim_of_an_unchanged_row(storage: _Combining) -> None:
    """A name is claimed where the version is as it was seen, and renewed by its owner."""
    await storage.put(record())

    assert await _claim(storage, "owner", "version-1")
    assert await _claim(storage, "owner", "version-1")
    assert not await storage.claim(f"name-{SITE}", "other", _LONG)


async def test_claim_of_a_changed_row(storage: _Combining) -> None:
    """Where the version is another one, the name stays free."""
    await storage.put(record(version="version-2"))

    assert not await _claim(storage, "owner", "version-1")
    assert await storage.claim(f"name-{SITE}", "other", _LONG)


async def test_claim_of_a_missing_row(storage: _Combining) -> None:
    """Where there is no record, the name stays free."""
    await storage.put(record("another-site"))
    await storage.put(record(app_id="another-app"))

    assert not await _claim(storage, "owner", "version-1")
    assert await storage.claim(f"name-{SITE}", "other", _LONG)


async def test_claim_of_another_owner(storage: _Combining) -> None:
    """A name that another owner has is not given, though the version is as it was seen."""
    await storage.put(record())
    await storage.claim(f"name-{SITE}", "other", _LONG)

    assert not await _claim(storage, "owner", "version-1")
    assert await storage.claim(f"name-{SITE}", "other", _LONG)


async def test_claim_of_a_row_has_one_winner(storage: _Combining) -> None:
    """If twenty callers claim a name at once, exactly one gets it."""
    await storage.put(record())
    won = await together(*[partial(_claim, storage, caller, "version-1") for caller in CALLERS])

    assert 1 == sum(won)


async def test_claim_of_a_row_beside_replacements(storage: _Combining) -> None:
    """A claim at the moment in which its holder replaces the row succeeds by no old version."""
    for site in _SITES:
        name = f"name-{site}"
        await storage.put(record(site))
        await storage.claim(name, "holder", _LONG)
        calls: list[Callable[[], Awaitable[bool]]] = [
            partial(
                storage.replace_and_release,
                record(site, "version-2"),
                expected="version-1",
                name=name,
                owner="holder",
            ),
            *[partial(_claim, storage, caller, "version-1", site) for caller in CALLERS[:5]],
        ]

        assert [True, *[False] * 5] == await together(*calls)


async def test_replace_and_release(storage: _Combining) -> None:
    """A record is replaced, keeps its moment, and the name is free."""
    await storage.put(record())
    first = await installed_at(storage)
    await storage.claim("name", "owner", _LONG)
    newer = record(version="version-2", refresh_token=b"another")

    assert await storage.replace_and_release(
        newer, expected="version-1", name="name", owner="owner"
    )
    assert timeless(newer) == timeless(await read(storage))
    assert first == await installed_at(storage)
    assert await storage.claim("name", "other", _LONG)


async def test_replace_and_release_of_another_version(storage: _Combining) -> None:
    """Where the version is another one, the record stays, and so does the name with its owner."""
    await storage.put(record(version="version-2"))
    await storage.claim("name", "owner", _LONG)

    assert not await storage.replace_and_release(
        record(version="version-3"), expected="version-1", name="name", owner="owner"
    )
    assert "version-2" == (await read(storage)).version
    assert not await storage.claim("name", "other", _LONG)
    assert await storage.claim("name", "owner", _LONG)


async def test_replace_and_release_leaves_another_owner(storage: _Combining) -> None:
    """The name of another owner stays claimed, and the record is replaced."""
    await storage.put(record())
    await storage.claim("name", "other", _LONG)

    assert await storage.replace_and_release(
        record(version="version-2"), expected="version-1", name="name", owner="owner"
    )
    assert "version-2" == (await read(storage)).version
    assert not await storage.claim("name", "owner", _LONG)


async def test_replace_and_release_repeated(storage: _Combining) -> None:
    """A second replacement of a version that is gone writes nothing."""
    await storage.put(record())
    replace = partial(
        storage.replace_and_release,
        record(version="version-2"),
        expected="version-1",
        name="name",
        owner="owner",
    )

    assert [True, False] == [await replace(), await replace()]
    assert "version-2" == (await read(storage)).version
