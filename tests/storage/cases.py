"""The backends as the tests of the contract see them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wix_asgi.storage import Storage
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends.memory import MemoryStorage
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "custom_backend"


def example() -> Any:
    """Return the class of the example, which is not installed."""
    if str(EXAMPLE) not in sys.path:
        sys.path.append(str(EXAMPLE))
    return importlib.import_module("wix_asgi_jsonfile").JsonFileStorage


FACTORIES: dict[str, Callable[[str], Storage]] = {
    "jsonfile": example().from_url,
    "memory": MemoryStorage.from_url,
    "postgres": PostgresStorage.from_url,
    "postgresql": PostgresStorage.from_url,
    "sqlite": SQLiteStorage.from_url,
}


@dataclass(frozen=True)
class Case:
    """A backend on an event loop."""

    backend: str
    loop: str


CASES = [
    Case("memory", "asyncio"),
    Case("memory", "trio"),
    Case("sqlite", "asyncio"),
    Case("postgres", "asyncio"),
    Case("jsonfile", "asyncio"),
    Case("jsonfile", "trio"),
]


def make_storage(url: str) -> Storage:
    """Return the storage of `url`, not opened yet."""
    return FACTORIES[url.partition(":")[0]](url)


def connections_in_use(storage: Storage) -> int:
    """Return how many connections of a pool have not been given back."""
    if not isinstance(storage, SQLStorage):
        return 0
    engines = [held.engine for held in storage._engines._by_loop.values()]
    return sum(engine.pool.checkedout() for engine in engines)  # type: ignore[attr-defined] # a queue's
