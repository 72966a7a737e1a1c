"""The example of a backend by somebody else keeps the contract, on both event loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.backends.support import example
from wix_asgi.storage import Storage
from wix_asgi.testing.storage import *
from wix_asgi.testing.storage.adding import *
from wix_asgi.testing.storage.processes import *
from wix_asgi.testing.storage.unreachable import *

JsonFileStorage = example()


@pytest.fixture(params=["asyncio", "trio"])  # type: ignore[no-redef] # users of the suite override its defaults in this way
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops."""
    loop: str = request.param
    return loop


@pytest.fixture
def make_storage(tmp_path: Path) -> Callable[[], Storage]:
    """Return a function that makes storages over one file."""
    return partial(JsonFileStorage, tmp_path / "store.json")


@pytest.fixture
def unreachable_storage(tmp_path: Path) -> Storage:
    """Give a storage in a directory that is not there."""
    storage: Storage = JsonFileStorage(tmp_path / "missing" / "store.json")
    return storage
