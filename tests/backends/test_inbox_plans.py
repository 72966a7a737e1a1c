"""The plans of the statements on events: none grows with the number of done events."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from tests.backends.databases import Database
from tests.backends.inboxes import Sent, add_ended, sent
from tests.backends.plans import generic_plan
from wix_asgi.models import EventState
from wix_asgi.testing.storage_check.event_records import EVENT, LONG, OWNER, PAYLOAD, event
from wix_asgi.testing.storage_check.records import APP
from wix_asgi_backends._sql import SQLStorage

CALLS: Final[dict[str, Callable[[SQLStorage], Awaitable[object]]]] = {
    "add": lambda storage: storage.add_event(event("new", alias="new")),
    "take": lambda storage: storage.take_events(APP, "another", limit=4, lease=LONG),
    "renew": lambda storage: storage.renew_event(APP, EVENT, OWNER, lease=LONG, outcomes=""),
    "finish": lambda storage: storage.finish_event(APP, EVENT, OWNER, keep=LONG, outcomes=""),
    "postpone": lambda storage: storage.postpone_event(APP, EVENT, OWNER, delay=0, outcomes=""),
    "event": lambda storage: storage.event(APP, EVENT),
    "all": lambda storage: storage.events(APP, after="done5"),
    "waiting": lambda storage: storage.events(APP, state=EventState.WAITING),
    "done": lambda storage: storage.events(APP, state=EventState.DONE, after="done5"),
    "dead": lambda storage: storage.events(APP, state=EventState.DEAD),
    "count": lambda storage: storage.count_events(APP, limit=1000),
    "retry": lambda storage: storage.retry_event(APP, EVENT, outcomes=""),
    "retry_expected": lambda storage: storage.retry_event(APP, EVENT, outcomes="", expected=""),
    "drop": lambda storage: storage.drop_event(APP, EVENT, keep=LONG),
    "forget": lambda storage: storage.drop_event(APP, EVENT, keep=0),
    "reseal": lambda storage: storage.reseal_event(APP, EVENT, b"newer", expected=PAYLOAD),
    "purge": lambda storage: storage.purge_events(),
}

# Rows; at fewer a planner may find it cheaper to read the table.
DONE: Final = 20_000
FAR: Final = 9_000_000_000_000  # milliseconds since 1970

# A part of a plan that reads a whole table of ours, or sorts the due events of a backlog.
GROWING: Final = re.compile(r"\bSCAN (wix_events|due|held|batch)\b|Seq Scan on wix_events")


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


async def plans(storage: SQLStorage, statements: Sent) -> str:
    """Return how the database carries out the statements on events.

    Postgres does it in two ways: for these values, and for any values.
    """
    engine = await storage._engines.current()
    explain = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}[engine.dialect.name]
    lines: list[str] = []
    async with engine.connect() as connection:
        for statement, parameters in statements:
            if "wix_events" in statement:
                found = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
                lines += [str(row[-1]) for row in found]
                if engine.dialect.name == "postgresql":
                    lines += await generic_plan(connection, statement)
    return "\n".join(lines)


async def test_no_call_reads_all_done_events(database: Database) -> None:
    """Among many done events each call finds its rows by an index with a few rows."""
    async with database.make_storage() as storage:
        await storage.add_event(event())
        await storage.take_events(APP, OWNER, limit=1, lease=LONG)
        await add_ended(storage, DONE, expires_at=FAR)
        engine = await storage._engines.current()
        async with engine.connect() as connection:
            await connection.exec_driver_sql("ANALYZE")
        found: dict[str, str] = {}
        for name, call in CALLS.items():
            with sent(storage) as statements:
                await call(storage)
            found[name] = await plans(storage, statements)

    assert {} == {name: plan for name, plan in found.items() if GROWING.search(plan)}
    assert "wix_events_due_at" in found["take"]
    assert "wix_events_expires_at" in found["purge"]
    assert "wix_events_due_at" in found["count"]
    assert "wix_events_state" in found["dead"]


async def test_taking_looks_up_the_chosen_events(database: Database) -> None:
    """Beside a backlog of due events the few taken events are looked up by their key."""
    async with database.make_storage() as storage:
        engine = await storage._engines.current()
        await add_ended(storage, DONE, expires_at=FAR)
        async with engine.connect() as connection:
            await connection.exec_driver_sql(
                "UPDATE wix_events SET state = 'waiting', due_at = 1, expires_at = NULL"
            )
            await connection.exec_driver_sql("ANALYZE")
        with sent(storage) as statements:
            taken = await storage.take_events(APP, OWNER, limit=4, lease=LONG)
        found = await plans(storage, statements)

    key = {"sqlite": "INDEX sqlite_autoindex_wix_events_1", "postgresql": "using wix_events_pkey"}
    assert 4 == len(taken)
    assert key[engine.dialect.name] in found
    assert GROWING.search(found) is None
    assert "MULTI-INDEX OR" not in found
    assert "BitmapOr" not in found
