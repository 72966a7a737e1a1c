"""The pools of a Wix: one for each kind of work; strangers take no connection from others."""

from __future__ import annotations

import json

import pytest

from tests.support import PUBLIC_URL, SITE, Browser, make_app
from wix_asgi import Wix, WixMiddleware, _assembly
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix
from wix_asgi.transport.pooled import PoolTransport

CALLS = [
    "/oauth/access authorization_code",
    "/oauth2/token-info",
    "/apps/v1/instance",
    "/oauth/access refresh_token",
]


async def test_own_pools_are_made_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a transport it has pools of its own: warm when it opens, closed when it closes."""
    done: list[str] = []
    monkeypatch.setattr(PoolTransport, "warm", lambda self: done.append("warm"))

    async def aclose(self: PoolTransport) -> None:
        done.append("closed")

    monkeypatch.setattr(PoolTransport, "aclose", aclose)
    wix = Wix(
        app_id="app-1",
        app_secret="test-app-secret-number-one",
        public_url="https://app.example.com",
        storage="memory://",
    )
    async with wix:
        before = list(done)

    assert ["warm"] * 4 == before
    assert ["warm"] * 4 + ["closed"] * 4 == done


async def test_installs_refreshes_and_calls_have_pools_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Callbacks and access tokens, which anybody can send, take no connection from refreshes.

    Neither do calls (R49).
    """
    fake = FakeWix()
    used: dict[str, tuple[int, int]] = {}

    class NotingPool(PoolTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            grant = json.loads(await request.aread() or b"{}").get("grant_type", "")
            used[f"{request.url.path} {grant}".strip()] = id(self), self._policy.max_connections
            return await fake.transport.handle_async_request(request)

    monkeypatch.setattr(_assembly, "PoolTransport", NotingPool)
    async with Wix(public_url=PUBLIC_URL, storage="memory://", **fake.settings()) as wix:
        await Browser(WixMiddleware(make_app(), wix)).install(fake)
        fake.expire_access_tokens()
        await wix.client(SITE).get("/apps/v1/instance")
        exchange, question, call, refresh = (used[name] for name in CALLS)
        await wix.identify(fake.issue_access_token())

    of_caller = used["/oauth2/token-info"]
    assert exchange == question
    assert 4 == len({exchange[0], call[0], refresh[0], of_caller[0]})
    assert (50, 100, 100, 20) == (exchange[1], call[1], refresh[1], of_caller[1])
