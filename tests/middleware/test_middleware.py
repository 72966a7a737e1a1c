"""The middleware: however it is put in front of an app, all but its own paths passes through."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Message

from tests.client.clients import install
from tests.middleware.probes import CALLBACK, INSTALL, call, http_scope
from tests.support import PUBLIC_URL, SITE, make_app, make_wix
from wix_asgi import BackendNotFound, SettingsError, StorageUnavailable, Wix, WixMiddleware
from wix_asgi import _setting_sources as settings_module
from wix_asgi.testing import FakeWix

ENVIRONMENT = {
    "WIX_APP_ID": "app-1",
    "WIX_APP_SECRET": "test-app-secret-number-one",
    "WIX_PUBLIC_URL": PUBLIC_URL,
    "WIX_STORAGE": "memory://",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set all that is required in the environment."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


WAYS: dict[str, Callable[[Any, Wix], Any]] = {
    "wrap": WixMiddleware,
    "add_middleware": lambda app, wix: app.add_middleware(WixMiddleware, wix) or app,
    "Middleware": lambda app, wix: Starlette(
        routes=app.routes, middleware=[Middleware(WixMiddleware, wix)]
    ),
    "Mount": lambda app, wix: Starlette(routes=[Mount("/", app=WixMiddleware(app, wix))]),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_is_the_same(way: Callable[[Any, Wix], Any]) -> None:
    """However it is added, it answers its paths, and routes have the caller's client."""
    fake = FakeWix()
    wix = make_wix(fake)
    anyio.run(install, wix, fake)
    app = way(make_app(), wix)
    with TestClient(app, base_url=PUBLIC_URL, follow_redirects=False) as browser:
        statuses = [browser.get(path).status_code for path in (INSTALL, CALLBACK, "/plain", "/no")]
        echo = browser.get("/echo", params={"instance": fake.signed_instance(SITE)})

    assert [303, 400, 200, 404] == statuses
    assert SITE == echo.json()["instanceId"]


def test_environment_is_enough(environment: None) -> None:
    """With the variables set, `WixMiddleware(app)` is all there is to it."""
    wrapped = WixMiddleware(make_app())
    added = make_app()
    added.add_middleware(WixMiddleware)
    for app in (wrapped, added):
        browser = TestClient(app, base_url=PUBLIC_URL, follow_redirects=False)

        assert 303 == browser.get(INSTALL).status_code
    assert "app-1" == wrapped.wix.settings.app_id


def test_keywords_win_over_the_environment(environment: None) -> None:
    """Keywords are those of Wix."""
    app = WixMiddleware(make_app(), install_path="/begin", app_id="app-2")
    browser = TestClient(app, base_url=PUBLIC_URL, follow_redirects=False)

    assert [303, 404] == [browser.get(path).status_code for path in ("/begin", INSTALL)]
    assert "app-2" == app.wix.settings.app_id


def test_wix_and_keywords_are_a_mistake() -> None:
    """A Wix that was made before takes no keywords: they would be ignored."""
    with pytest.raises(TypeError, match="not both"):
        WixMiddleware(make_app(), make_wix(FakeWix()), finish_setup=True)


@pytest.mark.parametrize("app", [Flask("app"), Flask("app").wsgi_app], ids=["app", "wsgi_app"])
def test_wsgi_app_is_refused(app: Any) -> None:
    """It would fail each request; the error names the wrapper that takes it."""
    with pytest.raises(TypeError, match="WixWSGIMiddleware"):
        WixMiddleware(app, make_wix(FakeWix()))


def test_app_without_a_signature_is_wrapped() -> None:
    """An app that is no Python code tells no parameters, and is taken for an ASGI app."""
    app: Any = dict
    wrapped: Any = WixMiddleware(app, make_wix(FakeWix()))

    assert app is wrapped.app


def test_wrong_settings_stop_it_at_once() -> None:
    """A wrapper with wrong settings is not made; the error names each of them (R47)."""
    with pytest.raises(SettingsError) as caught:
        WixMiddleware(make_app())

    assert all(name in str(caught.value) for name in ("WIX_APP_ID", "WIX_PUBLIC_URL"))


def star() -> Starlette:
    """Return a Starlette app with a route."""
    return make_app()


def api() -> FastAPI:
    """Return a FastAPI app with a route."""
    app = FastAPI()

    @app.get("/plain")
    async def plain() -> str:
        return "plain"

    return app


