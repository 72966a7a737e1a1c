"""Fixtures of the tests of the command."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run on the event loop that the command runs on."""
    return "asyncio"
