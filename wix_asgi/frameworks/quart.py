"""The one line for Quart, and the client of the request; the only module that imports Quart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack, cast

from quart import Quart, Response, has_websocket_context, request, websocket
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send
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
) -> None:
    """Put `WixMiddleware` in front of `app`, and have it answer refusals with pages of ours.

    Takes what `WixMiddleware` takes. Without a `wix`, settings are read when the app starts: a
    server does not start with wrong ones, and a test may have made the app before its fake Wix.
    The app itself stays what a server or `quart run` is given. Where the public URL is https, the
    session cookie becomes one that browsers take in Wix's iframe (`SameSite=None; Secure;
    Partitioned`), unless the app has set its `SESSION_COOKIE_SAMESITE` by then.
    """
    if wix is not None and options:
        del options  # a traceback with locals shows no secret
        raise TypeError("Give add_wix a Wix, or the keywords of one; not both.")
    # Quart has the types of Hypercorn, which are narrower than those of Starlette.
    untyped: Any = app
    inner: ASGIApp = untyped.asgi_app

    def in_front() -> WixMiddleware:
        return WixMiddleware(inner, wix, require_identity=require_identity, **options)

    untyped.asgi_app = _BuiltLate(app, in_front)
    app.register_error_handler(RequestRefused, _refuse)


class _BuiltLate:
    """The middleware, which is built with the first scope, in the way of Starlette."""

    def __init__(self, app: Quart, build: Callable[[], WixMiddleware]) -> None:
        """Take the app, whose session cookie depends on the settings, and what builds it."""
        self._app = app
        self._build = build
        self.middleware_stack: WixMiddleware | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what comes in."""
        self.middleware_stack = self.middleware_stack or self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> WixMiddleware:
        """Build it; `WixMiddleware` tells the server of wrong settings, by the name of its builder.

        They are no exception then, which servers take for an app without a lifespan.
        """
        built, config = self._build(), self._app.config
        settings_are_read = "wix" in vars(built)
        if (
            settings_are_read
            and config["SESSION_COOKIE_SAMESITE"] is None
            and not built.wix.settings.is_loopback
        ):
            config["SESSION_COOKIE_SAMESITE"] = "None"
            config["SESSION_COOKIE_SECURE"] = config["SESSION_COOKIE_PARTITIONED"] = True
        return built


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
