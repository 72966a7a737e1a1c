"""A fake Wix with an echo, and a client that is authenticated as its second site."""

from __future__ import annotations

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

_, YOGA, _ = DEMO_SITES


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    fake = FakeWix()
    fake.echo("/echo")
    return fake


@pytest.fixture(name="http")
def _http(fake: FakeWix) -> httpx.AsyncClient:
    headers = {"authorization": fake.issue_access_token(YOGA)}
    return httpx.AsyncClient(transport=fake.transport, base_url=fake.url, headers=headers)
