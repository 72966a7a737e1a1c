"""Every backend, as a parameter: its URL, an open storage, and the loops it runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.storage.cases import CASES, Case, connections_in_use, make_storage
from wix_asgi.storage import Storage


@pytest.fixture(name="case", params=CASES, ids=lambda case: f"{case.backend}-{case.loop}")
def _case(request: pytest.FixtureRequest) -> Case:
    case: Case = request.param
    return case


@pytest.fixture
def anyio_backend(case: Case) -> str:
    """Run on the loop of the case."""
    return case.loop


@pytest.fixture(name="url")
def _url(case: Case, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty store."""
    if case.backend == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"{case.backend}:///{tmp_path}/store"


@pytest.fixture(name="make")
def _make(case: Case, url: str) -> Iterator[Callable[[], Storage]]:
    """Give what makes another storage of the same contents; none leaves a connection in use."""
    made: list[Storage] = []

    def make() -> Storage:
        if case.backend != "memory" or not made:
            made.append(make_storage(url))
        return made[-1]

    yield make
    for storage in made:
        assert connections_in_use(storage) == 0


@pytest.fixture(name="storage")
async def _storage(make: Callable[[], Storage]) -> AsyncIterator[Storage]:
    """Give an open, empty storage."""
    async with make() as storage:
        yield storage
        assert connections_in_use(storage) == 0
