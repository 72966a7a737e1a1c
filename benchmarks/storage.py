"""The cost of one row, read, written and claimed, beside the raw driver with these statements."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from benchmarks.rounds import OURS, Comparison, Plan, at_most, in_loop, meter, take_turns
from benchmarks.stores import RawStore, Row, raw_store, servers
from benchmarks.upstream import APP
from wix_asgi.models import Record
from wix_asgi.storage import Storage, open_storage

__all__ = ["measure"]

Work = Callable[[], Awaitable[object]]

GOALS: Final = {"SQLite": 2.0, "Postgres": 1.4}
UNITS: Final = {"cpu": "us of CPU", "time": "us of time"}
_REFRESH, _ACCESS = bytes(600), bytes(1_250)
_LIFETIME = 300_000


def record() -> Record:
    """Return the record that all write."""
    return Record(
        app_id=APP,
        instance_id="site",
        version=secrets.token_hex(16),
        refresh_token=_REFRESH,
        access_token=_ACCESS,
        lifetime=_LIFETIME / 1000,
        expires_in=_LIFETIME / 1000,
    )


def row() -> Row:
    """Return the same for the raw driver."""
    version = secrets.token_hex(16)
    return Row(b"site", APP.encode(), version, _REFRESH, _ACCESS, _LIFETIME, _LIFETIME)


def works(storage: Storage, raw: RawStore) -> dict[str, dict[str, Work]]:
    """Return the operations, each with ours and the raw driver's."""
    return {
        "get": {
            OURS: lambda: storage.get(APP, "site"),
            "raw driver": lambda: raw.get(APP.encode(), b"site"),
        },
        "put": {OURS: lambda: storage.put(record()), "raw driver": lambda: raw.put(row())},
        "claim": {
            OURS: lambda: storage.claim(secrets.token_hex(16), secrets.token_hex(8), 60.0),
            "raw driver": lambda: raw.claim(
                secrets.token_hex(16).encode(), secrets.token_hex(8), 60_000
            ),
        },
    }


async def repeat(work: Work, times: int) -> dict[str, float]:
    """Measure one operation after another."""
    measured = meter()
    for _ in range(times):
        await work()
    return measured.read(times)


async def rows(name: str, url: str, plan: Plan) -> AsyncIterator[Comparison]:
    """Measure one store."""
    times = plan.count(full=500, quick=150)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(open_storage(url))
        raw = await stack.enter_async_context(raw_store(url))
        await storage.put(record())
        for operation, each in works(storage, raw).items():
            for found in await take_turns(
                {peer: partial(repeat, work, times) for peer, work in each.items()},
                plan,
                label=f"{operation}, {name}",
                units=UNITS,
                goals={"raw driver": at_most(GOALS[name])},
            ):
                yield found


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    with servers(OURS) as stores:
        for name, urls in stores.items():
            yield from in_loop(rows(name, urls[OURS], plan))
