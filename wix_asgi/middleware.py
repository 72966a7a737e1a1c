"""WixMiddleware: the one line around an ASGI app."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, Unpack
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wix_asgi._addresses import Route, routes
from wix_asgi._frames import without_locals, without_our_frames
from wix_asgi.asgi.access_logs import redact_access_logs
from wix_asgi.asgi.lifespan import Lifespan, refuse_startup
from wix_asgi.asgi.require_identity import protected_paths
from wix_asgi.asgi.scopes import hide_secrets
from wix_asgi.asgi.websockets import guard
from wix_asgi.client.client import STATE_KEY, WixClient
from wix_asgi.client.guard import IdentityGuard
from wix_asgi.client.refusals import answer_refusal
from wix_asgi.client.request_state import enter_state, leave_state
from wix_asgi.client.session_app import SessionApp
from wix_asgi.errors import BackendNotFound, RequestRefused, SettingsError, WixError
from wix_asgi.wix import Wix, WixOptions

__all__ = ["WixMiddleware"]

_Hot: TypeAlias = tuple[
    ASGIApp, dict[str, Route], Callable[[Scope], WixClient], dict[str, Any] | None
]

_OWN: Final = frozenset({"app", "wix"})
"""The attributes of a WixMiddleware; all others are those of the app."""


class WixMiddleware:
    """Puts Wix in front of an ASGI app: the paths that Wix calls, and `request.state.wix`.

    `WixMiddleware(app)`, `app.add_middleware(WixMiddleware)` and `WixMiddleware(app, wix)` with a
    `Wix` made before are the same. It opens its `Wix` when the server starts, or at the first
    request where there is no lifespan, and closes it when the server stops; a `Wix` that was open
    already stays open. All else passes through untouched. Attributes are the app's, whether they
    are read, set or deleted, except for `app` and `wix`, which stay as they are made.
    """

    app: Final[ASGIApp]
    wix: Final[Wix]

    # Private names are mangled, since an attribute of the app may have one underscore.
    __hot: _Hot
    __error: WixError | None

    def __init__(
        self,
        app: ASGIApp,
        wix: Wix | None = None,
        *,
        require_identity: bool | list[str] | tuple[str, ...] = False,
        **options: Unpack[WixOptions],
    ) -> None:
        """Wrap `app`; `wix` or the keywords of `Wix`, which may all come from the environment.

        With `require_identity`, paths at or below the given ones, or all with True, are for callers
        from a site that has the app: others are answered 401 or 403 before `app` is reached.

        Raises:
            TypeError: `app` is a WSGI app, which `WixWSGIMiddleware` wraps.
            SettingsError: Settings are wrong or missing; all are named at once.
            BackendNotFound: The driver of the storage is missing.
        """
        if wix is not None and options:
            del options  # a traceback with locals shows no secret
            raise TypeError("Give WixMiddleware a Wix, or the keywords of one; not both.")
        if _is_wsgi(app):
            del options
            raise TypeError(
                "This is a WSGI app. In Flask write app.wsgi_app = WixWSGIMiddleware(app.wsgi_app),"
                " and in the wsgi.py of Django "
                "application = WixWSGIMiddleware(get_wsgi_application())."
            )
        if _is_built_by_litestar():
            del options
            raise TypeError(
                "Litestar makes a middleware for each route, and has no route at the paths that "
                "Wix calls. Write Litestar(plugins=[WixPlugin()]), of wix_asgi.litestar."
            )
        self.app = app
        self.__error = None
        try:
            protected = protected_paths(require_identity, app)
            self.wix = wix or Wix(**options)
        except (SettingsError, BackendNotFound) as exc:
            del options  # a traceback with locals shows no secret
            if not _is_built_late():
                raise
            self.__error = exc
            self.__hot = app, {}, self.__refuse, None
            return
        self.wix.is_served = True
        paths = routes(self.wix.settings, self.wix.handshake, self.wix.webhook)
        if protected is not None:
            app = IdentityGuard(app, protected, self.wix.clients)
        if self.wix.sessions is not None:
            app = SessionApp(app, self.wix.sessions)
        # All that a request needs, in one attribute: __getattr__ makes each look-up on self slow.
        self.__hot = app, paths, self.wix.clients.for_request, None
        redact_access_logs()

    async def __call__(  # noqa: C901, PLR0912 - a further function would cost each request its call
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer our paths; pass everything else on, requests and websockets with their client.

        The app gets the scope itself, so that its route and all its values are seen in front. A
        `RequestRefused` that it lets escape is answered here, unless its response has begun.
        """
        app, paths, client_for, lifespan_state = self.__hot
        socket = None
        kind = scope["type"]
        if kind == "http":
            if (scope["path"] in paths or scope.get("root_path")) and (own := _own(paths, scope)):
                try:
                    await own(hide_secrets(scope), receive, send)
                except Exception as exc:
                    # Of a `send` in front of us: its frames hold our answer, in whose Location
                    # Wix wants an access token.
                    without_locals(exc)
                    raise
                return
            has_begun = False

            def noting_send(message: Message) -> Awaitable[None]:
                nonlocal has_begun
                has_begun = True
                return send(message)

            app_send: Send = noting_send
        elif kind == "websocket":
            socket, has_begun = guard(scope, receive, send), False
            receive, app_send = socket.receive, socket.send
        else:
            await self.__pass_other(scope, receive, send)
            return
        client = client_for(scope)
        outer = None
        state = scope.get("state")
        if state is None or state is lifespan_state or STATE_KEY in state:
            outer = enter_state(scope, client, lifespan_state)
        else:
            state[STATE_KEY] = client
        answer = None
        try:
            try:
                await app(scope, receive, app_send)
            except RequestRefused as exc:
                if has_begun:
                    raise
                if socket is not None:
                    answer = socket.refuse(exc)
                else:
                    answer = answer_refusal(scope, exc)(scope, receive, send)
            finally:
                if outer is None and client._placed_for is scope:
                    client._placed_for = scope["headers"]
                else:
                    leave_state(scope, client, outer)
            # Out here, so that no error of the server is chained to the refusal.
            if answer is not None:
                await answer
        except Exception as exc:
            without_our_frames(exc)
            raise

    def __getattr__(self, name: str) -> Any:
        """Be the wrapped app for everything else, so that `@app.get(…)` goes on working."""
        if _is_own(name):
            raise AttributeError(name)
        return getattr(self.app, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the wrapped app, as in `app.dependency_overrides = …`.

        Raises:
            AttributeError: The name is `app` or `wix`: a middleware keeps those it is made with.
        """
        if name in _OWN and name in self.__dict__:
            raise AttributeError(f"The {name!r} of a WixMiddleware is fixed: make another one.")
        if _is_own(name) or _is_of_subclass(self, name):
            object.__setattr__(self, name, value)
        else:
            setattr(self.app, name, value)

    def __delattr__(self, name: str) -> None:
        """Delete an attribute of the wrapped app."""
        if _is_own(name) or _is_of_subclass(self, name):
            object.__delattr__(self, name)
        else:
            delattr(self.app, name)

    async def __pass_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
        elif self.__error is not None:
            await refuse_startup(self.__error, receive, send)
        else:
            self.__hot = (*self.__hot[:3], scope.get("state"))
            await Lifespan(self.app, self.wix).run(scope, receive, send)

    def __refuse(self, scope: Scope) -> WixClient:
        # The same error for every request: each raise begins its traceback anew.
        raise (self.__error or SettingsError()).with_traceback(None)


def _is_own(name: str) -> bool:
    return name in _OWN or name.startswith(("__", "_WixMiddleware__"))


def _is_of_subclass(middleware: WixMiddleware, name: str) -> bool:
    """Whether the name is declared by a subclass, or set before there is an app to set it on."""
    return hasattr(type(middleware), name) or "app" not in vars(middleware)


def _own(paths: dict[str, Route], scope: Scope) -> ASGIApp | None:
    path = _route(scope)
    route = paths.get(path)
    return route(scope) if route is not None and _is_plain(scope, path) else None


def _route(scope: Scope) -> str:
    """Return the path below where the app is mounted, at a segment's edge; never from a URL."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] == "/":
        return path[len(root) :]
    return path


def _is_plain(scope: Scope, route: str) -> bool:
    """Whether the target was written as the path is: no escapes, no absolute form."""
    raw = scope.get("raw_path")
    if raw is None:
        return True
    written = raw.partition(b"?")[0].decode("latin-1")
    if written == route:
        return True
    root = scope.get("root_path", "")
    return written in {root + route, quote(root) + route}


def _is_wsgi(app: Any) -> bool:
    """Whether the app takes the `start_response` of PEP 3333, as Flask's and Django's do."""
    try:
        return "start_response" in inspect.signature(app).parameters
    except (TypeError, ValueError):  # of code that is not Python's
        return False


def _is_built_by_litestar() -> bool:
    """Whether Litestar calls the class itself, from `middleware=[WixMiddleware]`."""
    maker: str = sys._getframe(2).f_globals.get("__name__", "")
    return maker.startswith("litestar.")


def _is_built_late() -> bool:
    """Whether Starlette is building its middleware, inside the lifespan or the first request.

    Servers take an exception there for "this app has no lifespan", and go on to serve an app that
    fails every request; told as `lifespan.startup.failed` it stops them. Code that builds the
    middleware itself gets the exception at once. Nothing but the stack tells the two apart: the
    arguments are the same, and servers import apps within a running event loop, too. So it is
    worth reading, once, where the settings are wrong. All of it is read, since an app's own
    middleware that wraps its app into ours may stand between Starlette and us.
    """
    stack = traceback.walk_stack(inspect.currentframe())
    return any(frame.f_code.co_name == "build_middleware_stack" for frame, _ in stack)
