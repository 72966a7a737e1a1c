"""FakeWix: an ASGI app that plays Wix, for tests and demos.

It follows the documentation of Wix, and is stricter than Wix on every point that the documentation
leaves open: a code works once, and using it again revokes its grant; only JSON is accepted, without
unknown or repeated fields; a token endpoint refuses a request with an access token; `Bearer` is
refused, and so are the tokens of users, members and visitors; redirect URLs match exactly. An app
that works with FakeWix has a fair chance with Wix.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from wix_asgi.testing.fake_wix._browser import BrowserPages
from wix_asgi.testing.fake_wix._control import PLAYED_PATHS
from wix_asgi.testing.fake_wix._installations_query import (
    INSTALLATIONS_QUERY_PATH,
    InstallationsQuery,
)
from wix_asgi.testing.fake_wix._pages import error_page, not_found_page
from wix_asgi.testing.fake_wix._reachable import Reachable
from wix_asgi.testing.fake_wix._site_api import ApiRoute, SiteApi
from wix_asgi.testing.fake_wix._token_endpoints import TokenEndpoints
from wix_asgi.testing.fake_wix._wire import Refusal
from wix_asgi.testing.fake_wix.calls import Call
from wix_asgi.testing.fake_wix.clock import Clock
from wix_asgi.testing.fake_wix.faults import ConnectionLost, Fault
from wix_asgi.testing.fake_wix.installer import (
    CLOSE_WINDOW_PATH,
    DASHBOARD_PATH,
    EXTERNAL_INSTALL_PATH,
    INSTALL_PATH,
    PUBLIC_KEY_PATH,
    SEND_EVENT_PATH,
    UNINSTALL_PATH,
    InstallerRefused,
)
from wix_asgi.testing.fake_wix.world import FakeSite

__all__ = ["FakeWix"]


class FakeWix(Reachable):
    """Wix for one app, as an ASGI app: the pages of www.wix.com and the API, on one origin.

    In process, hand `transport` to the HTTP client; with sockets, use `with fake.serve() as url`.
    Any ASGI server can serve it, too; then set `url` to its address. `settings()` returns the
    matching keywords for `Wix` and `WixMiddleware`. Every method may be called from any thread and
    any event loop.

    It plays both flows side by side: the installer with codes and refresh tokens, and the external
    install flow with client credentials. A site that installed by either gets tokens by client
    credentials, too. `flow` tells which kind of app the links of the first page are for.

    Of Wix's API it knows four endpoints: Get App Instance, Send BI Event, App Installations Query,
    and Query Products (of the Stores catalog V1), which sends the list `products()`. Other paths
    and methods get a 404 that lists all known endpoints, and a browser gets a page.
    `answer("GET", "/contacts/v4/contacts", json={"contacts": []})` defines an answer, and
    `echo("/x/*")` sends calls back.

    Its webhooks are signed by a key of its own, which `settings()` and `GET /public-key` tell.
    `send_event` delivers an event, and `redeliver_due` repeats failed events, by Wix's
    schedule. `queue_event` and `send_queued` send in any order, `deliver` sends copies and the
    bodies of `forge_event`. With a `webhook_url`, installs and their ends cause events.

    Args:
        app_id: The ID of the only app.
        app_secret: The secret key of the app. Refresh tokens and install tokens are valid with
            every FakeWix that was created with the same app ID and secret.
        redirect_urls: The exact URLs to which the installers may lead back (that of the external
            install flow with any query); None allows every URL.
        app_url: The App URL, for the links on the first page.
        app_name: The name of the app on the consent page and the dashboard.
        dashboard_url: The page of the app that the dashboard of a site frames, from another host
            name of this machine where the app is on this machine; `/` at the App URL by default.
        clock: The clock by which codes (600 s) and access tokens (300 s) expire. Signed instances
            carry real time instead, since an app checks them by the clock of its host.
        sites: The name of every site, by instance ID, or a `FakeSite` with products of its own;
            three demo sites by default.
        rotate_refresh_tokens: Answer every refresh with a new refresh token; using a refresh token
            twice revokes its whole grant.
        url: The origin of all pages and endpoints while it is not served.
        webhook_key: A private RSA key in PEM that signs the events, so that the public key stays
            the same after a restart; by default a key that is made in this process.

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
        app_name: str = "Your app",
        dashboard_url: str | None = None,
        clock: Clock | None = None,
        sites: Mapping[str, str | FakeSite] | None = None,
        rotate_refresh_tokens: bool = False,
        url: str = "https://wix.example",
        webhook_key: str | None = None,
    ) -> None:
        super().__init__(
            app_id=app_id,
            app_secret=app_secret,
            redirect_urls=redirect_urls,
            app_url=app_url,
            app_name=app_name,
            dashboard_url=dashboard_url,
            clock=clock,
            sites=sites,
            rotate_refresh_tokens=rotate_refresh_tokens,
            url=url,
            webhook_key=webhook_key,
        )
        self._site_api = SiteApi(self, self._grants, self._answers)
        self._browser = BrowserPages(
            self,
            self._grants,
            self._install_tokens,
            self._installers,
            tell=self._send_told,
            queue_event=self.queue_event,
            deliveries_of=self._deliveries_of,
        )
        api = self._api_routes()
        self._known = [
            f"{method} {route.path}"
            for route in api
            for method in (route.methods or set()) - {"HEAD"}
        ]
        self._app = ExceptionMiddleware(
            Router([*self._page_routes(), *api], redirect_slashes=False, default=self._elsewhere),
            {Refusal: _refuse, InstallerRefused: _refuse},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer over a connection; a lost connection is cut off in the middle of the answer."""
        try:
            await self._in_process(scope, receive, send)
        except ConnectionLost:
            headers = [(b"content-length", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

    def _page_routes(self) -> list[Route]:
        return [
            *[
                Route(path, page, methods=[method])
                for path in (INSTALL_PATH, EXTERNAL_INSTALL_PATH)
                for method, page in (("GET", self._browser.consent), ("POST", self._browser.decide))
            ],
            Route(CLOSE_WINDOW_PATH, self._browser.close_window, methods=["GET"]),
            Route(DASHBOARD_PATH, self._browser.dashboard, methods=["GET"]),
            Route(UNINSTALL_PATH, self._browser.uninstall, methods=["POST"]),
            Route(SEND_EVENT_PATH, self._browser.send_event, methods=["POST"]),
            Route(PUBLIC_KEY_PATH, self._show_public_key, methods=["GET"]),
        ]

    def _api_routes(self) -> list[Route]:
        tokens = TokenEndpoints(self, self._grants)
        query = InstallationsQuery(self, self._grants)
        return [
            Route("/oauth/access", tokens.access, methods=["POST"]),
            Route("/oauth/access/", tokens.access, methods=["POST"]),
            Route("/oauth2/token", tokens.client_credentials, methods=["POST"]),
            Route("/oauth2/token-info", tokens.token_info, methods=["POST"]),
            ApiRoute("GET", "/apps/v1/instance", self._site_api.instance),
            ApiRoute("POST", "/apps/v1/bi-event", self._site_api.bi_event),
            ApiRoute("POST", "/stores/v1/products/query", self._site_api.products),
            ApiRoute("POST", INSTALLATIONS_QUERY_PATH, query.answer),
        ]

    async def _show_public_key(self, _request: Request) -> Response:
        return PlainTextResponse(self.public_key)

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        request = Request(scope, receive)
        if self._browser.wanted(request):
            page = await self._browser.sites(request)
        elif self._browser.is_browser(request):
            page = not_found_page()
        else:
            self._site_api.unknown(request, self._known)
        await page(scope, receive, send)

    async def _in_process(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            return
        call = self._site_api.with_site(Call.from_scope(scope, body))
        fault = self._faults.take(call)
        if fault is not None and fault.kind == "refuse":
            raise ConnectionLost(unsent=True)
        self._log.add(call)
        self._signal.notify()
        answer = await self._answer(call, scope, body, fault)
        await self._gates.pass_through(call)
        if fault is not None and fault.kind == "drop":
            raise ConnectionLost(unsent=False)
        self._log.answered(call, answer[0]["status"])
        for message in answer:
            await send(message)
        await self._send_told()

    async def _answer(
        self, call: Call, scope: Scope, body: bytes, fault: Fault | None
    ) -> list[Message]:
        answer: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            answer.append(message)

        app: ASGIApp = self._app
        if fault is not None:
            if fault.kind == "raise":
                raise RuntimeError("FakeWix was told to raise")
            if fault.kind == "hang":
                await self._faults.hang()
            if fault.kind == "answer":
                app = fault.response()
        if app is self._app:
            app = await self._defined(call, Request(scope, receive)) or app
        await app(scope, receive, send)
        request_id = uuid.uuid4().hex.encode()
        answer[0]["headers"] = [*answer[0]["headers"], (b"x-wix-request-id", request_id)]
        return answer

    async def _defined(self, call: Call, request: Request) -> Response | None:
        """Return the answer that a test has defined for a call of the API."""
        if call.path in PLAYED_PATHS or self._browser.wanted(request):
            return None
        try:
            return await self._site_api.answered(call, request)
        except Refusal as exc:
            return exc.response()


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
