"""Litestar's own middlewares, errors and settings beside the plugin."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar, WebSocket, get, websocket
from litestar.middleware import DefineMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from tests.frameworks.litestar_apps import (
    UNLOGGED,
    browse,
    connect,
    free,
    make_litestar,
)
from tests.support import PUBLIC_URL, make_wix
from wix_asgi import (
    MiddlewareMissing,
    SettingsError,
    Wix,
    WixMiddleware,
)
from wix_asgi.litestar import WixPlugin
from wix_asgi.testing import FakeWix

# Litestar has types of its own for ASGI.
UNTYPED: Any = WixMiddleware


@pytest.mark.parametrize("middleware", [UNTYPED, DefineMiddleware(UNTYPED)])
def test_middleware_of_litestar_says_what_to_write(middleware: Any) -> None:
    """`middleware=[WixMiddleware]` would leave the install a 404, and stops the app instead."""
    with pytest.raises(TypeError, match=r"Litestar\(plugins=\[WixPlugin\(\)\]\)"):
        Litestar([free], middleware=[middleware], **UNLOGGED)


async def test_app_may_be_wrapped() -> None:
    """`WixMiddleware(app)` goes in front of a Litestar app as of any other."""
    app: Any = Litestar([free], **UNLOGGED)
    async with browse(WixMiddleware(app, make_wix(FakeWix()))) as browser:
        assert 303 == (await browser.get("/wix/install")).status_code
        assert "free" == (await browser.get("/free")).text


async def test_refusal_of_a_middleware_is_answered() -> None:
    """A middleware of the app may use the client, too."""

    def strict(app: ASGIApp) -> ASGIApp:
        async def identify(scope: Scope, receive: Receive, send: Send) -> None:
            await scope["state"]["wix"].identify()
            await app(scope, receive, send)

        return identify

    plugin = WixPlugin(make_wix(FakeWix()))
    async with browse(make_litestar(plugin, middleware=[strict])) as browser:
        assert 401 == (await browser.get("/free")).status_code


async def test_errors_of_the_app_stay_its_own() -> None:
    """An error that is no refusal is Litestar's, in a websocket too."""

    @websocket("/broken")
    async def broken(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        raise ValueError("a bug")

    @get("/broken-page")
    async def broken_page() -> None:
        raise ValueError("a bug")

    app = make_litestar(WixPlugin(make_wix(FakeWix())), broken, broken_page)
    async with browse(app) as browser:
        closed = (await connect(app, "/broken"))[-1]
        page = await browser.get("/broken-page")

    assert 4500 == closed["code"]
    assert 500 == page.status_code


def test_wrong_settings_stop_the_app_where_it_is_made() -> None:
    """Settings are read at once, and a Wix beside keywords is a mistake that names neither."""
    fake = FakeWix()
    with pytest.raises(SettingsError, match="app_id"):
        WixPlugin(storage="memory://")
    with pytest.raises(TypeError, match="not both"):
        WixPlugin(make_wix(fake), app_secret="test-app-secret")
    with pytest.raises(SettingsError, match=r"slash: /begin/"):
        WixPlugin(make_wix(fake, install_path="/begin/"))


def test_plugin_takes_keywords() -> None:
    """The keywords are those of `Wix`, which the plugin makes."""
    fake = FakeWix()
    plugin = WixPlugin(
        **fake.settings(), public_url=PUBLIC_URL, storage="memory://", transport=fake.transport
    )

    assert isinstance(plugin.wix, Wix)


def test_client_needs_the_plugin() -> None:
    """The dependency without its middleware says what is missing."""
    from wix_asgi.frameworks.litestar import _client  # noqa: PLC0415

    scope: Any = {"type": "http", "headers": []}
    with pytest.raises(MiddlewareMissing):
        _client(scope)
