"""The one line for Quart, and the client of the request; the only module that imports Quart."""

from __future__ import annotations

from typing import Any, Unpack, cast

from quart import Quart, Response, has_websocket_context, request, websocket
from starlette.requests import HTTPConnection
from werkzeug.local import LocalProxy

from wix_asgi.client.client import WixClient, get_wix
from wix_asgi.client.refusals import answer_refusal
from wix_asgi.errors import RequestRefused
from wix_asgi.middleware import WixMiddleware
from wix_asgi.wix import Wix, WixOptions

__all__ = ["add_wix", "wix"]


def add_wix(
    app: Quart,
    wix: Wix | None = None,
    *,
    require_identity: bool | list[str] | tuple[str, ...] = False,
    **options: Unpack[WixOptions],
) -> Wix:
    """Put `WixMiddleware` in front of `app`, and have it answer refusals with pages of ours.

    Takes what `WixMiddleware` takes, and returns its `Wix`. The app itself stays what a server or
    `quart run` is given. Where the public URL is https, the session cookie becomes one that
    browsers take in Wix's iframe (`SameSite=None; Secure; Partitioned`), unless the app has set its
    `SESSION_COOKIE_SAMESITE` before.

    Raises:
        SettingsError: Settings are wrong or missing; all are named at once.
        BackendNotFound: The driver of the storage is missing.
    """
    # Quart has the types of Hypercorn, which are narrower than those of Starlette.
    untyped: Any = app
    middleware = WixMiddleware(untyped.asgi_app, wix, require_identity=require_identity, **options)
    untyped.asgi_app = middleware
    app.register_error_handler(RequestRefused, _refuse)
    if app.config["SESSION_COOKIE_SAMESITE"] is None and not middleware.wix.settings.is_loopback:
        app.config["SESSION_COOKIE_SAMESITE"] = "None"
        app.config["SESSION_COOKIE_SECURE"] = app.config["SESSION_COOKIE_PARTITIONED"] = True
    return middleware.wix


def _connection() -> HTTPConnection:
    # Quart's have a scope as Starlette's have, which is all that is read.
    return cast("HTTPConnection", websocket if has_websocket_context() else request)


def _client() -> WixClient:
    return get_wix(_connection())


wix: WixClient = cast("WixClient", LocalProxy(_client))
"""The client of the calling site: `await wix.get(…)`, within requests and websockets."""


async def _refuse(exc: RequestRefused) -> Response:
    answer = answer_refusal(_connection().scope, exc)
    return Response(bytes(answer.body), answer.status_code, dict(answer.headers))
