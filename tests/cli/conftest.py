"""What tests of the command begin with."""

from __future__ import annotations

import pytest

from wix_asgi.testing import FakeWix


@pytest.fixture
def anyio_backend() -> str:
    """Run on the event loop that the command runs on."""
    return "asyncio"


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix()
