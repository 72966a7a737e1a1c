"""An app with one route, which calls Wix as the site that its query names."""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wix_asgi import WixMiddleware

__all__ = ["ROUTE", "app"]

ROUTE: Final = "/called"


async def called(request: Request) -> Response:
    """Ask Wix for the calling site."""
    answer = await request.state.wix.get("/apps/v1/instance")
    return JSONResponse(answer.json(), answer.status_code)


def site_of(connection: HTTPConnection) -> str | None:
    """Return the site that the query names: the callers of this app are trusted."""
    return connection.query_params.get("site")


app = Starlette(routes=[Route(ROUTE, called)])
app.add_middleware(WixMiddleware, resolve_identity=site_of)
