"""The one line for Starlette, and for FastAPI, whose apps are Starlette's."""

from __future__ import annotations

from typing import Unpack

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import Response

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
) -> Wix:
    """Put `WixMiddleware` in front of `app`, and have it answer refusals with pages of ours.

    Takes what `WixMiddleware` takes, and returns the `Wix`, whose settings are checked at once.
    The app itself stays what a server or `fastapi run` is given.

    Raises:
        SettingsError: Settings are wrong or missing; all are named at once.
        BackendNotFound: The driver of the storage is missing.
    """
    if wix is not None and options:
        del options  # a traceback with locals shows no secret
        raise TypeError("Give add_wix a Wix, or the keywords of one; not both.")
    wix = wix or Wix(**options)
    app.add_middleware(WixMiddleware, wix, require_identity=require_identity)
    app.add_exception_handler(RequestRefused, refuse)
    return wix


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