async def refused(app: Any) -> list[Message]:
    """Begin the lifespan of `app`, as a server does, in vain; return the messages that it sends."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises((SettingsError, BackendNotFound)):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return sent


@pytest.mark.parametrize("make", [star, api])
async def test_wrong_settings_stop_the_server(make: Callable[[], Any]) -> None:
    """Where the framework makes it during the start, the server hears why it cannot (R47)."""
    app = make()
    app.add_middleware(WixMiddleware, public_url="nonsense")
    sent = await refused(app)

    assert ["lifespan.startup.failed"] == [message["type"] for message in sent]
    assert "WIX_APP_ID" in sent[0]["message"]
    assert "public_url" in sent[0]["message"]


@pytest.mark.parametrize("make", [star, api])
def test_wrong_settings_without_a_lifespan_serve_nothing(make: Callable[[], Any]) -> None:
    """With the lifespan off each request fails, and none gets through to the app (R47)."""
    app = make()
    app.add_middleware(WixMiddleware)
    quiet, loud = TestClient(app, raise_server_exceptions=False), TestClient(app)
    answers = [quiet.get(path) for path in ("/plain", INSTALL, CALLBACK)]
    depths = []
    for _ in range(3):
        with pytest.raises(SettingsError, match="WIX_APP_ID") as caught:
            loud.get("/plain")
        depths.append(len(caught.traceback))

    assert [500, 500, 500] == [answer.status_code for answer in answers]
    assert 1 == len(set(depths))


@pytest.mark.parametrize("make", [star, api])
async def test_wrong_settings_let_no_request_through(make: Callable[[], Any]) -> None:
    """A request that comes without a lifespan raises the same error, every time (R47)."""
    app = make()
    app.add_middleware(WixMiddleware)
    for _ in range(2):
        with pytest.raises(SettingsError, match="WIX_APP_ID"):
            await call(app, http_scope("/plain"))


def find_no_driver(url: str) -> Any:
    """Be an installation without the driver of a storage."""
    raise BackendNotFound("The storage backend needs the module 'nodriver'.")


async def test_missing_driver_stops_the_server(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is missing is told like a wrong setting (R47)."""
    monkeypatch.delenv("WIX_STORAGE")
    monkeypatch.setattr(settings_module, "open_storage", find_no_driver)
    app = make_app()
    app.add_middleware(WixMiddleware)
    sent = await refused(app)
    with pytest.raises(BackendNotFound, match="nodriver"):
        WixMiddleware(make_app())

    assert ["lifespan.startup.failed"] == [message["type"] for message in sent]
    assert "nodriver" in sent[0]["message"]


def wrapping(depth: int, app: Any) -> Any:
    """Be a middleware of the app's own that wraps `app` into ours, `depth` calls further down."""
    return wrapping(depth - 1, app) if depth else WixMiddleware(app)


@pytest.mark.parametrize("depth", [0, 1, 5, 50])
@pytest.mark.parametrize("make", [star, api])
async def test_wrong_settings_stop_the_server_from_any_depth(
    make: Callable[[], Any], depth: int
) -> None:
    """Also where a middleware of the app's own makes it, the server hears why it cannot (R47)."""
    app = make()
    app.add_middleware(lambda inner: wrapping(depth, inner))
    sent = await refused(app)

    assert ["lifespan.startup.failed"] == [message["type"] for message in sent]


@pytest.mark.parametrize("depth", [0, 50])
async def test_wrong_settings_stop_it_at_once_in_an_event_loop(depth: int) -> None:
    """Made by the app itself, while a server imports it within its loop, it is not made (R47)."""
    with pytest.raises(SettingsError, match="WIX_APP_ID"):
        wrapping(depth, make_app())


def test_errors_are_answered_by_the_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is 401, not installed is 403, Wix or the storage down is 503 with Retry-After."""
    fake = FakeWix()
    wix = make_wix(fake)
    anyio.run(install, wix, fake)
    app = WixMiddleware(make_app(), wix)
    with TestClient(app) as browser:
        nobody = browser.get("/echo")
        forged = browser.get("/echo", params={"instance": "forged.instance"})
        unknown = browser.get("/echo", params={"instance": fake.signed_instance("site-unknown")})
        fake.expire_access_tokens()
        fake.fail("/oauth/access", status=503, times=None)
        down = browser.get("/echo", params={"instance": fake.signed_instance(SITE)})
        monkeypatch.setattr(wix.storage, "get", _raise)
        lost = browser.get("/echo", params={"instance": fake.signed_instance("site-2")})

    answers = (nobody, forged, unknown, down, lost)
    assert [401, 401, 403, 503, 503] == [answer.status_code for answer in answers]
    assert all(re.fullmatch(r"[1-9][0-9]*", one.headers["Retry-After"]) for one in (down, lost))
    assert "Retry-After" not in nobody.headers


async def _raise(app_id: str, instance_id: str) -> None:
    raise StorageUnavailable("The test database is down.")


def test_given_wix_that_is_open_stays_open() -> None:
    """A Wix that its owner has opened is not closed with the app."""
    wix = make_wix(FakeWix())
    anyio.run(wix.open)
    with TestClient(WixMiddleware(make_app(), wix)) as browser:
        browser.get("/plain")

    assert wix.is_open
