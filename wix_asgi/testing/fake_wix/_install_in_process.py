"""An install in process: the handshake of an app, from the click to the end of the callback."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from starlette.types import ASGIApp

from wix_asgi._http import httpx
from wix_asgi.frameworks.wsgi import WixWSGIMiddleware
from wix_asgi.middleware import WixMiddleware
from wix_asgi.models import InstallFlow
from wix_asgi.testing.fake_wix._control import Control
from wix_asgi.testing.fake_wix._wsgi import inner_app
from wix_asgi.wix import Wix

__all__ = ["run_install", "wix_of"]


def wix_of(app: object) -> Wix:
    """Return the `Wix` of an app, whose middlewares are built for it where that is still to be.

    Raises:
        TypeError: None is found.
    """
    part: Any = app
    while part is not None and not isinstance(part, Wix):
        if isinstance(part, WixMiddleware | WixWSGIMiddleware):
            part = getattr(part, "wix", None)
        elif hasattr(part, "build_middleware_stack"):  # as Starlette does at its first request
            part.middleware_stack = part.middleware_stack or part.build_middleware_stack()
            part = part.middleware_stack
        else:
            part = getattr(part, "asgi_app", None) or inner_app(part)
    if part is None:
        raise TypeError(
            f"No Wix is found in {type(app).__name__}: give the Wix, its WixMiddleware or "
            "WixWSGIMiddleware, an app of Starlette or FastAPI that has "
            "add_middleware(WixMiddleware), or one of Quart or Flask."
        )
    return part


async def run_install(fake: Control, wix: Wix, instance_id: str, token: str) -> None:
    """Install the app of `wix` on a site, as the browser of the site's owner does.

    A `Wix` that was closed before is closed again.

    Raises:
        RuntimeError: The app refuses the install; the message has the title of its answer.
    """
    if wix.is_open:
        await _install(fake, wix, instance_id, token)
        return
    async with wix:
        await _install(fake, wix, instance_id, token)


async def _install(fake: Any, wix: Wix, instance_id: str, token: str) -> None:
    settings = wix.settings
    is_legacy = settings.flow is InstallFlow.ADVANCED
    begun = await _get(
        wix.handshake.install, settings.app_url, params={"token": token} if is_legacy else {}
    )
    _expect_redirect(begun)
    callback = fake.approve(begun.headers["Location"], instance_id=instance_id)
    cookies = "; ".join(f"{name}={value}" for name, value in begun.cookies.items())
    _expect_redirect(await _get(wix.handshake.callback, callback, headers={"cookie": cookies}))


async def _get(app: ASGIApp, url: str, **options: Any) -> httpx.Response:
    # No cookie jar: it would keep a cookie for https from a public URL of loopback.
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as browser:
        return await browser.get(url, **options)


def _expect_redirect(answer: httpx.Response) -> None:
    if answer.status_code != 303:
        title = re.search("<title>(.*?)</title>", answer.text)
        told = unescape(title[1]) if title else answer.text
        raise RuntimeError(f"The app has answered the install {answer.status_code}: {told}")
