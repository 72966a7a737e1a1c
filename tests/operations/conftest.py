"""Two open, empty storages, of one kind or of two, on the loops they run on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wix_asgi.storage import Storage, open_storage


@dataclass(frozen=True)
class Pair:
    """From which backend to which, on which loop."""

    source: str
    target: str
    loop: str

    def __str__(self) -> str:
        return f"{self.source}-{self.target}-{self.loop}"


PAIRS = [
    Pair("memory", "memory", "asyncio"),
    Pair("memory", "memory", "trio"),
    Pair("sqlite", "postgresql", "asyncio"),
    Pair("postgresql", "sqlite", "asyncio"),
]


@pytest.fixture(name="pair", params=PAIRS, ids=str)
def _pair(request: pytest.FixtureRequest) -> Pair:
    pair: Pair = request.param
    return pair


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    """Run on the loop of the pair."""
    return pair.loop


@pytest.fixture(name="urls")
def _urls(pair: Pair, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Give the URLs of empty stores; none of the pairs has two of Postgres."""
    urls = {"memory": "memory://"}
    if "postgresql" in {pair.source, pair.target}:
        urls["postgresql"] = request.getfixturevalue("postgres_url")
    return {**urls, "sqlite": f"sqlite:///{tmp_path}/store.db"}


@pytest.fixture(name="source")
async def _source(pair: Pair, urls: dict[str, str]) -> AsyncIterator[Storage]:
    async with open_storage(urls[pair.source]) as storage:
        yield storage


@pytest.fixture(name="target")
async def _target(pair: Pair, urls: dict[str, str]) -> AsyncIterator[Storage]:
    async with open_storage(urls[pair.target]) as storage:
        yield storage
