"""A Postgres that answers nothing, and many callers for few connections."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from chaos.figures import Figure, at_most, exactly, noted
from chaos.postgres_cluster import USUAL, Cluster
from tests.backends.support import connections_in_use, refusal, try_for
from wix_asgi.testing.storage_check.records import APP, record
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage

__all__ = ["silence"]

_POOL: Final = 10


async def silence(
    cluster: Cluster,
    *,
    callers: int,
    total: float,
    least: float,
    patience: float = USUAL,
) -> list[Figure]:
    """Have the server paused until all callers have given up, which they do after `total` seconds.

    Before and after it their storage tries for `patience` seconds.
    """
    target = parse_url(f"{cluster.client_url}&pool_size={_POOL}")
    waits: list[float] = []

    async def call(storage: PostgresStorage, number: int) -> bool:
        began = time.monotonic()
        said = await refusal(storage.put(record(f"site-{number}")))
        waits.append(time.monotonic() - began)
        return said is not None

    async def call_together(storage: PostgresStorage) -> int:
        return sum(await asyncio.gather(*(call(storage, number) for number in range(callers))))

    async with PostgresStorage(target, retry=Retry(total=patience)) as storage:
        await call_together(storage)
        waits.clear()
        began = time.monotonic()
        try_for(storage, total)
        async with cluster.paused():
            refused = await call_together(storage)
            await asyncio.sleep(began + least - time.monotonic())
        try_for(storage, patience)
        longest = max(waits)
        began = time.monotonic()
        failed = await call_together(storage)
        recovery = time.monotonic() - began
        left = connections_in_use(storage)
        stored = len(await storage.scan(APP, limit=callers + 1))
    what, store = f"paused before {callers} callers", cluster.kind
    return [
        exactly(f"{what}: refused", store, refused, callers),
        exactly(f"{what}: refused when it goes on", store, failed, 0),
        exactly(f"{what}: rows", store, stored, callers),
        exactly(f"{what}: connections not given back", store, left, 0),
        at_most(f"{what}: longest wait, s", store, longest, 30, timed=True),
        noted(f"{what}: until all are served when it goes on, s", store, recovery),
    ]
