"""Tables of the version before: they get their columns while its workers go on, and back."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.backends import workers_of_before
from tests.backends.workers_of_before import Before, WorkerOfBefore
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.models import AccessToken, Grant, GrantType, Record
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.event_records import event
from wix_asgi.testing.storage_check.records import APP, SITE, read, record, timeless
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage

SITES = [f"site-{number:04}" for number in range(1000)]
LATER = ["grant_type", "origin_instance_id", "owes_on_install", "described_version"]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


@pytest.fixture(name="before", params=["sqlite", "postgres"])
def _before(request: pytest.FixtureRequest, tmp_path: Path) -> Before:
    """Give a database of each engine, with the tables of the version before."""
    if request.param == "sqlite":
        path = tmp_path / "test.db"
        before = workers_of_before.in_sqlite(path, partial(SQLiteStorage, path))
    else:
        url: str = request.getfixturevalue("postgres_url")
        before = workers_of_before.in_postgres(url, partial(PostgresStorage, parse_url(url)))
    anyio.run(before.make_tables)
    return before


async def every_record(storage: Storage) -> list[Record]:
    """Return all records of the app."""
    records, after = list[Record](), ""
    while page := await storage.scan(APP, after=after):
        records += page
        after = page[-1].instance_id
    return records


async def test_thousand_sites(before: Before) -> None:
    """Eight workers open a store of a thousand sites at once, while a worker of before uses it."""
    storages = [before.make_storage() for _ in range(8)]
    opened: list[Storage] = []
    rounds: list[bool] = []

    async def open_one(storage: Storage) -> None:
        await storage.open()
        opened.append(storage)

    async def go_on(worker: WorkerOfBefore) -> None:
        while len(opened) < len(storages):
            site = SITES[len(rounds) % len(SITES)]
            await worker.put(record(site, "installed again"))
            rounds.append(
                await worker.replace(record(site, "refreshed"), expected="installed again")
                and (await worker.get(APP, site))["version"] == "refreshed"
            )

    async with before.worker() as worker:
        for site in SITES:
            await worker.put(record(site))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go_on, worker)
            for storage in storages:
                tasks.start_soon(open_one, storage)
        found = await every_record(storages[0])
        await worker.put(record("one more"))
        added = await storages[1].get(APP, "one more")
        kept = [await storage.add_event(event(alias="alias")) for storage in storages]
    for storage in storages:
        await storage.aclose()

    touched = min(len(rounds), len(SITES))
    assert rounds
    assert all(rounds)
    assert ["refreshed"] * touched == [one.version for one in found[:touched]]
    assert [timeless(record(site)) for site in SITES[touched:]] == [
        timeless(one) for one in found[touched:]
    ]
    assert timeless(record("one more")) == timeless(added)
    assert [True] + [False] * 7 == kept


async def test_names_that_are_held_stay_held(before: Before) -> None:
    """A lease of a worker of before holds for workers of this version, and the other way round."""
    async with before.worker() as worker, before.make_storage() as storage:
        assert await worker.claim("lease", "before", 60)
        assert not await storage.claim("lease", "now", 60)
        assert await storage.claim("another", "now", 60)
        assert not await worker.claim("another", "before", 60)


async def test_back(before: Before) -> None:
    """The version before reads, refreshes and installs sites in a store that this one has written.

    It can unseal the empty refresh token of an installation by client credentials.
    """
    vault = Vault([b"k" * 32])
    async with before.make_storage() as storage, before.worker() as worker:
        rows = InstallationRepository(APP, storage, vault, clock=lambda: 0.0)
        await rows.add(SITE, Grant(AccessToken("test-access-token", 300.0, 300.0)))
        row = await worker.get(APP, SITE)
        unsealed = vault.unseal(
            row["refresh_token"], app_id=APP, instance_id=SITE, field="refresh_token"
        )
        refreshed = await worker.replace(
            record(version="refreshed"), expected=(await rows.require(SITE)).version
        )
        version = (await worker.get(APP, SITE))["version"]

    assert "" == unsealed
    assert refreshed
    assert "refreshed" == version


OURS: dict[str, Any] = {
    "grant_type": GrantType.CLIENT_CREDENTIALS,
    "origin_instance_id": "the copied site",
    "owes_on_install": True,
}
WRITES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "an install": ({}, "put", {"grant_type": None}),
    "a refresh": ({}, "replace", {"grant_type": None}),
    "a failed refresh": ({"failure": "refused"}, "replace", {"failure": None}),
}


@pytest.mark.parametrize(("fields", "step", "changed"), WRITES.values(), ids=WRITES)
async def test_row_that_the_version_before_wrote_last(
    before: Before, fields: dict[str, Any], step: str, changed: dict[str, Any]
) -> None:
    """Tokens by the version before are those of a refresh token, and so are its failures.

    The origin and the debt of `on_install` stay, until this version writes the row.
    """
    written = record(version="version-2", **fields)
    async with before.make_storage() as storage, before.worker() as worker:
        await storage.put(record(**OURS))
        if step == "put":
            await worker.put(written)
        else:
            assert await worker.replace(written, expected="version-1")
        found = [await storage.get(APP, SITE), *await storage.scan(APP)]
        ours = record(version="version-3", **OURS, failure="refused")
        await storage.replace(ours, expected="version-2")
        again = await read(storage)

    assert [timeless(record(version="version-2", **{**OURS, **changed}))] * 2 == [
        timeless(one) for one in found
    ]
    assert timeless(ours) == timeless(again)


async def test_failed_refresh_of_a_refresh_token(before: Before) -> None:
    """A failure that the version before notes for a refresh token holds for this version, too."""
    written = record(version="version-2", failure="refused", retry_in=30.0)
    async with before.make_storage() as storage, before.worker() as worker:
        await storage.put(record(grant_type=GrantType.REFRESH_TOKEN))
        await worker.replace(written, expected="version-1")
        found = await read(storage)

    assert ("refused", GrantType.REFRESH_TOKEN) == (found.failure, found.grant_type)


async def test_columns_are_made_and_named(before: Before) -> None:
    """Making the tables ready names the table and the columns that were added, once."""
    storage = before.make_storage()
    made = [await storage.make_tables() for _ in range(2)]
    await storage.aclose()

    assert [["wix_events", *[f"wix_installations.{name}" for name in LATER]], []] == made


async def test_columns_are_told(before: Before, caplog: pytest.LogCaptureFixture) -> None:
    """The log has a line when columns are added, and none at later starts."""
    caplog.set_level("INFO", "wix_asgi")
    for _ in range(2):
        async with before.make_storage():
            pass
    (line,) = caplog.messages

    assert "is of an older version, and got wix_installations.grant_type, " in line
