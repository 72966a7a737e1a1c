"""Shared parts of the tests of the backends."""

from __future__ import annotations

import importlib
import multiprocessing
import sys
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from wix_asgi.errors import StorageUnavailable
from wix_asgi.storage import Storage
from wix_asgi_backends._sql import SQLStorage

# The slow imports are done once for all the processes of a case.
multiprocessing.set_forkserver_preload(
    [
        "wix_asgi.testing.storage.event_processes",
        "wix_asgi.testing.storage.processes",
        "wix_asgi_backends.postgres",
        "wix_asgi_backends.sqlite",
    ]
)

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "custom_backend"


def example() -> Any:
    """Return the class of the example, which is not installed."""
    if str(EXAMPLE) not in sys.path:
        sys.path.append(str(EXAMPLE))
    return importlib.import_module("wix_asgi_jsonfile").JsonFileStorage


def pool_of(engine: AsyncEngine) -> QueuePool:
    """Return the pool of an engine, which can count."""
    assert isinstance(engine.pool, QueuePool)
    return engine.pool


def connections_in_use(storage: Storage) -> int:
    """Return how many connections of a pool have not been given back."""
    assert isinstance(storage, SQLStorage)
    engines = [held.pooled.engine for held in storage._engines._by_loop.values()]
    return sum(pool_of(engine).checkedout() for engine in engines)


def try_for(storage: SQLStorage, total: float) -> None:
    """Have `storage` try each operation that begins from now on for `total` seconds."""
    vars(storage)["_retry"] = replace(storage._retry, total=total)


async def refusal(work: Awaitable[object]) -> str | None:
    """Return the message with which a storage refuses `work`; None if it does not refuse."""
    try:
        await work
    except StorageUnavailable as exc:
        return str(exc)
    return None
