"""Fixtures every test may use; a backend's own are beside its tests."""

from __future__ import annotations

import os

import hypothesis
import pytest

from wix_asgi.testing import FakeWix

pytest_plugins = [
    "tests.canaries",
    "tests.engine_fixtures",
    "tests.postgres_server",
    "tests.pgbouncer_server",
    "tests.supabase_server",
]

# What the machine has set is not what a test means.
for _name in [name for name in os.environ if name.startswith("WIX_") and "TEST" not in name]:
    del os.environ[_name]
os.environ.pop("WEB_CONCURRENCY", None)
os.environ.pop("WIX_TEST_STORAGE", None)

# An example that takes long says nothing of the code: other programs may use the machine, too.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops; a test of an asyncio-only backend overrides this."""
    backend: str = request.param
    return backend


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix()
