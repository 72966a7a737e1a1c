"""Middlewares in front see the values that an app writes, as though ours were not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support import PUBLIC_URL, make_wix
from tests.trackers.recording import recording_sentry
from wix_asgi import Wix, WixMiddleware
from wix_asgi.testing import FakeWix


def api() -> FastAPI:
    """Return an app with a route that writes to its state, and a mounted app with another."""
    app, mounted = FastAPI(), FastAPI()

    async def item(number: int, request: Request) -> int:
        assert not hasattr(request.state, "written")
        request.state.written = number
        return number

    app.get("/items/{number}")(item)
    mounted.get("/things/{number}")(item)
    app.mount("/sub", mounted)

    @app.websocket("/talk/{number}")
    async def talk(websocket: WebSocket, number: int) -> None:
        websocket.state.written = number
        await websocket.accept()
        await websocket.close()

    return app


class InFront:
    """A middleware that looks at the scope once the app has answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seen: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the app, and keep the values that it wrote."""
        await self._app(scope, receive, send)
        if scope["type"] != "lifespan":
            self.seen.append(
                {
                    "written": scope["state"].get("written"),
                    "route": getattr(scope["route"], "path", None),
                    "endpoint": scope["endpoint"].__name__,
                    "path_params": scope["path_params"],
                    "root_path": scope.get("root_path", ""),
                    "app": type(scope["app"]).__name__,
                }
            )


def without(app: Any, wix: Wix) -> Any:
    """Return the app by itself."""
    return app


def added(app: Any, wix: Wix) -> Any:
    """Return the app with the middleware in its stack."""
    app.add_middleware(WixMiddleware, wix)
    return app


ARRANGEMENTS: dict[str, Callable[[Any, Wix], Any]] = {"wrap": WixMiddleware, "add": added}


def seen_of(arrange: Callable[[Any, Wix], Any], path: str) -> list[dict[str, Any]]:
    """Return the values that are seen in front of the app after a request to `path`."""
    front = InFront(arrange(api(), make_wix(FakeWix())))
    browser = TestClient(front, base_url=PUBLIC_URL)
    if path.startswith("/talk"):
        with browser.websocket_connect(path):
            pass
    else:
        assert "5" == browser.get(path).text
    return front.seen


@pytest.mark.parametrize("path", ["/items/5", "/sub/things/5", "/talk/5"])
@pytest.mark.parametrize("arrange", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_middleware_in_front_sees_the_same(arrange: Callable[[Any, Wix], Any], path: str) -> None:
    """State, route, endpoint and parameters are seen as without the middleware (R46)."""
    expected = seen_of(without, path)

    assert 5 == expected[0]["written"]
    assert expected == seen_of(arrange, path)


class Noting(BaseHTTPMiddleware):
    """A middleware that looks at the request as soon as the answer begins."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Write the values that are seen into a header, and a value into the state for the app."""
        request.state.noted = "noted"
        answer = await call_next(request)
        answer.headers["x-seen"] = ",".join(
            (
                request.state.written,
                request.scope["endpoint"].__name__,
                request.session["site"],
                request.user.display_name,
                type(request.state.wix).__name__,
            )
        )
        return answer


class Anybody(AuthenticationBackend):
    """Logs everybody in."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        """Return the same user for all."""
        return AuthCredentials(), SimpleUser("somebody")


async def page(request: Request) -> Response:
    """Write to state and session, and answer with the value of the middleware in front."""
    request.state.written = "written"
    request.session["site"] = "a site"
    return JSONResponse(request.state.noted)


def test_base_http_middleware_in_front_sees_it_before_the_end() -> None:
    """A BaseHTTPMiddleware sees state, endpoint, session and user when the answer begins (R46)."""
    inside = [
        Middleware(SessionMiddleware, secret_key="test-session-key-0123456789"),
        Middleware(AuthenticationMiddleware, backend=Anybody()),
    ]
    stack = [Middleware(Noting), Middleware(WixMiddleware, make_wix(FakeWix())), *inside]
    app = Starlette(routes=[Route("/page", page)], middleware=stack)
    answer = TestClient(app, base_url=PUBLIC_URL).get("/page")

    assert "noted" == answer.json()
    assert "written,page,a site,somebody,WixClient" == answer.headers["x-seen"]


def test_middleware_of_a_mounted_app() -> None:
    """Inside a mounted app it gives that app a client, and hides nothing from those around it."""
    sub = Starlette(
        routes=[Route("/page", page)],
        middleware=[
            Middleware(WixMiddleware, make_wix(FakeWix())),
            Middleware(SessionMiddleware, secret_key="test-session-key-0123456789"),
            Middleware(AuthenticationMiddleware, backend=Anybody()),
        ],
    )
    app = Starlette(routes=[Mount("/sub", app=sub)], middleware=[Middleware(Noting)])
    answer = TestClient(app, base_url=PUBLIC_URL).get("/sub/page")

    assert "written,page,a site,somebody,WixClient" == answer.headers["x-seen"]


def measured(app: Any, path: str) -> set[object]:
    """Return the targets in the durations that OpenTelemetry measures in front of `app`."""
    reader = InMemoryMetricReader()
    front = OpenTelemetryMiddleware(app, meter_provider=MeterProvider([reader]))
    TestClient(front, base_url=PUBLIC_URL).get(path)
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (point.attributes or {}).get("http.target")
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if "duration" in metric.name
        for point in metric.data.data_points
    }


@pytest.mark.parametrize(
    ("path", "target"), [("/items/5", "/items/{number}"), ("/sub/things/5", "/sub/things/{number}")]
)
@pytest.mark.parametrize("arrange", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_opentelemetry_in_front_measures_routes(
    arrange: Callable[[Any, Wix], Any], path: str, target: str
) -> None:
    """OpenTelemetry's ASGI middleware names the route in its metrics, and not each address."""
    assert {target} == measured(arrange(api(), make_wix(FakeWix())), path)


@pytest.mark.parametrize("arrange", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_sentry_in_front_names_transactions(arrange: Callable[[Any, Wix], Any]) -> None:
    """Sentry's ASGI middleware names an error's transaction by the endpoint."""
    app = api()

    @app.get("/broken/{number}")
    async def broken(number: int) -> None:
        raise LookupError(number)

    with recording_sentry(default_integrations=False) as sent:
        front = SentryAsgiMiddleware(arrange(app, make_wix(FakeWix())))
        browser = TestClient(front, base_url=PUBLIC_URL, raise_server_exceptions=False)
        browser.get("/broken/5")
    events = [event for event in sent if "exception" in event]

    assert 1 == len(events)
    assert events[0]["transaction"].endswith("broken")
