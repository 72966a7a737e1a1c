"""An app with sessions, the dashboards that frame it, and a hostile page, told apart by host."""

from __future__ import annotations

import json
import os
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.support import Browser
from wix_asgi import WixMiddleware
from wix_asgi.testing import FakeWix

__all__ = ["APP", "WIX", "Dashboards"]

APP = "TEST_APP"
"""The variable with the address of the app."""

WIX = "TEST_WIX"
"""The variable with the address of the dashboards."""

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
        routes = [Route("/who", self._who, methods=["GET", "POST"]), Route("/", self._who)]
        self._app = WixMiddleware(
            Starlette(routes=routes),
            public_url=self._app_url,
            storage="memory://",
            transport=fake.transport,
            after_install="/",
            session=True,
            **fake.settings(),
        )

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
        """Tell who is calling, and whether the browser sent a session along."""
        caller = request.state.wix.identity
        site = caller and caller.instance_id
        has_cookie = "wix_session-" in request.headers.get("cookie", "")
        self._seen.append((request.query_params.get("from", ""), has_cookie, site))
        return JSONResponse({"cookie": has_cookie, "site": site})
