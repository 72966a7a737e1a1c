"""Checking a store in use finds its faults, and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import asyncpg
import pytest

from tests.backends.of_before import OfBefore
from tests.backends.support import example
from tests.testing.storage_suite import broken, expected
from wix_asgi.models import Record
from wix_asgi.storage import AddingStorage, ClaimReader, EventStorage, Storage
from wix_asgi.testing.storage_check import (
    Finding,
    adding,
    check,
    claim_owners,
    combining,
    restoring,
)
from wix_asgi.testing.storage_check._sandbox import Sandbox
from wix_asgi.testing.storage_check.catalogue import EVENTS, functions
from wix_asgi.testing.storage_check.event_records import event
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends.memory import MemoryStorage
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage

LEFT = "What was written can be removed."


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as most backends do."""
    return "asyncio"


@pytest.fixture(name="in_utc", autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the time zone in which the expected failures of naive times were written down."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


async def fill(storage: Storage) -> None:
    """Put into a store the contents of a live store: records, held and expired names, an event."""
    await storage.put(record())
    await storage.put(record(app_id="another", failure="refused"))
    await storage.claim("held", "owner", 3600)
    await storage.claim("over", "owner", 0)
    if isinstance(storage, EventStorage):
        await storage.add_event(event(alias="alias"))


def cases(findings: Sequence[Finding]) -> set[str]:
    """Return the names of the cases that failed."""
    return {finding.case for finding in findings}


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_memory(loop: str) -> None:
    """The storage in memory keeps every rule, and has the same contents afterwards."""

    async def main() -> None:
        storage = MemoryStorage()
        await fill(storage)
        # An expired claim may be removed while others are made.
        before = dict(storage._rows), {"held": storage._claims["held"]}

        assert [] == await check(storage)
        assert before == (storage._rows, {k: v for k, v in storage._claims.items() if k != "over"})

    anyio.run(main, backend=loop)


async def test_jsonfile(tmp_path: Path) -> None:
    """The example keeps every rule, and its file is the same to the byte."""
    path = tmp_path / "store.json"  # a test has its loop for itself
    async with example()(path) as storage:
        await fill(storage)
        before = path.read_bytes()

        assert [] == await check(storage)
        assert before == path.read_bytes()


async def test_sqlite(tmp_path: Path) -> None:
    """The storage in a file keeps every rule, and its tables are the same to the byte."""
    async with SQLiteStorage(tmp_path / "store.db") as storage:
        await fill(storage)
        before = await sqlite_rows(storage)

        assert [] == await check(storage)
        assert before == await sqlite_rows(storage)
        assert 5 == len(before)


async def sqlite_rows(storage: SQLiteStorage) -> list[Any]:
    """Return all rows of all tables."""
    engine = await storage._engines.current()
    async with engine.connect() as connection:
        found = [
            await connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608
            for table in ("wix_installations", "wix_claims", "wix_events")
        ]
        return [tuple(row) for result in found for row in result]


async def test_postgres(postgres_url: str) -> None:
    """The storage in Postgres keeps every rule, and its tables are the same to the byte."""

    async def rows() -> list[Any]:
        connection = await asyncpg.connect(postgres_url)
        try:
            return [
                tuple(row)
                for table in ("wix_installations", "wix_claims", "wix_events")
                for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608
            ]
        finally:
            await connection.close()

    async with PostgresStorage.from_url(postgres_url) as storage:
        await fill(storage)
        before = await rows()

        assert [] == await check(storage)
        assert before == await rows()
        assert 5 == len(before)


FAULTS_OF_COMBINING = [
    (broken.ClaimsAnyVersion, expected.CLAIMED_CHANGED),
    (broken.ClaimsOnce, expected.CLAIMED_ONCE),
    (broken.ClaimsOverOthers, expected.CLAIMED_OVER),
    (broken.FreesAnyName, expected.FREED),
    (broken.FreesWithoutWriting, expected.FREED_UNWRITTEN),
    (broken.KeepsTheName, expected.KEPT_NAMES),
    (broken.ReplacesAnyVersion, expected.REPLACED_ANY),
    (broken.ReturnsWhatWasPut, expected.NOT_AS_STORED),
]
FAULTS_OF_RESTORING = [
    (broken.RestoresAsNow, expected.DATES),
    (broken.RestoresAtTheEpoch, expected.RESTORED_UNDATED),
    (broken.RestoresOver, expected.RESTORED_OVER),
]


@pytest.mark.parametrize(
    ("backend", "found"),
    [
        (broken.SelectThenDelete, expected.CLAIMS | {"test_winner_is_the_owner"}),
        (broken.FoldedOwners, expected.OWNERS),
        (broken.LooksThenAdds, expected.ADDED_TWICE),
        (broken.AddsOver, expected.ADDED_OVER),
        (broken.FormerFields, expected.FORMER),
        (broken.LastWriterWins, expected.REPLACED),
        (broken.NaiveTimes, expected.TIMES),
        (broken.FoldedKeys, expected.KEYS | expected.KEYS_OF_CAPABILITIES),
        (broken.SwallowedErrors, set()),
        *FAULTS_OF_COMBINING,
        *FAULTS_OF_RESTORING,
    ],
)
async def test_faults(backend: Callable[[], MemoryStorage], found: set[str]) -> None:
    """The faults that a store in use shows are found by cases of the suite, which are named."""
    storage = backend()
    await fill(storage)
    # An expired claim may be removed while others are made.
    before = dict(storage._rows), {"held": storage._claims["held"]}
    findings = await check(storage)

    assert found == cases(findings)
    assert all(finding.rule.endswith(".") for finding in findings)
    assert before == (storage._rows, {k: v for k, v in storage._claims.items() if k != "over"})


@pytest.mark.parametrize(
    ("module", "faults"), [(combining, FAULTS_OF_COMBINING), (restoring, FAULTS_OF_RESTORING)]
)
def test_every_case_finds_a_fault(
    module: ModuleType, faults: list[tuple[object, set[str]]]
) -> None:
    """Each case of these capabilities fails for a storage with some fault."""
    assert {*module.__all__} == set().union(*(found for _, found in faults))


async def test_what_is_told() -> None:
    """A finding has the rule and the line that did not hold, and no value."""
    findings = await check(broken.LastWriterWins())
    (told,) = (finding for finding in findings if finding.case == "test_replace_of_another_version")

    assert (
        "A record that was changed in between is left as it is.",
        "test_replace_of_another_version",
        'AssertionError at: assert not await storage.replace(_CHANGED, expected="version-0")',
    ) == (told.rule, told.case, told.seen)


class Keeping(MemoryStorage):
    """Removes nothing, and shows everybody's records to everybody."""

    async def delete(self, *_: Any, **__: Any) -> bool:
        return True

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        del app_id, after
        return [self._read(*key) or record() for key in [*self._rows][:limit]]


async def test_what_cannot_be_removed() -> None:
    """Records that stay behind are reported with their prefix; no other app's record is touched."""
    storage = Keeping()
    await fill(storage)
    findings = [finding for finding in await check(storage) if finding.rule == LEFT]

    assert "something is left under wix-asgi-check-" in findings[0].seen
    assert "(LookupError)" in findings[0].seen
    assert await storage.get(APP, SITE) is not None


async def test_caller_gives_up() -> None:
    """A check that is cancelled leaves nothing behind."""
    storage = MemoryStorage()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(check, storage)
            while not storage._claims:  # until the check has begun to write
                await anyio.lowlevel.checkpoint()
            scope.cancel()

    assert ({}, {}) == (storage._rows, storage._claims)


async def test_capability_that_is_missing(tmp_path: Path) -> None:
    """A storage is asked for the capabilities that it has."""

    def names(storage: Storage) -> set[str]:
        return {function.__name__ for function in functions(storage)}

    without_owners, without_adding = example()(tmp_path / "store.json"), OfBefore()

    assert not isinstance(without_owners, ClaimReader)
    assert not isinstance(without_adding, AddingStorage)
    both = {name for module in (*EVENTS, combining, restoring) for name in module.__all__}
    assert {*claim_owners.__all__, *both} == names(MemoryStorage()) - names(without_owners)
    assert {*adding.__all__, *both} == names(MemoryStorage()) - names(without_adding)


async def test_storage_of_the_contract_before() -> None:
    """A storage that was written against the contract before keeps every rule that it knew."""
    assert [] == await check(OfBefore())


async def test_sandbox_is_a_storage() -> None:
    """The sandbox of the cases is a storage that neither purges nor closes the real storage."""
    storage = MemoryStorage()
    await fill(storage)
    async with Sandbox(storage) as sandbox:
        assert isinstance(sandbox, Storage)
        assert await sandbox.get(APP, SITE) is None
        assert 0 == await sandbox.purge()
        await sandbox.aclose()

    assert 1 == await storage.purge()
