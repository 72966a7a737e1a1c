"""FastAPI: the client as a dependency, in routes and in websockets."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from fastapi import FastAPI, WebSocket
from starlette.testclient import TestClient

from tests.client.clients import install
from tests.support import SITE, make_wix
from wix_asgi import MiddlewareMissing, Wix, WixClient, WixMiddleware, get_wix
from wix_asgi._http import httpx
from wix_asgi.fastapi import WixDep
from wix_asgi.testing import FakeWix


def make_api() -> FastAPI:
    """Return a FastAPI app that uses the client wherever it can."""
    api = FastAPI()

    @api.get("/echo")
    async def echo(wix: WixDep) -> Any:
        return (await wix.get("/x")).json()

    @api.get("/sync")
    def sync(wix: WixDep) -> dict[str, bool]:
        return {"is_client": isinstance(wix, httpx.AsyncClient)}

    @api.websocket("/ws")
    async def talk(websocket: WebSocket, wix: WixDep) -> None:
        await websocket.accept()
        await websocket.send_json((await wix.get("/x")).json())
        await websocket.close()

    return api


@pytest.fixture
def fake() -> FakeWix:
    """Return a Wix."""
    return FakeWix()


@pytest.fixture
def wix(fake: FakeWix) -> Wix:
    """Return a Wix that is installed on the first site."""
    wix = make_wix(fake)
    anyio.run(install, wix, fake)
    anyio.run(wix.aclose)
    return wix


@pytest.mark.parametrize("way", ["wrapped", "added"])
def test_dependency_of_a_route(fake: FakeWix, wix: Wix, way: str) -> None:
    """A route gets the client of the calling site."""
    app: Any = make_api()
    if way == "added":
        app.add_middleware(WixMiddleware, wix)
    else:
        app = WixMiddleware(app, wix)
    with TestClient(app) as browser:
        answers = [
            browser.get(path, params={"instance": fake.signed_instance(SITE)})
            for path in ("/echo", "/sync")
        ]

    assert SITE == answers[0].json()["instanceId"]
    assert {"is_client": True} == answers[1].json()


def test_dependency_of_a_websocket(fake: FakeWix, wix: Wix) -> None:
    """A websocket gets it, too."""
    url = f"/ws?instance={fake.signed_instance(SITE)}"
    app = WixMiddleware(make_api(), wix)
    with TestClient(app) as browser, browser.websocket_connect(url) as websocket:
        answer = websocket.receive_json()

    assert SITE == answer["instanceId"]


def test_errors_are_answered_by_fastapi(fake: FakeWix, wix: Wix) -> None:
    """FastAPI answers 401, 403 and 503 by itself, as JSON with a reason."""
    with TestClient(WixMiddleware(make_api(), wix)) as browser:
        nobody = browser.get("/echo")
        unknown = browser.get("/echo", params={"instance": fake.signed_instance("site-unknown")})
        fake.expire_access_tokens()
        fake.fail("/oauth/access", status=503, times=None)
        down = browser.get("/echo", params={"instance": fake.signed_instance(SITE)})

    answers = (nobody, unknown, down)
    assert [401, 403, 503] == [answer.status_code for answer in answers]
    assert all(answer.json()["detail"] for answer in answers)
    assert 'Wix error="no_identity"' == nobody.headers["WWW-Authenticate"]
    assert down.headers["Retry-After"].isdigit()


def test_missing_middleware_is_named() -> None:
    """Without the middleware the error says how to add it."""
    with pytest.raises(MiddlewareMissing, match="WixMiddleware"):
        TestClient(make_api()).get("/echo")


def test_dependency_is_overridden_as_any_other() -> None:
    """In an app's own tests the dependency can be replaced, and the schema does not show it."""
    api = make_api()
    api.dependency_overrides[get_wix] = lambda: "another"
    answer = TestClient(api).get("/sync")

    assert {"is_client": False} == answer.json()
    assert "parameters" not in api.openapi()["paths"]["/echo"]["get"]
    assert issubclass(WixClient, httpx.AsyncClient)
