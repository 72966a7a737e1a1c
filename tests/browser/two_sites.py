"""An app to be served over TLS: a fake Wix that frames an app, and that app, told apart by host."""

from __future__ import annotations

import os

from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from tests.support import make_app
from wix_asgi import WixMiddleware
from wix_asgi.testing import FakeWix

__all__ = ["APP_HOST", "PORT", "WIX_HOST", "TwoSites"]

PORT = "TEST_PORT"
"""The variable that says at which port both are."""

APP_HOST = "app.example.test"
WIX_HOST = "www.wix.test"


class TwoSites:
    """Both of them, as the ASGI app of one server."""

    def __init__(self) -> None:
        port = os.environ[PORT]
        app_url = f"https://{APP_HOST}:{port}"
        self._fake = fake = FakeWix(url=f"https://{WIX_HOST}:{port}")
        self._install_url = f"{app_url}/wix/install"
        self._app = WixMiddleware(
            make_app(),
            public_url=app_url,
            storage="memory://",
            transport=fake.transport,
            **fake.settings(),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as whichever is asked."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["path"] == "/frame":
            url = f"{self._install_url}?token={self._fake.install_token()}"
            page = HTMLResponse(f'<!doctype html><iframe src="{url}"></iframe>')
            await page(scope, receive, send)
        elif dict(scope["headers"])[b"host"].startswith(APP_HOST.encode()):
            await self._app(scope, receive, send)
        else:
            await self._fake(scope, receive, send)
