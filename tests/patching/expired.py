"""A call that Wix answers with 401, so that its token is refreshed: three exchanges in all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from tests.client.clients import REFRESH, installed
from wix_asgi import WixClient
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

__all__ = ["EXCHANGES", "Sent", "exchanges", "expired"]

EXCHANGES: Final = [("GET", "/echo"), ("POST", REFRESH), ("GET", "/echo")]
"""What `client.get("/echo")` sends with a token that Wix no longer takes."""


class Sent(Protocol):
    """A request, as httpx and the libraries that copy it have them."""

    method: str
    url: httpx.URL


def exchanges(requests: Iterable[Sent]) -> list[tuple[str, str]]:
    """Return the method and the path of each request."""
    return [(request.method, request.url.path) for request in requests]


@asynccontextmanager
async def expired(fake: FakeWix) -> AsyncIterator[WixClient]:
    """Give a client, on the transport that Wix has by default, whose token has expired."""
    # None is the default: the pool, and not the fake's own transport.
    async with installed(fake, transport=None) as (_, client):  # type: ignore[arg-type] # see above
        fake.expire_access_tokens()
        yield client
