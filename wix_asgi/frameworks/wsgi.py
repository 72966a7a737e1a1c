"""The middleware for WSGI apps: the paths that Wix calls, and the sync client of each request.

Only this module imports a2wsgi, by which a WSGI server calls our ASGI paths; it is imported with
the first `WixWSGIMiddleware`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Unpack

import anyio
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wix_asgi._addresses import routes
from wix_asgi._frames import without_our_frames
from wix_asgi.asgi.access_logs import redact_access_logs
from wix_asgi.asgi.scopes import hide_secrets
from wix_asgi.client.refusals import response_to
from wix_asgi.client.session_app import session_headers
from wix_asgi.client.sync_client import SyncWixClient, sync_client
from wix_asgi.concurrency.portal import portal
from wix_asgi.errors import MiddlewareMissing, RequestRefused
from wix_asgi.identity.callers import Caller
from wix_asgi.pages.pages import Pages
from wix_asgi.wix import Wix, WixOptions

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from wix_asgi.identity.session import Sessions

__all__ = [
    "ENVIRON_KEY",
    "WixWSGIMiddleware",
    "answer_in_environ",
    "pages_in_environ",
    "sync_wix_of",
]

ENVIRON_KEY: Final = "wix"
"""The key of the WSGI environment that holds the sync client."""

_TARGETS: Final = ("RAW_URI", "REQUEST_URI")
"""The keys in which gunicorn, Werkzeug, uWSGI and mod_wsgi keep the request's target."""


