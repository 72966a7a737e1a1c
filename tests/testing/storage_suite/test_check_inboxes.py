"""Checking an inbox in use finds its faults, names the capability, and leaves its events alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import pytest

from tests.backends.of_before import OfBefore
from tests.backends.support import example
from tests.cli.commands import run
from tests.testing.storage_suite import broken_inboxes, expected_inboxes
from wix_asgi.cli import _operating
from wix_asgi.models import EventRecord, EventState
from wix_asgi.storage import EventStorage
from wix_asgi.testing.storage_check import check
from wix_asgi.testing.storage_check._sandbox import Sandbox
from wix_asgi.testing.storage_check.catalogue import EVENTS, functions
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
    LONG,
    OWNER,
    dead,
    done,
    event,
    keep_all,
    take,
    timeless_event,
)
from wix_asgi.testing.storage_check.records import APP
from wix_asgi_backends.memory import MemoryStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as most backends do."""
    return "asyncio"


async def fill(storage: MemoryStorage) -> None:
    """Put into an inbox the contents of a live one: events in all states, due ones among them."""
    await keep_all(storage, "dead", "done", "over")
    await take(storage)
    await dead(storage, "dead")
    await done(storage, "done")
    await storage.finish_event(APP, "over", OWNER, keep=0, outcomes="")
    await keep_all(storage, "taken")
    await take(storage, "another")
    await keep_all(storage, "due", alias="alias", due_in=-LONG)
    await keep_all(storage, "due", app_id="another app", due_in=-LONG)


async def contents(storage: EventStorage) -> Sequence[EventRecord | None]:
    """Return all events of a live inbox."""
    found = [*await storage.events(APP), *await storage.events("another app")]
    return [timeless_event(one) for one in found]


@pytest.mark.parametrize(
    ("backend", "found"),
    [
        (broken_inboxes.ForgetsAliases, expected_inboxes.ALIASES),
        (broken_inboxes.ForgetsDone, expected_inboxes.DELETED),
        (broken_inboxes.LooksThenKeeps, expected_inboxes.KEPT_TWICE),
        (broken_inboxes.FoldsEventKeys, expected_inboxes.FOLDED),
        (broken_inboxes.GivesTwice, expected_inboxes.GIVEN_TWICE),
        (broken_inboxes.TakesBeforeDue, expected_inboxes.TOO_EARLY),
        (broken_inboxes.TakesAllApps, expected_inboxes.OTHER_APPS),
        (broken_inboxes.TakesTheNewest, expected_inboxes.NEWEST),
        (broken_inboxes.CountsRepetitions, expected_inboxes.REPETITIONS),
        (broken_inboxes.IgnoresOwners, expected_inboxes.OWNERS),
        (broken_inboxes.RenewsForeignLeases, expected_inboxes.OWNERS),
        (broken_inboxes.LosesLapsedLeases, expected_inboxes.LAPSED),
        (broken_inboxes.LosesOutcomes, expected_inboxes.OUTCOMES),
        (broken_inboxes.LosesDeadPayloads, expected_inboxes.DEAD_PAYLOADS),
        (broken_inboxes.KeepsDonePayloads, expected_inboxes.DONE_PAYLOADS),
        (broken_inboxes.CountsShutdowns, expected_inboxes.SHUTDOWNS),
        (broken_inboxes.PostponedIsHeld, expected_inboxes.POSTPONED),
        (broken_inboxes.RetriesTaken, expected_inboxes.RETRIED),
        (broken_inboxes.RetriesWithAnyOutcomes, expected_inboxes.RETRIED_BLINDLY),
        (broken_inboxes.ResealsAnything, expected_inboxes.RESEALED),
        (broken_inboxes.FiltersPages, expected_inboxes.PAGES),
        (broken_inboxes.CountsByPages, expected_inboxes.AGES),
        (MemoryStorage, set()),
    ],
)
async def test_faults_of_inboxes(backend: Callable[[], MemoryStorage], found: set[str]) -> None:
    """Each fault of an inbox is found by the cases that are about it, and by no other."""
    storage = backend()
    await fill(storage)
    before = await contents(storage)
    findings = await check(storage)

    assert found == {finding.case.partition("[")[0] for finding in findings}
    assert {"EventStorage"} >= {finding.capability for finding in findings}
    assert before == await contents(storage)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_inbox_in_memory(loop: str) -> None:
    """The inbox in memory keeps every rule on both event loops, and has the same events after."""

    async def main() -> None:
        storage = MemoryStorage()
        await fill(storage)
        before = await contents(storage)

        assert [] == await check(storage)
        assert before == await contents(storage)
        assert [] == _left(storage)

    anyio.run(main, backend=loop)


