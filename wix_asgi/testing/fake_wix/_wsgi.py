"""WSGI apps of this process: the Wix of one, and requests to it from async code."""

from __future__ import annotations

from functools import partial
from typing import Any, cast
from wsgiref.types import WSGIApplication

import anyio

from wix_asgi._http import httpx
from wix_asgi.frameworks.wsgi import WixWSGIMiddleware

__all__ = ["WSGITransport", "inner_app", "wsgi_middleware_of"]


def inner_app(app: object) -> Any:
    """Return the app that `app` passes requests on to, as Flask and middlewares keep it, or None.

    That of Flask is its attribute `wsgi_app`, which middlewares are put around.
    """
    return getattr(app, "wsgi_app", None) or getattr(app, "app", None)


def wsgi_middleware_of(app: object) -> WixWSGIMiddleware:
    """Return the `WixWSGIMiddleware` of a WSGI app.

    Raises:
        TypeError: It has none, so that no request of Wix would be answered.
    """
    part = app
    while part is not None and not isinstance(part, WixWSGIMiddleware):
        part = inner_app(part)
    if part is None:
        raise TypeError(
            f"{type(app).__name__} is neither a URL, nor an ASGI app, nor a WSGI app with a "
            "WixWSGIMiddleware: in Flask write app.wsgi_app = WixWSGIMiddleware(app.wsgi_app)."
        )
    return part


class WSGITransport(httpx.AsyncBaseTransport):
    """Calls a WSGI app in a thread for each request; an app that raises answers 500."""

    def __init__(self, app: WSGIApplication) -> None:
        """Call `app`."""
        blocking = httpx.WSGITransport(app=cast("Any", app), raise_app_exceptions=False)
        self._http = httpx.Client(transport=blocking, timeout=None, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request whose body is in memory; one that is cancelled goes on by itself."""
        send = partial(self._http.send, request)
        try:
            answer = await anyio.to_thread.run_sync(send, abandon_on_cancel=True)
        except Exception:
            return httpx.Response(500)
        headers = answer.headers.copy()
        headers.pop("content-encoding", None)  # its content is decoded
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)
