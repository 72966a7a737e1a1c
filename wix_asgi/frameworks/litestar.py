"""The plugin of Litestar, with the client as a dependency; the only module that imports Litestar.

Litestar calls a middleware for its own routes alone, and makes one of each for every route. So the
plugin gives our paths routes, and all middlewares one `Wix`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Unpack

from litestar import Request, Response
from litestar.config.app import AppConfig
from litestar.di import NamedDependency, Provide
from litestar.enums import ScopeType
from litestar.exceptions import NotFoundException
from litestar.handlers import asgi
from litestar.plugins import InitPlugin
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from starlette.requests import HTTPConnection

from wix_asgi.client.client import WixClient, get_wix
from wix_asgi.client.refusals import answer_refusal
from wix_asgi.errors import RequestRefused, SettingsError
from wix_asgi.middleware import WixMiddleware
from wix_asgi.wix import Wix, WixOptions

__all__ = ["WixDep", "WixPlugin"]

WixDep = NamedDependency[WixClient]
"""The client of the calling site: `async def products(wix: WixDep)`, in routes and websockets."""


class WixPlugin(InitPlugin):
    """Puts Wix into a Litestar app: `Litestar(…, plugins=[WixPlugin()])`.

    - The paths that Wix calls are answered. The `Wix` opens with the app's lifespan, before the
      app's own, and closes after it; without a lifespan it opens at the first request.
    - `wix: WixDep` is a dependency of every handler, the client of the calling site; it is
      `request.state.wix`, too. An app that has a dependency `wix` keeps its own.
    - A `RequestRefused` that a handler lets out is answered with our page or JSON, a websocket as
      by `WixMiddleware`. A handler that the app has for it goes before ours.
    - Cookies that are `SameSite=None` and `Secure` become `Partitioned`, which browsers want in
      Wix's iframe, and which Litestar cannot write.

    The app stays a `Litestar`, as `litestar run` wants.
    """

    wix: Final[Wix]

    def __init__(
        self,
        wix: Wix | None = None,
        *,
        require_identity: bool = False,
        **options: Unpack[WixOptions],
    ) -> None:
        """Take a `wix`, or the keywords of `Wix`, which may all come from the environment.

        With `require_identity`, callers of every route have to come from a site that has the app.

        Raises:
            SettingsError: Settings are wrong or missing; all are named at once. A path of ours ends
                with a slash, which Litestar takes away.
            BackendNotFound: The driver of the storage is missing.
        """
        if wix is not None and options:
            del options  # a traceback with locals shows no secret
            raise TypeError("Give WixPlugin a Wix, or the keywords of one; not both.")
        if not isinstance(require_identity, bool):
            # Below a mount, Litestar tells a middleware the rest of the path alone.
            raise TypeError(
                "require_identity of WixPlugin is True or False; for some paths, give their Router "
                "a guard that awaits get_wix(connection).identify()."
            )
        self.wix = wix or Wix(**options)
        self._require_identity = require_identity
        settings = self.wix.settings
        webhook_paths = [settings.webhook_path] if self.wix.webhook is not None else []
        self._paths = [settings.install_path, settings.callback_path, *webhook_paths]
        if slashed := [path for path in self._paths if path.endswith("/")]:
            raise SettingsError(
                f"Litestar routes no path that ends with a slash: {', '.join(slashed)}"
            )

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add routes, middleware, dependency, handlers and lifespan; Litestar calls it."""
        own = asgi(self._paths, copy_scope=True)(_not_found)
        app_config.route_handlers = [*app_config.route_handlers, own]
        app_config.middleware = [self._in_front_of, *app_config.middleware]
        app_config.dependencies = {
            "wix": Provide(_client, sync_to_thread=False),
            **app_config.dependencies,
        }
        app_config.exception_handlers = {RequestRefused: _refuse, **app_config.exception_handlers}
        app_config.after_exception = [*app_config.after_exception, _leave_websockets]
        app_config.before_send = [*app_config.before_send, _partition_cookies]
        # Work ends before the app's own lifespan does: handlers of events use its database.
        app_config.lifespan = [self._opened, *app_config.lifespan, self._working]
        return app_config

    def _in_front_of(self, app: ASGIApp) -> ASGIApp:
        untyped: Any = app
        middleware: Any = WixMiddleware(untyped, self.wix, require_identity=self._require_identity)
        return middleware  # type: ignore[no-any-return]

    @asynccontextmanager
    async def _opened(self, _: object) -> AsyncIterator[None]:
        if self.wix.is_open:
            yield
        else:
            async with self.wix:
                yield

    @asynccontextmanager
    async def _working(self, _: object) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.wix.stop_work()


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand at our paths, at which the middleware answers before; other spellings come here."""
    raise NotFoundException


def _client(scope: Scope) -> WixClient:
    untyped: Any = scope
    return get_wix(HTTPConnection(untyped))


def _refuse(request: Request[Any, Any, Any], exc: RequestRefused) -> Response[bytes]:
    untyped: Any = request.scope
    answer = answer_refusal(untyped, exc)
    return Response(
        bytes(answer.body), status_code=answer.status_code, headers=dict(answer.headers)
    )


async def _leave_websockets(exc: Exception, scope: Scope) -> None:
    """Raise a websocket's refusal again, for the middleware: Litestar would close with 4500."""
    if scope["type"] == ScopeType.WEBSOCKET and isinstance(exc, RequestRefused):
        raise exc


async def _partition_cookies(message: Message, _: Scope) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = [
            (name, _for_iframe(value) if name.lower() == b"set-cookie" else value)
            for name, value in message["headers"]
        ]


def _for_iframe(cookie: bytes) -> bytes:
    attributes = {part.strip() for part in cookie.lower().split(b";")[1:]}
    is_for_iframes = {
        b"samesite=none",
        b"secure",
    } <= attributes and b"partitioned" not in attributes
    return cookie + b"; Partitioned" if is_for_iframes else cookie
