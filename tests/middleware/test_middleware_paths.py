"""Which paths are the middleware's own, and that no other spelling of them is."""

from __future__ import annotations

import copy

import anyio
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Scope

from tests.client.clients import install
from tests.middleware.probes import CALLBACK, INSTALL, Probe, http_scope, is_ours
from tests.support import PUBLIC_URL, SITE, make_app, make_wix
from wix_asgi import WixMiddleware
from wix_asgi.testing import FakeWix

OWN_SCOPES = {
    "plain": http_scope(INSTALL),
    "callback": http_scope(CALLBACK),
    "raw path": http_scope(INSTALL, raw_path=b"/wix/install"),
    "raw path with a query": http_scope(INSTALL, raw_path=b"/wix/install?token=%2F"),
    "empty root": http_scope(INSTALL, root_path=""),
    "root and full path": http_scope("/sub/wix/install", root_path="/sub"),
    "root, full path, full raw": http_scope(
        "/sub/wix/install", root_path="/sub", raw_path=b"/sub/wix/install"
    ),
    "root, full path, raw without": http_scope(
        "/sub/wix/install", root_path="/sub", raw_path=b"/wix/install"
    ),
    "root and path without": http_scope(INSTALL, root_path="/sub"),
    "root and path without, raw": http_scope(INSTALL, root_path="/sub", raw_path=b"/wix/install"),
    "two roots": http_scope("/a/b/wix/install", root_path="/a/b"),
    "root of escapes": http_scope(
        "/caf\xe9/wix/install", root_path="/caf\xe9", raw_path=b"/caf%C3%A9/wix/install"
    ),
    "hostile Host": http_scope(INSTALL, headers=[(b"host", b"evil.example/x?y=#")]),
    "no Host": http_scope(INSTALL, headers=[]),
    "HEAD": {**http_scope(INSTALL), "method": "HEAD"},
    "POST": {**http_scope(INSTALL), "method": "POST"},
}


@pytest.mark.parametrize("scope", OWN_SCOPES.values(), ids=OWN_SCOPES)
async def test_own_paths(wrapped: WixMiddleware, probe: Probe, scope: Scope) -> None:
    """Its paths are its own below any mount, as servers and frameworks write them (R45)."""
    assert await is_ours(wrapped, copy.deepcopy(scope))
    assert [] == probe.scopes


OTHER_PATHS = [
    "",
    "/",
    "*",
    "wix/install",
    "/wix",
    "/wix/",
    "/wix/install/",
    "/wix/install/x",
    "/wix/installs",
    "/wix/instal",
    "/Wix/install",
    "/WIX/INSTALL",
    "/wix/İnstall",
    "//wix/install",
    "/wix//install",
    "/./wix/install",
    "/wix/./install",
    "/wix/../wix/install",
    "/x/../wix/install",
    "/wix/install;x",
    "/wix;x/install",
    "/wix/install?x",
    "/wix/install#x",
    "/wix/install\0",
    "/wix/install ",
    " /wix/install",
    "/wix/install\n",
    "/wix/install%20",
    "/wix%2Finstall",
    "\\wix\\install",
    "/wix\\install",
    "/sub/wix/install",
    "@evil.example/wix/install",
    "https://app.example.com/wix/install",
    "//app.example.com/wix/install",
]


@pytest.mark.parametrize("path", OTHER_PATHS)
@pytest.mark.parametrize("root_path", ["", "/sub/x"])
async def test_other_paths_are_the_apps(wrapped: WixMiddleware, path: str, root_path: str) -> None:
    """A path that is not exactly its own is the app's (R45)."""
    assert not await is_ours(wrapped, http_scope(path, root_path=root_path))


RAW_PATHS = [
    b"/wix%2Finstall",
    b"/wix%2finstall",
    b"/%77ix/install",
    b"/wix/%69nstall",
    b"/wix/install%00",
    b"/wix/install%20",
    b"/wix/./install",
    b"/wix//install",
    b"//wix/install",
    b"/x/../wix/install",
    b"/wix/install;x",
    b"/wix/install/",
    b"/WIX/install",
    b"https://app.example.com/wix/install",
    b"//app.example.com/wix/install",
    b"*",
    b"",
    b"?/wix/install",
    b"/sub/wix/install",
    b"/wix/install\xff",
]


@pytest.mark.parametrize("raw_path", RAW_PATHS)
@pytest.mark.parametrize("root_path", ["", "/other"])
async def test_other_spellings_are_the_apps(
    wrapped: WixMiddleware, raw_path: bytes, root_path: str
) -> None:
    """A target that only unescapes to its path, or is another form of it, is the app's (R45)."""
    scope = http_scope(INSTALL, raw_path=raw_path, root_path=root_path)

    assert not await is_ours(wrapped, scope)


@pytest.mark.parametrize(
    ("root_path", "path"),
    [
        ("/sub", "/subwix/install"),
        ("/sub", "/sub2/wix/install"),
        ("/sub", "/Sub/wix/install"),
        ("/sub", "/x/sub/wix/install"),
        ("/sub", "/sub/sub/wix/install"),
        ("/sub/", "/sub/x/wix/install"),
        ("/wix", "/wix/installx"),
        ("/wix/install", "/wix/install/"),
    ],
)
async def test_mount_ends_at_a_segment(wrapped: WixMiddleware, root_path: str, path: str) -> None:
    """A prefix counts at the edge of a segment only (R45)."""
    assert not await is_ours(wrapped, http_scope(path, root_path=root_path))


def test_mounted_app() -> None:
    """An app that is mounted with its middleware answers below its mount, without a lifespan."""
    fake = FakeWix()
    wix = make_wix(fake, public_url=f"{PUBLIC_URL}/sub")
    anyio.run(install, wix, fake)
    anyio.run(wix.aclose)
    inner = make_app()
    inner.add_middleware(WixMiddleware, wix)
    app = Starlette(routes=[Mount("/sub", app=inner)])
    browser = TestClient(app, base_url=PUBLIC_URL, follow_redirects=False)
    paths = ("/sub/wix/install", "/wix/install", "/sub/sub/wix/install", "/sub/plain")
    statuses = [browser.get(path).status_code for path in paths]
    echo = browser.get("/sub/echo", params={"instance": fake.signed_instance(SITE)})

    assert [303, 404, 404, 200] == statuses
    assert SITE == echo.json()["instanceId"]


def test_behind_a_prefix() -> None:
    """With the server's `root_path`, as a proxy needs it, its paths are below the prefix."""
    app = WixMiddleware(make_app(), make_wix(FakeWix()))
    browser = TestClient(app, base_url=PUBLIC_URL, root_path="/sub", follow_redirects=False)

    assert [303, 303, 200] == [
        browser.get(path).status_code for path in ("/sub/wix/install", INSTALL, "/sub/plain")
    ]
