"""The growth with the number of sites and installs: reads, the memory of tokens, open installs.

A read is measured at the storage, by key, among a thousand rows and among a million, on SQLite and
on a Postgres of its own; the result is the ratio within one run.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from time import monotonic, perf_counter
from typing import Any

from sqlalchemy import text
from starlette.types import Message, Scope

from benchmarks.ours import make_wix
from benchmarks.rounds import Comparison, Plan, alone, at_most, take_turns
from benchmarks.stores import servers
from wix_asgi import WixMiddleware
from wix_asgi.models import AccessToken
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage

__all__ = ["AMONG_FEW", "AMONG_MANY", "APP", "FEW", "MANY", "measure", "stores"]

FEW, MANY = 1_000, 1_000_000
READS = 500
AMONG_FEW, AMONG_MANY = f"among {FEW:,}", f"among {MANY:,}"
CACHED = 10_000
BEGUN = 1_000_000
APP = "benchmark-app"
# One row for each number, whose id is spread over the whole index.
_COLUMNS = (
    "instance_id, app_id, version, refresh_token, access_token, lifetime, expires_at, failure, "
    "retry_at, installed_at"
)
FILL_SQLITE = f"""
WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
INSERT INTO wix_installations ({_COLUMNS})
SELECT CAST(printf('%08x-', (n * 2654435761) % 4294967296) || n AS BLOB), CAST(:app AS BLOB),
  'v', zeroblob(600), zeroblob(800), 300000, 0, NULL, 0, 0 FROM numbers
"""  # noqa: S608 - names of columns alone
FILL_POSTGRES = f"""
INSERT INTO wix_installations ({_COLUMNS})
SELECT convert_to(lpad(to_hex((n * 2654435761) % 4294967296), 8, '0') || '-' || n, 'UTF8'),
  convert_to(:app, 'UTF8'), 'v', decode(repeat('00', 600), 'hex'), decode(repeat('00', 800), 'hex'),
  300000, 0, NULL, 0, 0 FROM generate_series(CAST(:first AS BIGINT), CAST(:last AS BIGINT)) AS n
"""  # noqa: S608 - names of columns alone


def key(number: int) -> str:
    """Return the id of the row of this number."""
    return f"{(number * 2654435761) % 4294967296:08x}-{number}"


@contextmanager
def stores() -> Iterator[dict[str, tuple[SQLStorage, SQLStorage, str]]]:
    """Give two empty stores of each kind, and the statement that fills them."""
    with servers("few", "many") as urls:
        # A million rows are written by one statement.
        postgres = [f"{url}&command_timeout=600" for url in urls["Postgres"].values()]
        few, many = (PostgresStorage(parse_url(url)) for url in postgres)
        yield {
            "SQLite": (
                SQLiteStorage.from_url(urls["SQLite"]["few"]),
                SQLiteStorage.from_url(urls["SQLite"]["many"]),
                FILL_SQLITE,
            ),
            "Postgres": (few, many, FILL_POSTGRES),
        }


async def fill(storage: SQLStorage, statement: str, first: int, last: int) -> None:
    """Add the rows of these numbers, past the storage: one by one would take the day."""
    engine = await storage._engines.current()
    async with engine.connect() as connection:
        await connection.execute(text(statement), {"first": first, "last": last, "app": APP})


async def read(storage: SQLStorage, rows: int) -> dict[str, float]:
    """Return the median microseconds of a read among `rows` rows."""
    chosen = random.Random(7)
    times: list[float] = []
    for _ in range(READS):
        instance_id = key(chosen.randint(1, rows))
        began = perf_counter()
        record = await storage.get(APP, instance_id)
        times.append(perf_counter() - began)
        if record is None:
            raise LookupError(instance_id)
    return {"time": median(times) * 1e6}


async def measure_reads(
    name: str, few: SQLStorage, many: SQLStorage, statement: str, plan: Plan
) -> list[Comparison]:
    """Compare reads among few rows with reads among many."""
    async with few, many:
        await fill(few, statement, 1, FEW)
        await fill(many, statement, 1, MANY)
        return await take_turns(
            {AMONG_MANY: partial(read, many, MANY), AMONG_FEW: partial(read, few, FEW)},
            plan,
            label=f"a read, {name}",
            units={"time": "us of time"},
            goals={AMONG_FEW: at_most(1.3)},
            ours=AMONG_MANY,
            judged="time",
        )


def grown(work: Callable[[], Any]) -> float:
    """Return how many bytes are in use after `work` that were not before."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    work()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return float(after - before)


async def measure_cache() -> tuple[float, float]:
    """Return the bytes for each cached token, and how many of twice the bound are kept."""
    wix = make_wix()

    def fill_cache() -> None:
        for number in range(2 * CACHED):
            value = f"OauthNG.JWS.{number:01200}"
            wix._tokens.adopt(f"site-{number}", AccessToken(value, 300.0, monotonic() + 300))

    size = grown(fill_cache)
    kept = len(wix._tokens._loops.here().cache)
    return size / kept, float(kept)


async def measure_begun() -> tuple[float, float]:
    """Return the bytes and the claims that are left of installs begun and abandoned."""
    wix = make_wix()
    app = WixMiddleware(_nothing, wix)
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/wix/install",
        "query_string": b"token=abc",
        "headers": [],
    }
    async with wix:
        for _ in range(1000):
            await app(scope, _receive, _send)
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(BEGUN):
            await app(scope, _receive, _send)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return float(after - before), float(await wix.storage.purge())


async def _nothing(scope: Scope, receive: Any, send: Any) -> None:
    del scope, receive, send


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Message) -> None:
    del message


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    with stores() as made:
        for name, (few, many, statement) in made.items():
            yield from asyncio.run(measure_reads(name, few, many, statement, plan))
    size, kept = asyncio.run(measure_cache())
    yield alone("a cached token of 1.2 kB", "bytes", size)
    yield alone(f"of {2 * CACHED:,} sites", "cached tokens", kept, at_most(CACHED))
    left, claims = asyncio.run(measure_begun())
    yield alone(f"{BEGUN:,} installs begun and abandoned", "bytes left", left)
    yield alone(f"{BEGUN:,} installs begun and abandoned", "claims left", claims, at_most(0))
