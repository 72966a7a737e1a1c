"""The fixtures of all tests of servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wix_asgi.testing import FakeWix


@pytest.fixture
def anyio_backend() -> str:
    """Run on one event loop: the app under test runs in other processes."""
    return "asyncio"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeWix]:
    """Serve a fake Wix with a secret that is like no other text."""
    fake = FakeWix(app_secret="test-9f2c41d7-app-secret-7a41e0")
    with fake.serve():
        yield fake


@pytest.fixture(autouse=True)
def nothing_asked(fake: FakeWix) -> None:
    """Begin each test with a fake Wix that was asked nothing."""
    fake.calls.clear()
