"""Fixtures of the tests of the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.kept_storage import install_backend
from tests.operations.sealed import APP


@pytest.fixture
def anyio_backend() -> str:
    """Run on the event loop that the command runs on."""
    return "asyncio"


@pytest.fixture(name="kept_inbox")
def _kept_inbox(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set the variables of an app over an inbox of its own; there is no public key."""
    install_backend(tmp_path, monkeypatch)
    for name, value in {
        "WIX_APP_ID": APP,
        "WIX_APP_SECRET": "test-app-secret-number-one",
        "WIX_PUBLIC_URL": "https://app.example.com",
        "WIX_STORAGE": f"kept://{request.node.name}",
    }.items():
        monkeypatch.setenv(name, value)
