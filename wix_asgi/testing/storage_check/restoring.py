"""A storage that is a `RestoringStorage` writes records with the dates that they have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

from wix_asgi.storage import RestoringStorage, Storage
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
    "test_restore",
    "test_restore_has_one_winner",
    "test_restore_leaves_what_is_there",
    "test_restore_of_another_version",
    "test_restore_of_another_version_beside_none",
    "test_restore_over_a_record",
    "test_restore_over_a_record_repeated",
    "test_restore_without_a_date",
    "test_restored_dates_decide_removals",
]

_DATE: Final = datetime(2020, 2, 29, 23, 59, 59, 123000, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_FULL: Final = full_record(installed_at=_DATE)


class _Restoring(Storage, RestoringStorage, Protocol):
    """A storage that writes records with their dates."""


async def test_restore(storage: _Restoring) -> None:
    """A record is written with its date and every other field."""
    assert await storage.restore(_FULL)
    assert timeless(_FULL) == timeless(await read(storage))
    assert _DATE == await installed_at(storage)


async def test_restore_without_a_date(storage: _Restoring) -> None:
    """A record without a date is written as installed at this moment."""
    await storage.put(record("another-site"))

    assert await storage.restore(record())
    assert await installed_at(storage, "another-site") <= await installed_at(storage)


async def test_restore_leaves_what_is_there(storage: _Restoring) -> None:
    """Where there is a record, nothing is written unless its version is named."""
    await storage.put(record())
    first = await installed_at(storage)

    assert not await storage.restore(record(version="version-2", installed_at=_DATE))
    assert timeless(record()) == timeless(await read(storage))
    assert first == await installed_at(storage)


async def test_restore_over_a_record(storage: _Restoring) -> None:
    """Where the stored version is the named one, the record is written over, and its date too."""
    await storage.put(record(version="version-0"))

    assert await storage.restore(_FULL, expected="version-0")
    assert timeless(_FULL) == timeless(await read(storage))
    assert _DATE == await installed_at(storage)


async def test_restore_over_a_record_repeated(storage: _Restoring) -> None:
    """A second restoration over a version that is gone writes nothing."""
    await storage.put(record(version="version-0"))
    restore = partial(storage.restore, _FULL, expected="version-0")

    assert [True, False] == [await restore(), await restore()]


async def test_restore_of_another_version(storage: _Restoring) -> None:
    """Where the stored version is another one, the record stays, and its date too."""
    await storage.put(record(version="version-2"))
    first = await installed_at(storage)

    assert not await storage.restore(_FULL, expected="version-0")
    assert "version-2" == (await read(storage)).version
    assert first == await installed_at(storage)


async def test_restore_of_another_version_beside_none(storage: _Restoring) -> None:
    """Where a version is named and there is no record, none is made."""
    assert not await storage.restore(_FULL, expected="version-0")
    assert await storage.get(APP, SITE) is None


async def test_restore_has_one_winner(storage: _Restoring) -> None:
    """If twenty callers restore a site at once, exactly one writes it."""
    calls = [
        partial(storage.restore, record(version=caller, installed_at=_DATE)) for caller in CALLERS
    ]
    won = await together(*calls)

    assert 1 == sum(won)
    assert (await read(storage)).version == CALLERS[won.index(True)]


async def test_restored_dates_decide_removals(storage: _Restoring) -> None:
    """A removal spares what was restored with its moment or a later one, as after an install."""
    await storage.restore(_FULL)

    assert not await storage.delete(APP, SITE, installed_before=_DATE)
    assert await storage.delete(APP, SITE, installed_before=_DATE + _SECOND)
