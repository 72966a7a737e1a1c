"""Compare-and-swap: `replace` writes only for a caller that knows the stored version."""

from __future__ import annotations

from functools import partial
from typing import Final

import anyio

from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.records import APP, SITE, installed_at, read, record, timeless
from wix_asgi.testing.storage_check.tasks import together

__all__ = [
    "test_no_update_is_lost",
    "test_replace_has_one_winner",
    "test_replace_in_a_row",
    "test_replace_keeps_the_installation",
    "test_replace_may_take_away",
    "test_replace_of_another_version",
    "test_replace_of_nothing",
    "test_replace_of_one_site",
    "test_replace_of_what_was_installed_again",
    "test_replace_of_what_was_removed",
    "test_replace_or_removal",
    "test_replace_repeated",
    "test_replace_twice",
    "test_replace_writes_all",
    "test_versions_are_exact",
]

_COUNT_SECONDS: Final = 30.0  # for one increment; it only ends a test in which no caller ever wins
_CHANGED: Final = record(
    version="version-2",
    refresh_token=b"rotated",
    access_token=b"fresh",
    lifetime=600.0,
    failure="later",
)


async def test_replace_writes_all(storage: Storage) -> None:
    """A refresh writes every field of the record."""
    await storage.put(record())

    assert await storage.replace(_CHANGED, expected="version-1")
    assert timeless(_CHANGED) == timeless(await storage.get(APP, SITE))


async def test_replace_may_take_away(storage: Storage) -> None:
    """A refresh writes None and empty fields as well: no field of the old record remains."""
    await storage.put(record(failure="refused"))
    least = record(version="version-2", refresh_token=b"", access_token=None, lifetime=0.0)

    assert await storage.replace(least, expected="version-1")
    assert timeless(least) == timeless(await storage.get(APP, SITE))


async def test_replace_keeps_the_installation(storage: Storage) -> None:
    """A refresh leaves the moment of the installation as it was."""
    await storage.put(record())
    first = await installed_at(storage)
    await storage.replace(_CHANGED, expected="version-1")

    assert first == await installed_at(storage)


async def test_replace_of_another_version(storage: Storage) -> None:
    """A record that was changed in between is left as it is."""
    await storage.put(record())

    assert not await storage.replace(_CHANGED, expected="version-0")
    assert timeless(record()) == timeless(await storage.get(APP, SITE))


@each(
    "versions",
    {
        "case": ("abc", "ABC"),
        "space behind": ("abc", "abc "),
        "beginning": ("abc", "ab"),
        "Unicode form": ("\u00e9", "e\u0301"),
        "wildcard": ("abc", "a%"),
        "number": ("1", "01"),
    },
)
async def test_versions_are_exact(storage: Storage, versions: tuple[str, str]) -> None:
    """A version that only looks like the stored version does not match it."""
    stored, expected = versions
    await storage.put(record(version=stored))

    assert not await storage.replace(_CHANGED, expected=expected)
    assert stored == (await read(storage)).version


async def test_replace_twice(storage: Storage) -> None:
    """The second of two refreshes that expect the same version writes nothing."""
    await storage.put(record())

    assert await storage.replace(_CHANGED, expected="version-1")
    assert not await storage.replace(record(version="version-3"), expected="version-1")
    assert timeless(_CHANGED) == timeless(await storage.get(APP, SITE))


async def test_replace_repeated(storage: Storage) -> None:
    """A refresh that was written, and is repeated, is not written again."""
    await storage.put(record())

    assert await storage.replace(_CHANGED, expected="version-1")
    assert not await storage.replace(_CHANGED, expected="version-1")
    assert timeless(_CHANGED) == timeless(await storage.get(APP, SITE))


async def test_replace_in_a_row(storage: Storage) -> None:
    """Refreshes that each know the version before them are all written."""
    await storage.put(record(version="0"))
    written = [
        await storage.replace(record(version=f"{number + 1}"), expected=f"{number}")
        for number in range(5)
    ]

    assert [True] * 5 == written
    assert "5" == (await read(storage)).version


async def test_replace_of_nothing(storage: Storage) -> None:
    """A refresh of a site that was never installed writes nothing."""
    assert not await storage.replace(record(), expected="version-1")
    assert await storage.get(APP, SITE) is None
    assert [] == list(await storage.scan(APP))


async def test_replace_of_what_was_removed(storage: Storage) -> None:
    """A refresh that ends after an uninstall brings nothing back."""
    await storage.put(record())
    await storage.delete(APP, SITE)

    assert not await storage.replace(_CHANGED, expected="version-1")
    assert await storage.get(APP, SITE) is None


async def test_replace_of_what_was_installed_again(storage: Storage) -> None:
    """A refresh that ends after another install leaves the newer install alone."""
    await storage.put(record())
    again = record(version="version-of-the-second-install")
    await storage.put(again)

    assert not await storage.replace(_CHANGED, expected="version-1")
    assert timeless(again) == timeless(await storage.get(APP, SITE))


async def test_replace_of_one_site(storage: Storage) -> None:
    """A refresh leaves the remaining sites of the app alone, even if the versions are equal."""
    await storage.put(record("one"))
    await storage.put(record("two"))

    assert await storage.replace(record("one", "version-2"), expected="version-1")
    assert timeless(record("two")) == timeless(await storage.get(APP, "two"))


async def test_replace_has_one_winner(storage: Storage) -> None:
    """If twenty callers replace the same version at once, exactly one succeeds and is stored."""
    await storage.put(record())
    versions = [f"from-{number}" for number in range(20)]
    written = await together(
        *[
            partial(storage.replace, record(version=version), expected="version-1")
            for version in versions
        ]
    )
    stored = await read(storage)

    assert [stored.version] == [v for v, won in zip(versions, written, strict=True) if won]


async def test_no_update_is_lost(storage: Storage) -> None:
    """Ten callers that read, change and replace a record, and repeat that, lose no change."""
    await storage.put(record(refresh_token=b"0"))
    await together(*[partial(count, storage, f"task-{number}", 3) for number in range(10)])

    assert b"30" == (await read(storage)).refresh_token


async def count(storage: Storage, who: str, times: int) -> None:
    """Add one to the number in the record, `times` times."""
    for step in range(times):
        written, deadline = False, anyio.current_time() + _COUNT_SECONDS
        while not written:
            assert anyio.current_time() < deadline
            stored = await read(storage)
            await anyio.lowlevel.checkpoint()
            counted = b"%d" % (int(stored.refresh_token) + 1)
            written = await storage.replace(
                record(version=f"{who}-{step}-{counted.decode()}", refresh_token=counted),
                expected=stored.version,
            )


async def test_replace_or_removal(storage: Storage) -> None:
    """A refresh and a removal at once leave no record, in either order."""
    for number in range(10):
        await storage.put(record())
        version = f"version-{number + 2}"
        _, removed = await together(
            partial(storage.replace, record(version=version), expected="version-1"),
            partial(storage.delete, APP, SITE),
        )

        assert removed
        assert await storage.get(APP, SITE) is None