class WixWSGIMiddleware:
    """Puts Wix in front of a WSGI app: the paths that Wix calls, and `environ["wix"]`.

    In Flask it is `app.wsgi_app = WixWSGIMiddleware(app.wsgi_app)`, in Django it is around
    `get_wsgi_application()`. The client is the `SyncWixClient` of the calling site. The `Wix` runs
    on the portal: it opens with the first request of a process, which forks may precede, and closes
    at the end of the process.

    A `RequestRefused` that the app lets out before it has answered is answered here, with a page or
    JSON as by `wix_asgi.answer_refusal`. All else passes through untouched.

    A session (`Wix(session=...)`) begins with the headers that the app gives to `start_response`.
    """

    def __init__(
        self, app: WSGIApplication, wix: Wix | None = None, **options: Unpack[WixOptions]
    ) -> None:
        """Wrap `app`; `wix` or the keywords of `Wix`, which may all come from the environment.

        Raises:
            ImportError: The extra `wsgi` is missing.
            SettingsError: Settings are wrong or missing; all are named at once.
            BackendNotFound: The driver of the storage is missing.
        """
        if wix is not None and options:
            del options  # a traceback with locals shows no secret
            raise TypeError("Give WixWSGIMiddleware a Wix, or the keywords of one; not both.")
        self._a2wsgi = _import_a2wsgi()
        self.app: Final = app
        self.wix: Final = wix or Wix(**options)
        self.wix.is_served = True
        self.wix.warm()
        self._paths = routes(self.wix.settings, self.wix.handshake, self.wix.webhook)
        self._opened_in: int | None = None
        redact_access_logs()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer our paths; pass everything else on, with its client."""
        if self._opened_in != os.getpid():
            # Begun, and not waited for: events that a process before has left are handled.
            portal().start_soon(self.wix.open)
            self._opened_in = os.getpid()
        route = self._paths.get(environ.get("PATH_INFO", ""))
        if route is not None:
            scope = self._scope(environ)
            own = route(scope)
            if own is not None:
                return self._answer(own, scope, environ, start_response)
        client = sync_client(self.wix.clients, lambda: self._caller(environ))
        environ[ENVIRON_KEY] = client
        start = start_response
        if self.wix.sessions is not None:
            start = _beginning(self.wix.sessions, self._scope(environ), client, start_response)
        try:
            answer = self.app(environ, start)
        except RequestRefused as refusal:
            return _refuse(refusal, environ, start_response)
        except Exception as exc:
            without_our_frames(exc)
            raise
        if isinstance(answer, Generator):
            # It runs with its first step only. Servers look at lists and files: those stay.
            return _steps(answer, environ, start_response)
        return answer

    def _caller(self, environ: WSGIEnvironment) -> Caller:
        return self.wix.clients.for_request(self._scope(environ))._caller

    def _scope(self, environ: WSGIEnvironment) -> Scope:
        scope: Scope = self._a2wsgi.asgi.build_scope(_without_target(environ))
        del scope["wsgi_environ"]
        root = _decoded(environ.get("SCRIPT_NAME", ""))
        scope["root_path"] = root
        scope["path"] = root + _decoded(environ.get("PATH_INFO", ""))
        scope["query_string"] = environ.get("QUERY_STRING", "").encode("latin-1")
        # Servers differ in whether they tell the port, without which a2wsgi tells no address.
        scope["client"] = (environ.get("REMOTE_ADDR", ""), int(environ.get("REMOTE_PORT") or 0))
        return scope

    def _answer(
        self, own: ASGIApp, scope: Scope, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        inner = hide_secrets(scope)
        _hide_in_environ(environ, scope)

        work: list[anyio.CancelScope] = []
        loop = portal().call(_running_loop)
        parts = self._a2wsgi.ASGIMiddleware(_answering(own, inner, work), loop=loop)(
            _without_target(environ), start_response
        )
        try:
            # Here, since a test client may never read it, nor close it: its task would not end.
            return [b"".join(parts)]
        except BaseException:
            for scope_of_work in work:
                loop.call_soon_threadsafe(scope_of_work.cancel)
            raise


def _beginning(
    sessions: Sessions, scope: Scope, client: SyncWixClient, start_response: StartResponse
) -> StartResponse:
    """Return a `start_response` that begins a session where the request has a good instance."""
    caller: Any = client._caller

    def start(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        if caller.instances:
            told = [(_encoded(name), _encoded(value)) for name, value in headers]
            begun = portal().call(partial(session_headers, sessions, scope, caller.instances, told))
            headers = [*headers, *((name.decode(), value.decode()) for name, value in begun)]
        return start_response(status, headers, exc_info)

    return start


def _steps(
    app: Generator[bytes], environ: WSGIEnvironment, start_response: StartResponse
) -> Iterator[bytes]:
    """Give the parts of an app that is a generator, and answer its refusal; closes it, too."""
    try:
        yield from app
    except RequestRefused as refusal:
        yield from _refuse(refusal, environ, start_response)
    except Exception as exc:
        without_our_frames(exc)
        raise


def _refuse(
    refusal: RequestRefused, environ: WSGIEnvironment, start_response: StartResponse
) -> list[bytes]:
    """Answer the refusal being handled; the server raises it where it has sent headers."""
    response = answer_in_environ(environ, refusal)
    status = f"{response.status_code} {HTTPStatus(response.status_code).phrase}"
    start_response(status, list(response.headers.items()), sys.exc_info())
    return [bytes(response.body)]


def answer_in_environ(environ: WSGIEnvironment, refusal: RequestRefused) -> Response:
    """Return the answer to the refused request of `environ`, as `wix_asgi.answer_refusal` does."""
    accept = environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_LANGUAGE", "")
    return response_to(refusal, pages_in_environ(environ), *accept)


def pages_in_environ(environ: WSGIEnvironment) -> Pages:
    """Return the pages of the app whose `WixWSGIMiddleware` the request of `environ` came by.

    Raises:
        MiddlewareMissing: It came by none.
    """
    return sync_wix_of(environ)._made_of[0].pages or Pages()


def sync_wix_of(environ: WSGIEnvironment) -> SyncWixClient:
    """Return the client that `WixWSGIMiddleware` put into the environment of this request.

    Raises:
        MiddlewareMissing: There is no client; the message says how to add the middleware.
    """
    client = environ.get(ENVIRON_KEY)
    if not isinstance(client, SyncWixClient):
        raise MiddlewareMissing(
            "WixWSGIMiddleware is not in front of this app. In Flask write "
            "app.wsgi_app = WixWSGIMiddleware(app.wsgi_app), and in the wsgi.py of Django "
            "application = WixWSGIMiddleware(get_wsgi_application())."
        )
    return client


def _import_a2wsgi() -> Any:
    try:
        import a2wsgi  # noqa: PLC0415 - of the extra `wsgi`
    except ImportError as exc:
        raise ImportError(
            'WixWSGIMiddleware needs a2wsgi: pip install "wix-asgi[wsgi]"', name="a2wsgi"
        ) from exc
    return a2wsgi


def _without_target(environ: WSGIEnvironment) -> WSGIEnvironment:
    """Return a copy for a2wsgi, which raises where a query or path is of other bytes than text."""
    return {**environ, "SCRIPT_NAME": "", "PATH_INFO": "", "QUERY_STRING": ""}


def _encoded(text: str) -> bytes:
    """Return a part of a header as ASGI has it; a server refuses other characters (PEP 3333)."""
    return text.encode("latin-1", "replace")


def _decoded(text: str) -> str:
    """Return a part of a path as ASGI has it; WSGI has its bytes as characters (PEP 3333)."""
    return text.encode("latin-1").decode("utf-8", "replace")


def _hide_in_environ(environ: WSGIEnvironment, masked: Scope) -> None:
    """Mask in `environ` all that is masked in its scope: servers and trackers read it."""
    query = masked["query_string"].decode("latin-1")
    environ["QUERY_STRING"] = query
    for key in _TARGETS:
        if "?" in environ.get(key, ""):
            environ[key] = f"{environ[key].partition('?')[0]}?{query}"
    for name, value in masked["headers"]:
        key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        if key in environ:
            environ[key] = value.decode("latin-1")


def _answering(own: ASGIApp, scope: Scope, work: list[anyio.CancelScope]) -> ASGIApp:
    """Return `own` for a2wsgi, whose thread waits for ever for an app that ends without answer.

    Its call adds the scope that cancels it to `work`.
    """

    async def serve(_: Scope, receive: Receive, send: Send) -> None:
        is_answered = False

        async def send_part(message: Message) -> None:
            nonlocal is_answered
            await send(message)
            is_answered = message["type"] == "http.response.body" and not message.get("more_body")

        with anyio.CancelScope() as cancel_scope:
            work.append(cancel_scope)
            await own(scope, _ending(receive), send_part)
            if not is_answered:
                await send({"type": "http.response.disconnect"})

    return serve


def _ending(receive: Receive) -> Receive:
    """Tell of a client that hung up amid its body, for which a2wsgi gives empty parts for ever."""

    async def receive_part() -> Message:
        message = await receive()
        if message.get("more_body") and not message["body"]:
            return {"type": "http.disconnect"}
        return message

    return receive_part


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
