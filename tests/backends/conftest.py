"""Fixtures of the tests of the backends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends.databases import Database, in_postgres, in_sqlite


@pytest.fixture(name="database", params=["sqlite", "postgres"])
def _database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Give a database of each engine, without tables."""
    if request.param == "sqlite":
        return in_sqlite(tmp_path / "test.db")
    return in_postgres(request.getfixturevalue("postgres_url"))
