"""Frameworks whose apps count visits in their sessions, each in the dashboard of a fake Wix."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import fastapi
import flask
import litestar
import quart
from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from litestar.middleware.session.client_side import CookieBackendConfig
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from wix_asgi import Wix, WixMiddleware, WixWSGIMiddleware
from wix_asgi.fastapi import add_wix
from wix_asgi.litestar import WixPlugin
from wix_asgi.quart import add_wix as add_wix_to_quart
from wix_asgi.testing import FakeWix

__all__ = ["CODES", "PORT", "SessionApps", "app_url", "dashboard_url"]

CODES: Final = "TEST_CODES"
"""The variable with the code that sets up the session of each app, by its name, in JSON.

A name begins with that of the framework, and may have more behind a hyphen.
"""

PORT: Final = "TEST_PORT"
"""The variable with the port of all apps and dashboards."""

_KEY: Final = b"test-session-key"


def app_url(name: str, port: str | int) -> str:
    """Return the address of an app, which is of another site than its dashboard."""
    return f"https://{name.lower()}.app.test:{port}"


def dashboard_url(name: str, port: str | int) -> str:
    """Return the address of the fake Wix with the dashboard of an app."""
    return f"https://{name.lower()}.wix.test:{port}"


class SessionApps:
    """All of them, as the ASGI app of one server without a lifespan, told apart by host."""

    def __init__(self) -> None:
        port, codes = os.environ[PORT], json.loads(os.environ[CODES])
        self._apps: dict[str, ASGIApp] = {}
        for name, code in codes.items():
            here, there = app_url(name, port), dashboard_url(name, port)
            fake = FakeWix(url=there, dashboard_url=f"{here}/visits")
            wix = Wix(
                public_url=here, storage="memory://", transport=fake.transport, **fake.settings()
            )
            self._apps[there] = fake
            self._apps[here] = _MAKERS[name.partition("-")[0]](code, wix)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the host that is asked."""
        host = dict(scope["headers"])[b"host"].decode()
        await self._apps[f"https://{host}"](scope, receive, send)


def _visit(session: Any) -> str:
    """Count a visit."""
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


def _run(code: str, **names: Any) -> Mapping[str, Any]:
    """Run code of the page with these names, and those that an app imports."""
    space: dict[str, Any] = {
        "SessionMiddleware": SessionMiddleware,
        "CookieBackendConfig": CookieBackendConfig,
    }
    space |= {"key": _KEY, "WixMiddleware": WixMiddleware, **names}
    exec(compile(code, "frameworks.md", "exec", dont_inherit=True), space)  # noqa: S102 - ours
    return space


def _make_fastapi(code: str, wix: Wix) -> ASGIApp:
    app = fastapi.FastAPI()

    @app.get("/visits")
    async def visits(request: fastapi.Request) -> PlainTextResponse:
        return PlainTextResponse(_visit(request.session))

    add_wix(app, wix)
    _run(code, app=app)
    return app


def _make_litestar(code: str, wix: Wix) -> Any:
    @litestar.get("/visits", media_type="text/plain")
    async def visits(request: litestar.Request[Any, Any, Any]) -> str:
        return _visit(request.session)

    session = _run(code)["session"]
    return litestar.Litestar([visits], plugins=[WixPlugin(wix)], middleware=[session.middleware])


def _make_quart(code: str, wix: Wix) -> Any:
    app = quart.Quart(__name__)
    app.secret_key = _KEY

    @app.get("/visits")
    async def visits() -> str:
        return _visit(quart.session)

    _run(code, app=app, wix=wix, add_wix=lambda app: add_wix_to_quart(app, wix))
    return app


def _make_flask(code: str, wix: Wix) -> Any:
    app = flask.Flask(__name__)
    app.secret_key = _KEY

    @app.get("/visits")
    def visits() -> str:
        return _visit(flask.session)

    app.wsgi_app = WixWSGIMiddleware(app.wsgi_app, wix)  # type: ignore[method-assign] # Flask's way
    _run(code, app=app)
    return WSGIMiddleware(app)  # type: ignore[arg-type] # its environ is a TypedDict, not a dict


def _make_django(code: str, wix: Wix) -> ASGIApp:
    settings.configure(
        SECRET_KEY=_KEY.decode(),
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            "wix_asgi.django.WixRequestMiddleware",
        ],
        **{name: value for name, value in _run(code).items() if name.isupper()},
    )
    return WixMiddleware(get_asgi_application(), wix)


def _visits_of_django(request: HttpRequest) -> Any:
    return HttpResponse(_visit(request.session))


urlpatterns = [path("visits", _visits_of_django)]

_MAKERS: Final[dict[str, Callable[[str, Wix], Any]]] = {
    "FastAPI": _make_fastapi,
    "Litestar": _make_litestar,
    "Quart": _make_quart,
    "Flask": _make_flask,
    "Django": _make_django,
}
