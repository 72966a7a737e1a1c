"""Shared by the tests of the client: an installed site, and a network that notes each hop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Unpack

import anyio

from tests.support import SITE, make_wix
from wix_asgi import Wix, WixClient
from wix_asgi._http import httpx
from wix_asgi.client.client import ClientFactory
from wix_asgi.client.policy import CallPolicy
from wix_asgi.identity.signed_callers import SignedCallers
from wix_asgi.models import AccessToken, Grant
from wix_asgi.testing import FakeWix
from wix_asgi.wix import WixOptions

API = "https://www.wixapis.com"
EVIL = "https://evil.example"
MEGABYTE = 1024 * 1024
REFRESH = "/oauth/access"
Answer = Callable[[httpx.Request], httpx.Response]


class Internet(httpx.AsyncBaseTransport):
    """Leads to a fake Wix at its own origin, to `elsewhere` at all others; notes each hop."""

    def __init__(self, fake: FakeWix, elsewhere: Answer = lambda _: httpx.Response(200)) -> None:
        self.fake = fake
        self.elsewhere = elsewhere
        self.hops: list[tuple[str, list[str]]] = []
        self.requests: list[httpx.Request] = []
        self.redirects: list[httpx.Response] = []
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        is_wix = f"{request.url.scheme}://{request.url.netloc.decode()}" == self.fake.url
        if is_wix and request.url.path in {"/oauth/access", "/oauth2/token-info"}:
            return await self.fake.transport.handle_async_request(request)
        self.hops.append((str(request.url), request.headers.get_list("Authorization")))
        self.requests.append(request)
        if is_wix and self.redirects:
            return self.redirects.pop(0)
        if is_wix:
            return await self.fake.transport.handle_async_request(request)
        return self.elsewhere(request)

    async def aclose(self) -> None:
        self.closed = True

    @property
    def foreign(self) -> list[tuple[str, list[str]]]:
        """The hops to other origins."""
        return [hop for hop in self.hops if not hop[0].startswith(f"{self.fake.url}/")]

    def redirect(self, status: int, location: str) -> None:
        """Have Wix answer its next call with a redirect."""
        self.redirects.append(httpx.Response(status, headers=[(b"Location", location.encode())]))


async def install(wix: Wix, fake: FakeWix, site: str = SITE, *, lifetime: float = 300.0) -> str:
    """Store an installation as a handshake does; return its access token, good for `lifetime`."""
    token = AccessToken(fake.issue_access_token(site), lifetime, time.monotonic() + lifetime)
    grant = Grant(token, fake.issue_refresh_token(site))
    await wix.open()
    await wix._installations.put(site, grant)
    return token.value


@asynccontextmanager
async def installed(
    fake: FakeWix, **options: Unpack[WixOptions]
) -> AsyncIterator[tuple[Wix, WixClient]]:
    """Run a Wix that is installed on the first site, with a client for it."""
    async with make_wix(fake, **options) as wix:
        await install(wix, fake)
        yield wix, wix.client(SITE)


def client_under(
    policy: CallPolicy,
    wix: Wix,
    transport: httpx.AsyncBaseTransport,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> WixClient:
    """Return a client for the first site whose calls keep to `policy`, and wait by `sleep`."""
    factory = ClientFactory(
        api_url=wix.settings.api_url,
        transport=transport,
        tokens=wix._tokens,
        signed=SignedCallers(wix.settings),
        ready=wix.open,
        policy=policy,
        sleep=sleep,
    )
    return factory.for_instance(SITE)


class Drip(httpx.AsyncByteStream):
    """A body that is made while it is read, once, and counts the bytes that were read."""

    def __init__(self, chunk: bytes, times: int) -> None:
        self.chunk = chunk
        self.times = times
        self.read = 0
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.times == 0:
            raise StopAsyncIteration
        self.times -= 1
        self.read += len(self.chunk)
        return self.chunk

    async def aclose(self) -> None:
        self.closed = True


def dripping(fake: FakeWix, drip: Drip, **headers: str) -> Internet:
    """Return a network where everything but Wix answers with this body."""
    return Internet(fake, lambda _: httpx.Response(200, headers=headers, stream=drip))
