"""FakeWix: an ASGI app that plays Wix, for tests and demos.

It follows the documentation of Wix, and is stricter than Wix on every point that the documentation
leaves open: a code works once, and using it again revokes its grant; only JSON is accepted, without
unknown or repeated fields; a token endpoint refuses a request with an access token; `Bearer` is
refused; redirect URLs match exactly. An app that works with FakeWix has a fair chance with Wix.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import anyio
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from wix_asgi._http import httpx
from wix_asgi.testing.fake_wix._browser import BrowserPages
from wix_asgi.testing.fake_wix._grants import Grants
from wix_asgi.testing.fake_wix._pages import error_page
from wix_asgi.testing.fake_wix._proofs import InstallTokens, sign_instance
from wix_asgi.testing.fake_wix._signal import Signal
from wix_asgi.testing.fake_wix._site_api import SiteApi
from wix_asgi.testing.fake_wix._token_endpoints import TokenEndpoints
from wix_asgi.testing.fake_wix._transport import InProcessTransport
from wix_asgi.testing.fake_wix._wire import Refusal
from wix_asgi.testing.fake_wix.calls import Call, CallLog
from wix_asgi.testing.fake_wix.clock import Clock
from wix_asgi.testing.fake_wix.faults import ConnectionLost, Fault, FaultKind, Faults, Gate, Gates
from wix_asgi.testing.fake_wix.installer import INSTALL_PATH, Installer, InstallerRefused
from wix_asgi.testing.fake_wix.world import World

__all__ = ["FakeWix"]


class FakeWix(World):
    """Wix for one app, as an ASGI app: the pages of www.wix.com and the API, on one origin.

    In process, hand `transport` to the HTTP client; with sockets, use `with fake.serve() as url`.
    Any ASGI server can serve it, too; then set `url` to its address. `settings()` returns the
    matching keywords for `Wix` and `WixMiddleware`. Every method may be called from any thread and
    any event loop.

    Args:
        app_id: The ID of the only app.
        app_secret: The secret key of the app. Refresh tokens and install tokens are valid with
            every FakeWix that was created with the same app ID and secret.
        redirect_urls: The exact URLs to which the installer may lead back; None allows every URL.
        app_url: The App URL, for the links on the first page.
        clock: The clock by which codes (600 s) and access tokens (300 s) expire. Signed instances
            carry real time instead, since an app checks them by the clock of its host.
        sites: The name of every site, by instance ID; three demo sites by default.
        rotate_refresh_tokens: Answer every refresh with a new refresh token; using a refresh token
            twice revokes its whole grant.
        url: The origin of all pages and endpoints while it is not served.

    Attributes:
        calls: The requests in the order of their arrival, without those whose connection was
            refused.
    """

    def __init__(
        self,
        *,
        app_id: str = "fake-app-id",
        app_secret: str = "fake-app-secret-0123456789",  # noqa: S107 - fake
        redirect_urls: Sequence[str] | None = None,
        app_url: str | None = None,
        clock: Clock | None = None,
        sites: Mapping[str, str] | None = None,
        rotate_refresh_tokens: bool = False,
        url: str = "https://wix.example",
    ) -> None:
        super().__init__(
            app_id=app_id,
            app_secret=app_secret,
            redirect_urls=redirect_urls,
            app_url=app_url,
            clock=clock,
            sites=sites,
            rotate_refresh_tokens=rotate_refresh_tokens,
            url=url,
        )
        self._signal = Signal()
        self._faults = Faults(self._signal)
        self._gates = Gates(self._signal)
        self._log = CallLog()
        self._grants = Grants(self)
        self._install_tokens = InstallTokens(self)
        self._installer = Installer(self, self._grants, self._install_tokens)
        self._site_api = SiteApi(self, self._grants)
        self._browser = BrowserPages(self, self._grants, self._install_tokens, self._installer)
        self._router = ExceptionMiddleware(
            Router(self._routes(), redirect_slashes=False, default=self._elsewhere),
            {Refusal: _refuse, InstallerRefused: _refuse},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer over a connection; a lost connection is cut off in the middle of the answer."""
        try:
            await self._in_process(scope, receive, send)
        except ConnectionLost:
            headers = [(b"content-length", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

    @property
    def calls(self) -> list[Call]:
        """The requests in the order of their arrival; `calls.clear()` forgets them."""
        return self._log.calls

    @property
    def installed(self) -> frozenset[str]:
        """The instance IDs of the sites that the app is installed on."""
        return self._grants.installed

    @cached_property
    def transport(self) -> httpx.AsyncBaseTransport:
        """A transport for httpx that reaches it in process under every host name.

        It may be shared, and need not be closed.
        """
        return InProcessTransport(self._in_process)

    def settings(self) -> dict[str, Any]:
        """Return the keywords with which `Wix` and `WixMiddleware` use this fake Wix."""
        return {
            "app_id": self.app_id,
            "app_secret": self.app_secret,
            "wix_url": self.url,
            "api_url": self.url,
        }

    def serve(
        self, *, host: str = "127.0.0.1", port: int = 0
    ) -> contextlib.AbstractContextManager[str]:
        """Serve it from a thread during a `with` block, which receives the base URL.

        It needs uvicorn. During the block `url` is that base URL.
        """
        return self._serving(host, port)

    def approve(self, installer_url: str, *, instance_id: str | None = None) -> str:
        """Press the Approve button: return the redirect URL with code and instanceId.

        Args:
            installer_url: The URL to which the install path redirected.
            instance_id: The site to pick if the URL has no token; the first site by default.

        Raises:
            InstallerRefused: The page would show an error instead.
            LookupError: The site does not exist.
        """
        return self._installer.approve(self._installer.read_url(installer_url), instance_id)

    def cancel(self, installer_url: str) -> str | None:
        """Press the Cancel button: return the redirect URL, or None if the browser stays with Wix.

        Raises:
            InstallerRefused: The page would show an error instead.
        """
        return self._installer.cancel(self._installer.read_url(installer_url))

    def install_token(self, instance_id: str | None = None) -> str:
        """Return an App URL's `token`, for this site or the first site."""
        return self._install_tokens.issue(self.site(instance_id))

    def signed_instance(self, instance_id: str, **claims: Any) -> str:
        """Return the signed `instance` of a site, known or not; a claim of None is left out."""
        return sign_instance(self, instance_id, claims)

    def issue_code(self, instance_id: str | None = None) -> str:
        """Return a code without a consent."""
        return self._grants.issue_code(self.site(instance_id))

    def issue_refresh_token(self, instance_id: str | None = None) -> str:
        """Return a refresh token without an exchange."""
        return self._grants.issue_refresh_token(self.site(instance_id))

    def issue_access_token(self, instance_id: str | None = None) -> str:
        """Return an access token without a refresh."""
        return self._grants.issue_access_token(self.site(instance_id))

    def uninstall(self, instance_id: str) -> None:
        """Remove the app from a site: its tokens end, and a later install does not revive them."""
        self._grants.uninstall(instance_id)

    def expire_access_tokens(self, instance_id: str | None = None) -> None:
        """End the access tokens of one site, or of all sites, before their time."""
        self._grants.expire_access_tokens(instance_id)

    def count(self, path: str, **json_fields: Any) -> int:
        """Return the number of requests to `path` with these fields in a JSON body."""
        return self._log.count(path, json_fields)

    async def asked(
        self,
        path: str,
        times: int = 1,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - a test never waits without a time limit
        **json_fields: Any,
    ) -> None:
        """Return once there were `times` requests to `path` with these fields.

        Raises:
            TimeoutError: The requests have not arrived within `timeout` seconds.
        """
        with anyio.fail_after(timeout):
            await self._signal.wait_until(lambda: self.count(path, **json_fields) >= times)

    def fail(
        self,
        path: str,
        *,
        status: int = 503,
        times: int | None = 1,
        body: bytes | str | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        kind: FaultKind = "answer",
        **json_fields: Any,
    ) -> None:
        """Let the next matching calls fail.

        Args:
            path: The exact path, or a pattern such as `/stores/*`.
            status: The status of the answer, for the kind "answer".
            times: The number of calls that fail; None means all calls until `heal()`.
            body: The body of that answer; a mapping is sent as JSON. Wix's own empty error by
                default.
            headers: The headers of that answer.
            kind: "answer": the call gets this answer and has no effect. "hang": the call waits for
                `heal()`, and is then answered as usual. "drop": the call takes effect, but its
                answer is lost. "raise": the app raises RuntimeError, a 500 over a port. "refuse":
                the connection is refused; over a port it is lost before the call has an effect.
            json_fields: Fields that the JSON body must have.
        """
        if times is not None and times < 1:
            raise ValueError("times must be 1 at least, or None")
        fault = Fault(path, json_fields, kind, times, status, body, headers or {})
        self._faults.add(fault)

    def heal(self) -> None:
        """End every fault of `fail`, and let hanging calls go on."""
        self._faults.heal()

    def hold(self, path: str, **json_fields: Any) -> Gate:
        """Hold back the answers of `path`: calls take effect, answers wait for the release."""
        return self._gates.add(path, json_fields)

    def _routes(self) -> list[Route]:
        tokens = TokenEndpoints(self, self._grants)
        return [
            Route(INSTALL_PATH, self._browser.consent, methods=["GET"]),
            Route(INSTALL_PATH, self._browser.decide, methods=["POST"]),
            Route("/installer/close-window", self._browser.close_window, methods=["GET"]),
            Route("/oauth/access", tokens.access, methods=["POST"]),
            Route("/oauth/access/", tokens.access, methods=["POST"]),
            Route("/oauth2/token-info", tokens.token_info, methods=["POST"]),
            Route("/apps/v1/instance", self._site_api.instance, methods=["GET"]),
            Route("/apps/v1/bi-event", self._site_api.bi_event, methods=["POST"]),
            Route("/stores/v1/products/query", self._site_api.products, methods=["POST"]),
        ]

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        request = Request(scope, receive)
        page = self._browser.wanted(request)
        response = await (self._browser.sites(request) if page else self._site_api.echo(request))
        await response(scope, receive, send)

    async def _in_process(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            return
        call = Call.from_scope(scope, body)
        fault = self._faults.take(call)
        if fault is not None and fault.kind == "refuse":
            raise ConnectionLost(unsent=True)
        self._log.add(call)
        self._signal.notify()
        answer = await self._answer(scope, body, fault)
        await self._gates.pass_through(call)
        if fault is not None and fault.kind == "drop":
            raise ConnectionLost(unsent=False)
        self._log.answered(call, answer[0]["status"])
        for message in answer:
            await send(message)

    async def _answer(self, scope: Scope, body: bytes, fault: Fault | None) -> list[Message]:
        answer: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            answer.append(message)

        app: ASGIApp = self._router
        if fault is not None:
            if fault.kind == "raise":
                raise RuntimeError("FakeWix was told to raise")
            if fault.kind == "hang":
                await self._faults.hang()
            if fault.kind == "answer":
                app = fault.response()
        await app(scope, receive, send)
        request_id = uuid.uuid4().hex.encode()
        answer[0]["headers"] = [*answer[0]["headers"], (b"x-wix-request-id", request_id)]
        return answer

    @contextlib.contextmanager
    def _serving(self, host: str, port: int) -> Iterator[str]:
        from wix_asgi.testing.fake_wix._serve import serve  # noqa: PLC0415 - uvicorn is needed only here

        before = self.url
        with serve(self, host, port) as url:
            self.url = url
            try:
                yield url
            finally:
                self.url = before


async def _read_body(receive: Receive) -> bytes | None:
    """Return the whole body, or None if the client disconnected before it was sent."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _refuse(_request: Request, exc: Exception) -> Response:
    return exc.response() if isinstance(exc, Refusal) else error_page(str(exc))
