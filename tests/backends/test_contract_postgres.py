"""The storage in Postgres keeps the contract, behind PgBouncer and over several processes too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.backends.support import connections_in_use as count
from tests.daemons import execute
from tests.postgres_server import database
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
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage


@pytest.fixture(name="shared_url", scope="module")
def _shared_url(postgres_server: str) -> Iterator[str]:
    """Give the URL of a database for all cases; a new one for each would take most of the time."""
    with database(postgres_server) as url:
        yield url


@pytest.fixture(params=["direct", pytest.param("pgbouncer", marks=pytest.mark.pgbouncer)])
def make_storage(
    shared_url: str, request: pytest.FixtureRequest
) -> Iterator[Callable[[], Storage]]:
    """Return a function that makes storages over one database, which is left without tables."""
    url = shared_url
    if request.param == "pgbouncer":
        url = request.getfixturevalue("pgbouncer").url(shared_url)
    yield partial(PostgresStorage.from_url, url)
    asyncio.run(
        execute(shared_url, "DROP TABLE IF EXISTS wix_installations, wix_claims, wix_events")
    )


@pytest.fixture
def unreachable_storage(tmp_path: Path) -> Storage:
    """Give a storage of a server that does not run."""
    target = parse_url(f"postgresql://nobody@/db?host={tmp_path}")
    return PostgresStorage(target, retry=Retry(total=0.1))


@pytest.fixture  # type: ignore[no-redef] # users of the suite override its defaults in this way
def connections_in_use() -> Callable[[Storage], int]:
    """Count the connections of the pool."""
    return count
