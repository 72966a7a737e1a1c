"""Where the tests of this directory break things."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.stores import KINDS


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers of the databases do."""
    return "asyncio"


@pytest.fixture(
    name="store",
    params=[
        pytest.param(kind, marks=[pytest.mark.pgbouncer] if kind == "pgbouncer" else [])
        for kind in KINDS
    ],
)
def _store(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Give the kind and the URL of an empty store."""
    if request.param == "sqlite":
        return "sqlite", f"sqlite:///{tmp_path}/wix-asgi.db"
    kind: str = request.param
    names = {"postgresql": "postgres_url", "pgbouncer": "pgbouncer_url"}
    return kind, request.getfixturevalue(names[kind])
