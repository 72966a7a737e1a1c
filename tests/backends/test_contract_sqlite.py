"""The storage in an SQLite file keeps the contract, over several processes too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.backends.support import connections_in_use as count
from wix_asgi.storage import Storage
from wix_asgi.testing.storage import *
from wix_asgi.testing.storage.adding import *
from wix_asgi.testing.storage.claim_owners import *
from wix_asgi.testing.storage.combining import *
from wix_asgi.testing.storage.event_processes import *
from wix_asgi.testing.storage.event_unreachable import *
from wix_asgi.testing.storage.events import *
from wix_asgi.testing.storage.processes import *
from wix_asgi.testing.storage.restoring import *
from wix_asgi.testing.storage.unreachable import *
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.sqlite import SQLiteStorage


@pytest.fixture
def make_storage(tmp_path: Path) -> Callable[[], Storage]:
    """Return a function that makes storages over one file."""
    return partial(SQLiteStorage, tmp_path / "store.db")


@pytest.fixture
def unreachable_storage(tmp_path: Path) -> Storage:
    """Give a storage over a file that is no database."""
    path = tmp_path / "diary.db"
    path.write_bytes(b"this is a diary, not a database " * 100)
    return SQLiteStorage(path, retry=Retry(total=0.3))


@pytest.fixture  # type: ignore[no-redef] # users of the suite override its defaults in this way
def connections_in_use() -> Callable[[Storage], int]:
    """Count the connections of the pool."""
    return count
