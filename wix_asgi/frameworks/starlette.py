"""The one line for Starlette, and for FastAPI, whose apps are Starlette's."""

from __future__ import annotations

from typing import Unpack

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp

from wix_asgi.client.refusals import answer_refusal
from wix_asgi.errors import RequestRefused
from wix_asgi.middleware import WixMiddleware
from wix_asgi.wix import Wix, WixOptions

__all__ = ["add_wix", "refuse"]


def add_wix(
    app: Starlette,
    wix: Wix | None = None,
    *,
    require_identity: bool | list[str] | tuple[str, ...] = False,
    **options: Unpack[WixOptions],
) -> None:
    """Put `WixMiddleware` in front of `app`, and have it answer refusals with pages of ours.

    Takes what `WixMiddleware` takes. Without a `wix`, settings are read when the app starts: a
    server does not start with wrong ones, and a test may have made the app before its fake Wix.
    The app itself stays what a server or `fastapi run` is given.
    """
    if wix is not None and options:
        del options  # a traceback with locals shows no secret
        raise TypeError("Give add_wix a Wix, or the keywords of one; not both.")

    def in_front_of(inner: ASGIApp) -> WixMiddleware:
        return WixMiddleware(inner, wix, require_identity=require_identity, **options)

    # A function, since the repr of Starlette's entry would show the keywords, secrets included.
    app.add_middleware(in_front_of)
    app.add_exception_handler(RequestRefused, refuse)


async def refuse(connection: HTTPConnection, exc: Exception) -> Response:
    """Answer a refused request: `app.add_exception_handler(RequestRefused, refuse)`.

    A person's navigation gets a page, where Starlette answers with a line of text and FastAPI with
    JSON. A handler that the app has for the status goes before it.

    Raises:
        RequestRefused: A websocket is refused, which the middleware closes.
    """
    if connection.scope["type"] != "http" or not isinstance(exc, RequestRefused):
        raise exc
    return answer_refusal(connection.scope, exc)
