"""The HTTP clients that stand beside ours, each with the same token in every call.

All have time-outs of five seconds, and thirty for a place in the pool, so that a full pool is no
error. httpx's own pool has two states: with its defaults it keeps a fifth of its connections, and
opens the others anew; `httpx settled` keeps all hundred, and ran until those that it never uses
again had expired, after which it finds the others faster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any, Final

import aiohttp
import httpx2
import httpx_aiohttp
from authlib.integrations.httpx_client import AsyncOAuth2Client

from benchmarks.ours import make_wix
from benchmarks.rounds import OURS
from benchmarks.upstream import APP, TOKEN
from wix_asgi._http import httpx
from wix_asgi.models import AccessToken, Grant

__all__ = ["FAILURES", "SETTLED", "Get", "opened"]

Get = Callable[[str], Awaitable[object]]

FAILURES: Final = (httpx.HTTPError, httpx2.HTTPError, aiohttp.ClientError, TimeoutError)
SETTLED: Final = "httpx settled"

_CONNECTIONS: Final = 100
"""The pool of each client, as that of ours and aiohttp's default."""

_SECONDS: Final = 5.0
_POOL_SECONDS: Final = 30.0


@asynccontextmanager
async def opened(base: str) -> AsyncIterator[dict[str, Get]]:
    """Open all clients for as long as a block lasts; the GET of each, by its name."""
    async with AsyncExitStack() as stack:
        wix = await stack.enter_async_context(make_wix(api_url=base))
        token = AccessToken(TOKEN, 36_000, monotonic() + 36_000)
        # In the storage, too: once a minute its row is read.
        await wix._installations.put("site", Grant(token))
        wix.clients.tokens.adopt("site", token)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(sock_connect=_SECONDS, sock_read=_SECONDS),
            headers=_headers(),
        )
        await stack.enter_async_context(session)

        async def get(url: str) -> bytes:
            async with session.get(url) as response:
                return await response.read()

        gets: dict[str, Get] = {OURS: wix.client("site").get, "aiohttp": get}
        for name, client in _plain().items():
            await stack.enter_async_context(client)
            gets[name] = client.get
        yield gets


def _headers() -> dict[str, str]:
    return {"Authorization": TOKEN}


def _plain() -> dict[str, Any]:
    timeout = httpx.Timeout(_SECONDS, pool=_POOL_SECONDS)
    limits = httpx.Limits(
        max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=5.0
    )
    limits2 = httpx2.Limits(
        max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=5.0
    )
    timeout2 = httpx2.Timeout(_SECONDS, pool=_POOL_SECONDS)
    token = {"access_token": TOKEN, "token_type": "Bearer", "expires_at": 4_000_000_000}
    return {
        "httpx-aiohttp": httpx_aiohttp.HttpxAiohttpClient(
            headers=_headers(), timeout=timeout, limits=limits, trust_env=False
        ),
        "httpx2": httpx2.AsyncClient(
            headers=_headers(), timeout=timeout2, limits=limits2, trust_env=False
        ),
        "Authlib": AsyncOAuth2Client(
            client_id=APP, token=token, timeout=timeout2, limits=limits2, trust_env=False
        ),
        "httpx": httpx.AsyncClient(headers=_headers(), timeout=timeout, trust_env=False),
        SETTLED: httpx.AsyncClient(
            headers=_headers(), timeout=timeout, limits=limits, trust_env=False
        ),
    }