def _left(storage: MemoryStorage) -> list[str]:
    """Return the apps of the check whose events are left."""
    return [
        app_id
        for app_id, inbox in storage._inboxes.items()
        if inbox.events and app_id.startswith("wix-asgi-check-")
    ]


async def test_check_that_is_cancelled_leaves_no_event() -> None:
    """A check that is cancelled among the cases of the inbox leaves no event behind."""
    storage = MemoryStorage()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(check, storage)
            while not _left(storage):
                await anyio.lowlevel.checkpoint()
            scope.cancel()

    assert [] == _left(storage)


class KeepsDropped(MemoryStorage):
    """Removes no event, and shows everybody's events to everybody."""

    async def drop_event(self, app_id: str, event_id: str, *, keep: float) -> bool:
        return await super().drop_event(app_id, event_id, keep=keep or LONG)

    async def events(
        self, app_id: str, *, state: EventState | None = None, after: str = "", limit: int = 100
    ) -> Sequence[EventRecord]:
        foreign = await super().events(APP, state=state, after=after, limit=limit)
        return [*await super().events(app_id, state=state, after=after, limit=limit), *foreign]


async def test_events_that_cannot_be_removed() -> None:
    """Events that stay behind are reported with their prefix; no other app's event is touched."""
    storage = KeepsDropped()
    await fill(storage)
    before = [timeless_event(one) for one in await MemoryStorage.events(storage, APP)]
    findings = [one for one in await check(storage) if one.rule.startswith("What was written")]

    assert findings
    assert {"EventStorage"} == {one.capability for one in findings}
    assert "something is left under wix-asgi-check-" in findings[0].seen
    assert "(LookupError)" in findings[0].seen
    assert before == [timeless_event(one) for one in await MemoryStorage.events(storage, APP)]


async def test_sandbox_is_an_inbox() -> None:
    """The sandbox of the cases is an inbox of its own, which purges nothing of the real one."""
    storage = MemoryStorage()
    await fill(storage)
    sandbox = Sandbox(storage)

    assert isinstance(sandbox, EventStorage)
    assert [] == await sandbox.events(APP)
    assert [] == await take(sandbox)
    assert await sandbox.add_event(event())
    assert 0 == await sandbox.purge_events()
    assert [EVENT] == await take(sandbox)
    assert 1 == await storage.purge_events()


def test_storage_without_an_inbox(tmp_path: Path) -> None:
    """A storage without an inbox is not asked for one."""
    names = {name for module in EVENTS for name in module.__all__}
    asked = {
        function.__name__
        for storage in (example()(tmp_path / "store.json"), OfBefore())
        for function in functions(storage)
    }

    assert not isinstance(OfBefore(), EventStorage)
    assert set() == names & asked
    assert names <= {function.__name__ for function in functions(MemoryStorage())}


def test_report_names_the_capability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command tells of each broken rule which protocol it belongs to."""
    monkeypatch.setattr(_operating, "open_storage", lambda _: broken_inboxes.RetriesTaken())
    (tmp_path / "store.db").touch()
    result = run("storage", "check", f"sqlite:///{tmp_path}/store.db")

    assert 1 == result.exit_code
    assert (
        "A taken event is not retried: its owner keeps it, with its attempts and outcomes. "
        "(EventStorage)\n    test_retry_of_a_taken_event: AssertionError at: assert not await "
    ) in result.output
    assert "store.db does not keep 1 of the rules." in " ".join(result.output.split())
