"""asgi-lifespan, which tests of apps use: all requests get the state of the lifespan itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from asgi_lifespan import LifespanManager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from tests.processes.apps import at_once
from tests.processes.meeting import SITE_HEADER, Meetings, meet, name_site
from tests.support import PUBLIC_URL, make_wix
from wix_asgi import Wix, WixClient, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

SITES = ["site-1", "site-2", "site-3"]


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    return "asyncio"


def added(app: Any, wix: Wix) -> Any:
    """Return the app with the middleware in its stack."""
    app.add_middleware(WixMiddleware, wix)
    return app


def mounted(app: Any, wix: Wix) -> Any:
    """Return an app that mounts the wrapped one, to which no lifespan gets through."""
    return Starlette(routes=[Mount("/", app=WixMiddleware(app, wix))])


@pytest.mark.parametrize("arrange", [WixMiddleware, added, mounted])
async def test_requests_share_nothing(arrange: Callable[[Any, Wix], Any]) -> None:
    """Requests at one time have their own clients and states, and none is left behind (R40)."""
    meetings = Meetings()

    async def page(request: Request) -> Response:
        return JSONResponse(await meet(request, meetings))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"lifespan": "lifespan"}

    app = Starlette(routes=[Route("/page", page)], lifespan=lifespan)
    wix = make_wix(FakeWix(), resolve_identity=name_site)
    async with LifespanManager(arrange(app, wix)) as manager:
        transport = httpx.ASGITransport(manager.app)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:

            async def visit(site: str) -> httpx.Response:
                query = {"meeting": "one", "of": str(len(SITES))}
                return await client.get("/page", params=query, headers={SITE_HEADER: site})

            answers = await at_once([partial(visit, site) for site in SITES])
        left = [value for value in manager._state.values() if isinstance(value, WixClient)]
    told = [answer.json() for answer in answers]

    assert SITES == sorted(one["site"] for one in told)
    assert [] == [one for one in told if {one["site"]} != set(one["clients"]) or one["leftovers"]]
    assert {None if arrange is mounted else "lifespan"} == {one["lifespan"] for one in told}
    assert [] == left
