"""The contract: a scan gives every record once, in order, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.storage.records import APP, record
from wix_asgi.models import Record
from wix_asgi.storage import Storage

UNORDERED = [
    "b",
    "a",
    "B",
    "A",
    "Z",
    "z",
    "-",
    "aa",
    "\u00e9",
    "e",
    "\uffff",
    "\U0001f600",
    "10",
    "9",
]


async def pages(storage: Storage, limit: int) -> AsyncIterator[list[Record]]:
    """Read all of the app's records."""
    after = ""
    while page := await storage.scan(APP, after=after, limit=limit):
        yield list(page)
        after = page[-1].instance_id


async def test_empty(storage: Storage) -> None:
    """An app without installations has an empty page."""
    await storage.put(record(app_id="another"))

    assert list(await storage.scan(APP)) == []


@pytest.mark.parametrize("limit", [1, 3, len(UNORDERED), 100])
async def test_order_of_code_points(storage: Storage, limit: int) -> None:
    """Pages of any size have all ids in the order of their code points, each of them once."""
    for instance_id in UNORDERED:
        await storage.put(record(instance_id))
    found = [r.instance_id async for page in pages(storage, limit) for r in page]

    assert found == sorted(UNORDERED)


async def test_page_is_as_long_as_asked_for(storage: Storage) -> None:
    """A page holds a hundred records unless another limit is given, and begins behind `after`."""
    for number in range(101):
        await storage.put(record(f"{number:03}"))

    assert len(await storage.scan(APP)) == 100
    assert [r.instance_id for r in await storage.scan(APP, after="099")] == ["100"]
    assert [r.instance_id for r in await storage.scan(APP, after="0985", limit=1)] == ["099"]
    assert list(await storage.scan(APP, after="100")) == []


async def test_records_are_whole(storage: Storage) -> None:
    """A scan tells of a record what reading it does."""
    await storage.put(record(failure="refused", retry_in=5.0))
    (scanned,) = await storage.scan(APP)
    read = await storage.get(scanned.app_id, scanned.instance_id)

    assert read is not None
    assert (scanned.refresh_token, scanned.access_token) == (read.refresh_token, read.access_token)
    assert (scanned.version, scanned.failure) == (read.version, read.failure)
    assert (scanned.lifetime, scanned.installed_at) == (read.lifetime, read.installed_at)
    assert scanned.expires_in >= read.expires_in > 0


async def test_writing_between_pages(storage: Storage) -> None:
    """A record that stays is on one page, whatever is written and removed beside it."""
    staying = [f"{number:02}" for number in range(0, 20, 2)]
    for instance_id in staying:
        await storage.put(record(instance_id))
    await storage.put(record("05"))
    found: list[str] = []
    async for page in pages(storage, 2):
        found += [r.instance_id for r in page]
        await storage.put(record("00", f"changed-{len(found)}"))
        await storage.put(record(f"01-{len(found)}"))
        await storage.delete(APP, "05")

    assert [instance_id for instance_id in found if instance_id in staying] == staying
