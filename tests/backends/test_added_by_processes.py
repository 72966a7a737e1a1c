"""A record is added once over several processes, on each backend that they can share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from wix_asgi.storage import AddingStorage, Storage
from wix_asgi.testing.storage.processes import in_processes
from wix_asgi.testing.storage_check.records import record
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage

SITES = [f"site-{number}" for number in range(25)]


@pytest.fixture(name="make_storage", params=["sqlite", "postgres"])
def _make_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Storage]:
    """Return a function that makes storages over one store."""
    if request.param == "sqlite":
        return partial(SQLiteStorage, tmp_path / "store.db")
    return partial(PostgresStorage.from_url, request.getfixturevalue("postgres_url"))


async def add(storage: Storage, number: int) -> list[str]:
    """Add all sites; return those that were added."""
    assert isinstance(storage, AddingStorage)
    return [site for site in SITES if await storage.add(record(site, f"of-process-{number}"))]


def test_one_process_adds(make_storage: Callable[[], Storage]) -> None:
    """If four processes add the same sites, each site is added by exactly one process."""
    added = in_processes(add, make_storage, "asyncio", 4)

    assert sorted(SITES) == sorted(
        site for sites in added for site in (sites if isinstance(sites, list) else [str(sites)])
    )
