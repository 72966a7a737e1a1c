"""Which paths need an identity: all readings of a path count, as R45's corpus turned round."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Scope

from tests.middleware.probes import CALLBACK, INSTALL, http_scope
from tests.middleware.test_middleware_paths import OTHER_PATHS, OWN_SCOPES, RAW_PATHS
from wix_asgi import SettingsError
from wix_asgi.asgi.require_identity import ProtectedPaths, is_preflight, protected_paths

GUARD = ProtectedPaths([INSTALL, CALLBACK])

ELSEWHERE = {
    "",
    "/",
    "*",
    "/wix",
    "/wix/",
    "/wix/installs",
    "/wix/instal",
    "/wix/\u0130nstall",
    "/sub/wix/install",
}
"""The paths of the corpus that no reading brings below the prefix."""

RAW_ELSEWHERE = {b"*", b"", b"?/wix/install", b"/wix/install\xff"}


@pytest.mark.parametrize("scope", OWN_SCOPES.values(), ids=OWN_SCOPES)
def test_plain_spellings_are_protected(scope: Scope) -> None:
    """Below any mount, as servers and frameworks write it, the prefix itself is protected (R58)."""
    assert GUARD.has(scope)


@pytest.mark.parametrize("path", OTHER_PATHS)
@pytest.mark.parametrize("root_path", ["", "/mounted", "/mounted/"])
def test_other_spellings_are_protected(path: str, root_path: str) -> None:
    """A path that the middleware does not take for its own is protected like it (R45, R58)."""
    below = "" if path == "*" else root_path.rstrip("/") + path
    scopes = [http_scope(path, root_path=root_path), http_scope(below, root_path=root_path)]
    expected = path not in ELSEWHERE

    assert [expected, expected] == [GUARD.has(scope) for scope in scopes]


@pytest.mark.parametrize("raw_path", RAW_PATHS)
@pytest.mark.parametrize("root_path", ["", "/other", "/sub"])
def test_other_targets_are_protected(raw_path: bytes, root_path: str) -> None:
    """A target that is written otherwise is protected, whatever the server makes of it (R58)."""
    scope = http_scope("/elsewhere", raw_path=raw_path, root_path=root_path)
    is_below = raw_path not in RAW_ELSEWHERE and (root_path == "/sub" or b"/sub" not in raw_path)

    assert is_below == GUARD.has(scope)


SPELLINGS = [
    "/api",
    "/api/",
    "/api/x",
    "/API/x",
    "//api/x",
    "/./api/x",
    "/x/../api/x",
    "/x//../api/x",
    "/x/y/../..//api",
    "/../api",
    "/%61pi/x",
    "/%2561pi/x",
    "/%252561pi/x",
    "/%25252525252561pi",
    "/api%2Fx",
    "/api%252fx",
    "/x/..%2fapi/x",
    "/x/%2e%2e/api/x",
    "/api;a=1/x",
    "/;a/api",
    "/api?x",
    "/api%3Fx",
    "/api%23x",
    "/api%00/x",
    "/a%0Api/x",
    "/api%20",
    "\\api\\x",
    "/x\\..\\api",
    "/api%5Cx",
    "api/x",
    "@evil.example/api/x",
    "https://evil.example/api/x",
    "//evil.example/api/x",
    "/public/" + "x" * 2048,
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_any_reading_protects(spelling: str) -> None:
    """Decoded or not, folded or not, with a host or a parameter in it: it is protected (R58)."""
    guard = ProtectedPaths(["/api"])
    raw = spelling.encode()

    assert guard.has(http_scope(spelling))
    assert guard.has(http_scope(unquote(spelling), raw_path=raw))
    assert guard.has(http_scope("/public", raw_path=raw))


OUTSIDE = [
    "",
    "/",
    "/apis",
    "/ap",
    "/api-docs",
    "/apix/api",
    "/public/api",
    "/public/..api",
    "/public?/api",
    "/public;/api/..",
    "/caf%C3%A9",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_other_paths_need_nothing(path: str) -> None:
    """A path outside of the prefixes is the app's as before, at the edge of a segment (R58)."""
    guard = ProtectedPaths(["/api"])

    assert not guard.has(http_scope(unquote(path), raw_path=path.encode()))


