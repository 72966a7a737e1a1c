"""The growth of the inbox with its done events: adding and taking, among a thousand and a million.

Measured at the storage, on SQLite and on a Postgres of its own; the result is the ratio within one
run. A million done events are those of 72 hours at four a second.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime
from functools import partial
from statistics import median
from time import perf_counter
from typing import Final

from sqlalchemy import text

from benchmarks.growth import AMONG_FEW, AMONG_MANY, APP, FEW, MANY, stores
from benchmarks.rounds import Comparison, Plan, at_most, take_turns
from wix_asgi.models import EventRecord
from wix_asgi_backends._sql import SQLStorage

__all__ = ["measure"]

EVENTS = 200
STEP: Final = 250_000
"""Rows of one statement: a million at once would be one transaction of minutes."""

_COLUMNS: Final = (
    "event_id, app_id, alias, event_type, instance_id, payload, issued_at, received_at, state, "
    "attempts, due_at, taken_due_at, expires_at, owner, outcomes, failure"
)
# Ids are spread over the whole index; the events end one after another within three days.
FILL_SQLITE: Final = f"""
WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
INSERT INTO wix_events ({_COLUMNS})
SELECT CAST(printf('%08x%024x', (n * 2654435761) % 4294967296, n) AS BLOB), CAST(:app AS BLOB),
  CAST(printf('%08x%024x', (n * 2246822519) % 4294967296, n) AS BLOB), CAST('order' AS BLOB),
  CAST('site' AS BLOB), NULL, :now, :now, 'done', 1, NULL, NULL, :now + n * 250, 'owner', '', NULL
FROM numbers
"""  # noqa: S608 - names of columns alone
FILL_POSTGRES: Final = f"""
INSERT INTO wix_events ({_COLUMNS})
SELECT convert_to(lpad(to_hex((n * 2654435761) % 4294967296), 8, '0') || lpad(to_hex(n), 24, '0'),
    'UTF8'), convert_to(:app, 'UTF8'),
  convert_to(lpad(to_hex((n * 2246822519) % 4294967296), 8, '0') || lpad(to_hex(n), 24, '0'),
    'UTF8'), 'order'::bytea, 'site'::bytea, NULL, CAST(:now AS BIGINT), CAST(:now AS BIGINT),
  'done', 1, NULL, NULL, CAST(:now AS BIGINT) + n * 250, 'owner', '', NULL
FROM generate_series(CAST(:first AS BIGINT), CAST(:last AS BIGINT)) AS n
"""  # noqa: S608 - names of columns alone


async def fill(storage: SQLStorage, statement: str, first: int, last: int) -> None:
    """Add done events of these numbers, past the storage: one by one would take the day."""
    engine = await storage._engines.current()
    now = round(datetime.now(UTC).timestamp() * 1000)
    for begin in range(first, last + 1, STEP):
        given = {"first": begin, "last": min(last, begin + STEP - 1), "app": APP, "now": now}
        async with engine.connect() as connection:
            await connection.execute(text(statement), given)


async def timed(work: Awaitable[object]) -> float:
    """Return the seconds of one call."""
    began = perf_counter()
    await work
    return perf_counter() - began


async def one_round(storage: SQLStorage) -> dict[str, float]:
    """Return the median microseconds of adding, taking and finishing an event."""
    times: dict[str, list[float]] = {"add": [], "take": [], "finish": []}
    for _ in range(EVENTS):
        event_id, owner = secrets.token_hex(16), secrets.token_hex(16)
        record = EventRecord(
            app_id=APP,
            event_id=event_id,
            alias=secrets.token_hex(16),
            event_type="order",
            instance_id="site",
            payload=bytes(2000),
            issued_at=datetime.now(UTC),
        )
        times["add"].append(await timed(storage.add_event(record)))
        times["take"].append(await timed(storage.take_events(APP, owner, limit=4, lease=20.0)))
        finished = storage.finish_event(APP, event_id, owner, keep=259_200.0, outcomes="")
        times["finish"].append(await timed(finished))
    return {name: median(each) * 1e6 for name, each in times.items()}


async def measure_inbox(
    name: str, few: SQLStorage, many: SQLStorage, statement: str, plan: Plan
) -> list[Comparison]:
    """Compare each step among few done events with the same among many."""
    async with few, many:
        await fill(few, statement, 1, FEW)
        await fill(many, statement, 1, MANY)
        found = await take_turns(
            {AMONG_MANY: partial(one_round, many), AMONG_FEW: partial(one_round, few)},
            plan,
            label=f"an event, {name}",
            units={step: f"us of time to {step}" for step in ("add", "take", "finish")},
            ours=AMONG_MANY,
            judged="take",
        )
    for comparison in found:
        comparison.goals = {AMONG_FEW: at_most(1.3)}
    return found


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    with stores() as made:
        fills = {"SQLite": FILL_SQLITE, "Postgres": FILL_POSTGRES}
        for name, (few, many, _) in made.items():
            yield from asyncio.run(measure_inbox(name, few, many, fills[name], plan))
