"""`resolve_identity` is asked with the scope that the app's own middlewares have written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.support import PUBLIC_URL, SITE, make_wix
from wix_asgi import Wix, WixMiddleware
from wix_asgi.testing import FakeWix

SESSION = Middleware(SessionMiddleware, secret_key="test-session-key-0123456789")


def from_session(connection: HTTPConnection) -> str | None:
    """Return the site that somebody logged in for."""
    site: str | None = connection.session.get("site")
    return site


async def log_in(request: Request) -> Response:
    """Log in for a site."""
    request.session["site"] = SITE
    return PlainTextResponse("")


async def who(request: Request) -> Response:
    """Tell for whom the client works."""
    identity = request.state.wix.identity
    return PlainTextResponse(identity.instance_id if identity else "nobody")


ROUTES = [Route("/log-in", log_in), Route("/who", who)]
ARRANGEMENTS: dict[str, Callable[[Wix], Any]] = {
    "session inside": lambda wix: WixMiddleware(
        Starlette(routes=ROUTES, middleware=[SESSION]), wix
    ),
    "session added before": lambda wix: Starlette(
        routes=ROUTES, middleware=[Middleware(WixMiddleware, wix), SESSION]
    ),
    "session outside": lambda wix: Starlette(
        routes=ROUTES, middleware=[SESSION, Middleware(WixMiddleware, wix)]
    ),
}


@pytest.mark.parametrize("arrange", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_a_session_names_the_site(arrange: Callable[[Wix], Any]) -> None:
    """A session is known wherever its middleware stands, in front of ours or behind it."""
    wix = make_wix(FakeWix(), resolve_identity=from_session)
    with TestClient(arrange(wix), base_url=PUBLIC_URL) as browser:
        before = browser.get("/who").text
        browser.get("/log-in")
        after = browser.get("/who").text

    assert ("nobody", SITE) == (before, after)
