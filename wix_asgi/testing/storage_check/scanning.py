"""A scan returns every record once, in order, page by page, even during concurrent writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from wix_asgi.models import Record
from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.key_values import ORDER, UNORDERED
from wix_asgi.testing.storage_check.records import APP, put_all, record, timeless
from wix_asgi.testing.storage_check.tasks import together

__all__ = [
    "test_after",
    "test_after_what_was_removed",
    "test_changing_between_pages",
    "test_empty",
    "test_limit",
    "test_order_of_code_points",
    "test_order_of_two",
    "test_page_of_a_hundred",
    "test_records_are_whole",
    "test_removing_between_pages",
    "test_short_page_is_the_last",
    "test_writing_at_once",
    "test_writing_between_pages",
]


async def _pages(storage: Storage, limit: int) -> AsyncIterator[list[Record]]:
    """Yield the pages of all records of the app."""
    after = ""
    while page := await storage.scan(APP, after=after, limit=limit):
        assert page[0].instance_id > after
        yield list(page)
        after = page[-1].instance_id


def _ids(page: list[Record]) -> list[str]:
    return [found.instance_id for found in page]


async def test_empty(storage: Storage) -> None:
    """An app without installations has an empty page."""
    await storage.put(record(app_id="another"))

    assert [] == list(await storage.scan(APP))


@each("limit", {"one": 1, "a few": 3, "all of them": len(UNORDERED), "more": 100})
async def test_order_of_code_points(storage: Storage, limit: int) -> None:
    """Pages of any size list every id once, in the order of the code points."""
    await put_all(storage, *UNORDERED)
    found = [instance_id async for page in _pages(storage, limit) for instance_id in _ids(page)]

    assert sorted(UNORDERED) == found


@each("pair", ORDER)
async def test_order_of_two(storage: Storage, pair: tuple[str, str]) -> None:
    """Ids are compared code point by code point, also with the beginning of a page."""
    first, second = pair
    await put_all(storage, second, first)

    assert [first, second] == _ids([*await storage.scan(APP)])
    assert [second] == _ids([*await storage.scan(APP, after=first)])
    assert [] == list(await storage.scan(APP, after=second))


async def test_page_of_a_hundred(storage: Storage) -> None:
    """A page holds a hundred records unless another limit is given."""
    ids = [f"{number:03}" for number in range(101)]
    await together(*[partial(storage.put, record(instance_id)) for instance_id in ids])

    assert ids[:100] == _ids([*await storage.scan(APP)])
    assert ["100"] == _ids([*await storage.scan(APP, after="099")])


@each("limit", {"1": 1, "2": 2, "4": 4})
async def test_limit(storage: Storage, limit: int) -> None:
    """A page is filled up to its limit as far as there are records."""
    await put_all(storage, "a", "b", "c", "d")

    assert ["a", "b", "c", "d"][:limit] == _ids([*await storage.scan(APP, limit=limit)])


async def test_short_page_is_the_last(storage: Storage) -> None:
    """A page that is shorter than its limit is the last page."""
    await put_all(storage, "a", "b", "c")

    assert ["a", "b", "c"] == _ids([*await storage.scan(APP, limit=4)])
    assert [] == list(await storage.scan(APP, after="c", limit=4))


@each(
    "start",
    {
        "before all": ("0", ["a", "c"]),
        "at the first": ("a", ["c"]),
        "between": ("b", ["c"]),
        "just behind": ("a\x00", ["c"]),
        "at the last": ("c", []),
        "behind all": ("\U0010ffff", []),
    },
)
async def test_after(storage: Storage, start: tuple[str, list[str]]) -> None:
    """A page begins behind `after`, even if no record has that id."""
    after, expected = start
    await put_all(storage, "a", "c")

    assert expected == _ids([*await storage.scan(APP, after=after)])


async def test_after_what_was_removed(storage: Storage) -> None:
    """A page may begin behind a record that was removed."""
    await put_all(storage, "a", "b", "c")
    await storage.delete(APP, "b")

    assert ["c"] == _ids([*await storage.scan(APP, after="b")])


async def test_records_are_whole(storage: Storage) -> None:
    """A scan returns the same fields of a record as reading it."""
    await storage.put(record(failure="refused", retry_in=5.0))
    (scanned,) = await storage.scan(APP)
    read = await storage.get(scanned.app_id, scanned.instance_id)

    assert read is not None
    assert timeless(read) == timeless(scanned)
    assert read.installed_at == scanned.installed_at
    assert scanned.expires_in >= read.expires_in > 0
    assert scanned.retry_in >= read.retry_in


async def test_writing_between_pages(storage: Storage) -> None:
    """A record that stays is on exactly one page, despite writes and removals between the pages."""
    staying = [f"{number:02}" for number in range(0, 20, 2)]
    await put_all(storage, *staying, "05")
    found: list[str] = []
    async for page in _pages(storage, 2):
        found += _ids(page)
        await storage.put(record("00", f"changed-{len(found)}"))
        await storage.put(record(f"01-{len(found)}"))
        await storage.delete(APP, "05")

    assert staying == [instance_id for instance_id in found if instance_id in staying]


async def test_changing_between_pages(storage: Storage) -> None:
    """A record that is refreshed or installed again between the pages is on exactly one page."""
    staying = [f"{number:02}" for number in range(10)]
    await put_all(storage, *staying)
    found: list[str] = []
    async for page in _pages(storage, 3):
        found += _ids(page)
        for instance_id in staying:
            await storage.put(record(instance_id, f"changed-{len(found)}"))

    assert staying == found


async def test_removing_between_pages(storage: Storage) -> None:
    """A record removed before its page is missing there, and every other record is present."""
    await put_all(storage, *"abcdefgh")
    found: list[str] = []
    async for page in _pages(storage, 2):
        found += _ids(page)
        await storage.delete(APP, "b")
        await storage.delete(APP, "e")

    assert [*"abcdfgh"] == found


async def test_writing_at_once(storage: Storage) -> None:
    """A scan beside ten writers returns the records that stay, each once, and in order."""
    staying = [f"{number:02}" for number in range(10)]
    await put_all(storage, *staying)

    async def write(instance_id: str) -> list[str]:
        for number in range(3):
            await storage.put(record(f"{instance_id}-{number}"))
            await storage.put(record(instance_id, f"changed-{number}"))
            await storage.delete(APP, f"{instance_id}-{number}")
        return staying

    async def scan() -> list[str]:
        found = [instance_id async for page in _pages(storage, 4) for instance_id in _ids(page)]
        assert sorted(set(found)) == found
        return [instance_id for instance_id in found if instance_id in staying]

    scans = await together(*[partial(write, one) for one in staying], scan, scan)

    assert [staying] * 12 == scans
