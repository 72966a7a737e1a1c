"""An app with sessions, the dashboards that frame it, and a hostile page, told apart by host."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.support import Browser
from wix_asgi import Identity, Wix, WixMiddleware, WixWSGIMiddleware
from wix_asgi.testing import FakeWix
from wix_asgi.wsgi import sync_wix_of

__all__ = ["APP", "WIX", "WSGI", "Dashboards"]

APP = "TEST_APP"
"""The variable with the address of the app."""

WIX = "TEST_WIX"
"""The variable with the address of the dashboards."""

WSGI = "TEST_WSGI"
"""The variable that makes the app a WSGI app, where it is set."""

_HOSTILE: Final = """<!doctype html>
<form id="get" action="{app}/who"><input name="from" value="get"></form>
<form id="post" method="post" action="{app}/who?from=post"></form>
<script src="{app}/who?from=script"></script>
<iframe src="{app}/who?from=frame"></iframe>"""


class Dashboards:
    """All of them, as the ASGI app of one server."""

    def __init__(self) -> None:
        self._app_url, wix_url = os.environ[APP], os.environ[WIX]
        self._fake = fake = FakeWix(url=wix_url)
        self._seen: list[tuple[str, bool, str | None]] = []
        wix = Wix(
            public_url=self._app_url,
            storage="memory://",
            transport=fake.transport,
            after_install="/",
            session=True,
            **fake.settings(),
        )
        routes = [Route("/who", self._who, methods=["GET", "POST"]), Route("/", self._who)]
        self._app: Any = WixMiddleware(Starlette(routes=routes), wix)
        if WSGI in os.environ:
            wrapped: Any = WixWSGIMiddleware(self._who_by_wsgi, wix)
            self._app = WSGIMiddleware(wrapped)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the host that is asked."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        pages = {
            "/installed": self._install,
            "/dashboard": self._dashboard,
            "/hostile": self._hostile,
            "/seen": self._told,
        }
        page = pages.get(request.url.path)
        if page is not None:
            await (await page(request))(scope, receive, send)
        elif self._app_url.endswith(request.headers["host"]):
            await self._app(scope, receive, send)
        else:
            await self._fake(scope, receive, send)

    async def _install(self, _: Request) -> Response:
        """Install the app on all sites, in another browser."""
        for site in self._fake.sites:
            await Browser(self._app, base_url=self._app_url).install(self._fake, site)
        return HTMLResponse("installed")

    async def _dashboard(self, request: Request) -> Response:
        """Show the app as the dashboard of a site does."""
        instance = self._fake.signed_instance(request.query_params["site"])
        return HTMLResponse(
            f'<!doctype html><iframe src="{self._app_url}/?instance={instance}"></iframe>'
        )

    async def _hostile(self, _: Request) -> Response:
        return HTMLResponse(_HOSTILE.format(app=self._app_url))

    async def _told(self, _: Request) -> Response:
        """Tell of the requests that reached the app."""
        return HTMLResponse(json.dumps(self._seen))

    async def _who(self, request: Request) -> Response:
        cookie = request.headers.get("cookie", "")
        source = request.query_params.get("from", "")
        return JSONResponse(self._told_of(source, cookie, request.state.wix.identity))

    def _who_by_wsgi(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        cookie = environ.get("HTTP_COOKIE", "")
        source = dict(parse_qsl(environ["QUERY_STRING"])).get("from", "")
        told = self._told_of(source, cookie, sync_wix_of(environ).identity)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(told).encode()]

    def _told_of(self, source: str, cookie: str, caller: Identity | None) -> dict[str, Any]:
        """Tell who is calling, and whether the browser sent a session along."""
        site = caller.instance_id if caller else None
        has_cookie = "wix_session-" in cookie
        self._seen.append((source, has_cookie, site))
        return {"cookie": has_cookie, "site": site}
