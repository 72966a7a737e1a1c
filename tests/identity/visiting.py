"""An app with sessions, and a browser that visits it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Unpack

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.handshake.handshaking import Cookie, cookies_set
from tests.support import SITE, Browser, make_wix
from wix_asgi import WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix
from wix_asgi.wix import WixOptions

OTHER = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"
"""The second of the fake Wix's demo sites."""

PREFIX = "__Host-wix_session-"
SAME = {"Sec-Fetch-Site": "same-origin"}


async def who(request: Request) -> Response:
    """Tell who is calling: at once, and after a wait."""
    wix = request.state.wix
    at_once = wix.identity
    caller = await wix.identify()
    headers = {"Cache-Control": request.query_params.get("cache", "no-store")}
    return JSONResponse(
        {"at_once": at_once and at_once.instance_id, **told(caller)}, headers=headers
    )


def told(caller: Any) -> dict[str, Any]:
    """Return what there is to know of a caller."""
    return {"site": caller.instance_id, "user": caller.user_id, "owner": caller.is_owner}


async def plain(request: Request) -> Response:
    """Answer everybody, and tell who is calling if that is known."""
    caller = request.state.wix.identity
    return JSONResponse({"at_once": caller and caller.instance_id})


async def socket(websocket: WebSocket) -> None:
    """Tell who is calling over a websocket."""
    caller = await websocket.state.wix.identify()
    await websocket.accept()
    await websocket.send_json(told(caller))
    await websocket.close()


def make_app() -> Starlette:
    """Return an app that tells who is calling, by any method."""
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[
            Route("/who", who, methods=methods),
            Route("/plain", plain, methods=methods),
            WebSocketRoute("/socket", socket),
        ]
    )


@asynccontextmanager
async def visited(fake: FakeWix, **options: Unpack[WixOptions]) -> AsyncIterator[WixMiddleware]:
    """Run that app with sessions, open for as long as the block lasts."""
    options.setdefault("session", True)
    wix = make_wix(fake, **options)
    async with wix:
        yield WixMiddleware(make_app(), wix)


async def opened(browser: Browser, fake: FakeWix, site: str = SITE, **claims: Any) -> Cookie:
    """Open the app from a site's dashboard; return the cookie of the session that begins."""
    answer = await browser.http.get(
        "/who", params={"instance": fake.signed_instance(site, **claims)}
    )
    assert 200 == answer.status_code, answer.text
    (cookie,) = cookies_set(answer)
    return cookie


async def installed(app: WixMiddleware, fake: FakeWix, *sites: str) -> Browser:
    """Install the app on these sites in one browser; return another browser."""
    installer = Browser(app)
    for site in sites or (SITE,):
        answer = await installer.install(fake, site)
        assert 303 == answer.status_code, answer.text
    return Browser(app)


def outcome(answer: httpx.Response) -> Any:
    """Return the calling site; or the status and the reason of a refusal."""
    if answer.status_code == 200:
        body = answer.json()
        assert body["at_once"] == body["site"]
        return body["site"]
    return answer.status_code, answer.headers.get("WWW-Authenticate")


NOBODY = (401, 'Wix error="no_identity"')
