"""A real PostgreSQL for the tests that need one: fixtures, as a pytest plugin.

`WIX_ASGI_TEST_POSTGRES_URL` names a server whose user may create databases. Without it one from
a wheel is started, for as long as the tests of this process last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import daemons
from tests.postgres_process import PostgresServer, database, programs

__all__ = ["PostgresServer", "database", "programs"]


@pytest.fixture(name="postgres_server", scope="session")
def _postgres_server() -> Iterator[str]:
    """Give the URL of a server for all tests of this process."""
    if url := os.environ.get("WIX_ASGI_TEST_POSTGRES_URL"):
        yield url
        return
    with daemons.running(PostgresServer()) as server:
        yield server.url


@pytest.fixture(name="postgres_url")
def _postgres_url(postgres_server: str) -> Iterator[str]:
    """Give the URL of an empty database, for one test."""
    with database(postgres_server) as url:
        yield url