MOUNTS = [
    ("/sub", "/sub/api", True),
    ("/sub", "/api", True),
    ("/sub/", "/sub/api", True),
    ("/sub", "/SUB/api", True),
    ("/s%75b", "/sub/api", True),
    ("/sub", "/x/sub/api", True),
    ("/sub", "/sub/sub/api", True),
    ("/sub", "/sub/public", False),
    ("/sub", "/public/api", False),
    ("/" + "%2525252525" * 2, "/public", True),
]


@pytest.mark.parametrize(("root_path", "path", "expected"), MOUNTS)
def test_path_is_read_with_and_without_its_mount(root_path: str, path: str, expected: bool) -> None:
    """With the mount and without it, wherever a framework takes it away (R58)."""
    guard = ProtectedPaths(["/api"])

    assert expected == guard.has(http_scope(path, root_path=root_path))


def test_prefix_may_name_the_mount() -> None:
    """A prefix may be the whole path, with the mount in it."""
    guard = ProtectedPaths(["/sub/api"])

    assert guard.has(http_scope("/api/x", root_path="/sub"))
    assert guard.has(http_scope("/sub/api/x", root_path="/sub"))
    assert not guard.has(http_scope("/public", root_path="/sub"))


def test_root_path_of_a_fastapi_app_counts() -> None:
    """A FastAPI app that is wrapped names its `root_path` after the guard (R58)."""

    class Layer:
        def __init__(self, app: Any) -> None:
            self.app = app

    api = FastAPI()
    api.root_path = "/v1"
    guard = protected_paths(["/api"], Layer(api))

    assert guard is not None
    assert guard.has(http_scope("/v1/api/x"))
    assert not guard.has(http_scope("/v1/public"))


@pytest.mark.parametrize(("setting", "protects"), [(None, False), (False, False), (True, True)])
def test_all_or_nothing(setting: bool | None, protects: bool) -> None:
    """True protects every path; without a setting there is nothing to ask."""
    guard = protected_paths(setting, None)

    assert protects == (guard is not None)
    assert guard is None or guard.has(http_scope("/anything"))


def test_root_path_below_a_mount_counts() -> None:
    """A FastAPI below mounts of a Starlette may say its mount by itself, too (R58)."""
    inner = FastAPI()
    inner.root_path = "/proxied"
    outer = Starlette(routes=[Mount("/a", routes=[Mount("/b", app=inner)]), Mount("/c", app=inner)])
    paths = protected_paths(["/api"], outer)
    plain = protected_paths(["/api"], Starlette(routes=[Mount("/a", app=FastAPI())]))

    assert paths is not None
    assert plain is not None
    assert [True, False] == [each.has(http_scope("/proxied/api")) for each in (paths, plain)]


@pytest.mark.parametrize("given_paths", [["/api"], ("/api/",), {"/api", "/b"}, ["/"], ["/caf\xe9"]])
def test_paths_are_taken(given_paths: Any) -> None:
    """Paths come as a list, a tuple or a set."""
    assert protected_paths(given_paths, None) is not None


WRONG = [
    "/api",
    "",
    [],
    ["api"],
    ["/api", 5],
    [b"/api"],
    ["/a//b"],
    ["/a/../b"],
    ["/a/."],
    ["/api/{id}"],
    ["/api?x"],
    ["/api%20"],
    ["https://app.example.com/api"],
    5,
    {"/api": True},
]


@pytest.mark.parametrize("setting", WRONG)
def test_wrong_paths_stop_the_start(setting: Any) -> None:
    """A value that would protect something else than it says is a SettingsError (R47)."""
    with pytest.raises(SettingsError, match=r'require_identity must be True, or .*\["/api"\]'):
        protected_paths(setting, None)


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("OPTIONS", [(b"origin", b"https://x"), (b"access-control-request-method", b"GET")], True),
        ("OPTIONS", [(b"origin", b"https://x")], False),
        ("GET", [(b"access-control-request-method", b"GET")], False),
        ("OPTIONS", [(b"x", b"")] * 1000 + [(b"access-control-request-method", b"GET")], False),
    ],
)
def test_preflight_has_a_method_and_a_header(
    method: str, headers: list[tuple[bytes, bytes]], expected: bool
) -> None:
    """A preflight is an OPTIONS with a header of its own, found within a bound (R51)."""
    scope = {**http_scope("/api"), "method": method, "headers": headers}

    assert expected == is_preflight(scope)


def test_websocket_is_no_preflight() -> None:
    """A websocket has no method."""
    assert not is_preflight({"type": "websocket", "path": "/api", "headers": []})
