"""Writes that are committed, and whose answers are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from chaos.figures import Figure, exactly
from chaos.postgres_cluster import USUAL, Cluster
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage

__all__ = ["answers_lost"]

_NAME: Final = "name"
_OURS, _THEIRS = "ours", "theirs"

Write = Callable[[PostgresStorage], Awaitable[object]]


async def _put(storage: PostgresStorage) -> object:
    await storage.put(record(version="2"))
    return await _version(storage)


async def _replace(storage: PostgresStorage) -> object:
    return await storage.replace(record(version="2"), expected="1"), await _version(storage)


async def _delete(storage: PostgresStorage) -> object:
    await storage.delete(APP, SITE)
    return await _version(storage)


async def _claim(storage: PostgresStorage) -> object:
    return (
        await storage.claim(_NAME, _OURS, 60),
        await storage.claim(_NAME, _THEIRS, 60),
    )


async def _release(storage: PostgresStorage) -> object:
    await storage.release("held", _OURS)
    return await storage.claim("held", _THEIRS, 60)


async def _version(storage: PostgresStorage) -> str | None:
    row = await storage.get(APP, SITE)
    return row.version if row else None


_WRITES: Final[dict[str, tuple[Write, object]]] = {
    "put": (_put, "2"),
    "replace": (_replace, (True, "2")),
    "delete": (_delete, None),
    "claim": (_claim, (True, False)),
    "release": (_release, True),
}


async def answers_lost(cluster: Cluster, *, total: float = USUAL) -> list[Figure]:
    """Cut each kind of write off once between its commit and its answer; try for `total` s."""
    wrong = {}
    async with PostgresStorage(parse_url(cluster.client_url), retry=Retry(total=total)) as storage:
        await storage.claim("held", _OURS, 60)
        for name, (write, expected) in _WRITES.items():
            await storage.put(record(version="1"))
            wrong[name] = expected != await _cut_off(cluster, write(storage))
    return [
        exactly(f"{name} whose answer was lost: wrong answers or rows", cluster.kind, count, 0)
        for name, count in wrong.items()
    ]


async def _cut_off(cluster: Cluster, writing: Awaitable[object]) -> object:
    async with cluster.sessions_with("synchronous_commit", "on"):
        task = asyncio.ensure_future(writing)
        await cluster.commits_unanswered(1)
    await cluster.hang_up()
    return await task
