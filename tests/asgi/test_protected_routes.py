"""Protected routes against real routers: no spelling that they take passes the guard."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, unquote_to_bytes

from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute
from starlette.types import Scope
from starlette.websockets import WebSocket

from tests.middleware.probes import http_scope
from wix_asgi.asgi.require_identity import ProtectedPaths, protected_paths


async def secret(_request: Request) -> Response:
    """Be a route that needs an identity."""
    return PlainTextResponse("secret")


async def live(websocket: WebSocket) -> None:
    """Be a websocket that needs an identity."""
    await websocket.close()


ROUTES: list[BaseRoute] = [
    Route("/api/secret", secret, methods=["GET", "POST"]),
    Route("/api/items/{item}", secret),
    WebSocketRoute("/api/live", live),
    Mount("/api/files", routes=[Route("/{rest:path}", secret)]),
]
FAST = FastAPI(openapi_url=None)
FAST.root_path = "/v1"
FAST.add_api_route("/api/secret", secret, response_model=None)

PIECES = ["api", "API", "secret", "items", "files", "live", "sub", "v1", "x", ".", "..", "", ";y"]
MARKS = ["/", "/", "/", "//", "/./", "/../", "\\", "%2F", "%5C", "/;a/"]
STARTS = ["", "/sub", "/v1", "/x/.."]
ROOTS = ["/api/secret", "/api/items/1", "/api/live", "/api/files", "/api", ""]


@st.composite
def targets(draw: st.DrawFn) -> str:
    """Draw a target: pieces of protected paths, some of their characters escaped, once or more."""
    pieces = st.lists(st.tuples(st.sampled_from(MARKS), st.sampled_from(PIECES)), max_size=4)
    text = draw(st.sampled_from(STARTS)) + draw(st.sampled_from(ROOTS))
    text += "".join(mark + piece for mark, piece in draw(pieces))
    for _ in range(draw(st.integers(0, 3))):
        escaped = draw(st.sets(st.integers(0, len(text)), max_size=4))
        text = "".join(
            f"%{ord(char):02x}" if place in escaped else char for place, char in enumerate(text)
        )
    return text or "/"


def is_taken(routes: list[BaseRoute], scope: Scope) -> bool:
    """Return whether a router with these routes takes a request."""
    return any(route.matches(scope)[0] is not Match.NONE for route in routes)


@given(targets(), st.sampled_from(["", "/sub", "/sub/"]), st.sampled_from(["http", "websocket"]))
@example("/sub/api/secret", "/sub", "http")
@example("/api%2fsecret", "", "http")
@example("/api/live", "", "websocket")
def test_no_spelling_that_starlette_takes_passes(target: str, root_path: str, kind: str) -> None:
    """Whatever Starlette routes to a protected route is protected (R58)."""
    path = http_scope(unquote(target), raw_path=target.encode(), root_path=root_path)
    scope = {**path, "type": kind}
    guard = protected_paths(["/api"], Starlette(routes=ROUTES))

    assert guard is not None
    assert guard.has(scope) or not is_taken(ROUTES, scope)


@given(targets())
@example("/v1/api/secret")
def test_no_spelling_that_fastapi_takes_passes(target: str) -> None:
    """Whatever a FastAPI app with a `root_path` of its own routes there is protected (R58)."""
    scope = http_scope(unquote(target), raw_path=target.encode())
    guard = protected_paths(["/api"], FAST)

    assert guard is not None
    assert guard.has(scope) or not is_taken(FAST.routes, {**scope, "root_path": FAST.root_path})


@given(targets())
@example("/x/%2e%2e/api/secret")
def test_no_spelling_that_a_file_server_takes_passes(target: str) -> None:
    """Whatever `normpath` makes of a path, decoded once or twice, is protected (R58)."""
    once = unquote_to_bytes(target).decode("utf-8", "replace")
    scope = http_scope(once, raw_path=target.encode())
    files = [posixpath.normpath(f"/{text}") for text in (target, once, unquote(once))]
    below = [f"{name}/".lstrip("/").startswith("api/") for name in files]

    assert ProtectedPaths(["/api"]).has(scope) or not any(below)


def test_search_finds_spellings() -> None:
    """The routers take the spellings that the search begins with: there is something to protect."""
    plain = http_scope("/api/secret")

    assert is_taken(ROUTES, plain)
    assert is_taken(FAST.routes, {**http_scope("/v1/api/secret"), "root_path": "/v1"})
    assert not is_taken(ROUTES, http_scope("/elsewhere"))
