"""Starlette and FastAPI by one line: the middleware, and pages where a person is refused."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient, WebSocketDenialResponse

from tests.support import PUBLIC_URL, SITE, make_wix
from wix_asgi import RequestRefused, SettingsError
from wix_asgi.fastapi import WixDep
from wix_asgi.fastapi import add_wix as add_wix_of_fastapi
from wix_asgi.fastapi import refuse as refuse_of_fastapi
from wix_asgi.starlette import add_wix, refuse
from wix_asgi.testing import FakeWix

PAGE = {"Accept": "text/html,*/*;q=0.8"}


def make_api() -> FastAPI:
    """Return a FastAPI app with a route, and a websocket that is accepted late."""
    api = FastAPI()

    @api.get("/who")
    async def who(wix: WixDep) -> dict[str, str]:
        return {"site": (await wix.identify()).instance_id}

    @api.websocket("/ws")
    async def talk(websocket: WebSocket, wix: WixDep) -> None:
        await wix.identify()
        await websocket.accept()

    return api


async def who(request: Request) -> Response:
    """Say who is calling."""
    return PlainTextResponse((await request.state.wix.identify()).instance_id)


def options_of(fake: FakeWix) -> Any:
    """Return the keywords of an app that speaks to `fake`."""
    return {
        **fake.settings(),
        "public_url": PUBLIC_URL,
        "storage": "memory://",
        "transport": fake.transport,
        "app_name": "Shop Sync",
    }


@pytest.mark.parametrize("app", [make_api(), Starlette(routes=[Route("/who", who)])])
def test_one_line_is_enough(app: Starlette) -> None:
    """A caller is known, a refused person gets a page, and a refused program JSON."""
    fake = FakeWix()
    add_wix(app, **options_of(fake))
    with TestClient(app) as browser:
        known = browser.get("/who", params={"instance": fake.signed_instance(SITE)})
        page = browser.get("/who", headers=PAGE)
        program = browser.get("/who")
        install = browser.get("/wix/install", follow_redirects=False)

    assert (200, True) == (known.status_code, SITE in known.text)
    assert (401, "text/html; charset=utf-8") == (page.status_code, page.headers["Content-Type"])
    assert "Shop Sync" in page.text
    assert (401, "no_identity") == (program.status_code, program.json()["error"])
    assert 'Wix error="no_identity"' == program.headers["WWW-Authenticate"]
    assert 303 == install.status_code


def test_protected_paths_are_taken() -> None:
    """`require_identity` and a `Wix` that was made before are passed on."""
    api, wix = make_api(), make_wix(FakeWix())
    add_wix(api, wix, require_identity=["/who"])
    with TestClient(api) as browser:
        status, is_used = browser.get("/who").status_code, wix.is_open

    assert (401, True) == (status, is_used)


def test_handler_of_the_app_goes_first() -> None:
    """An app that has its own answer to a 401 keeps it."""
    api = make_api()
    add_wix(api, make_wix(FakeWix()))
    api.add_exception_handler(401, lambda _request, _exc: PlainTextResponse("log in", 401))
    with TestClient(api) as browser:
        assert "log in" == browser.get("/who", headers=PAGE).text


def test_refused_websocket_gets_no_page() -> None:
    """A websocket is refused by the middleware, as without the handler."""
    api = make_api()
    add_wix(api, make_wix(FakeWix()))
    with (
        TestClient(api) as browser,
        pytest.raises(WebSocketDenialResponse) as caught,
        browser.websocket_connect("/ws"),
    ):
        raise AssertionError("nobody is let in")

    assert 401 == caught.value.status_code


async def test_handler_answers_refusals_alone() -> None:
    """An error for which the handler was registered by mistake stays an error."""
    request = Request({"type": "http", "headers": []})
    error = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug") as caught:
        await refuse(request, error)

    assert caught.value is error
    assert 403 == (await refuse(request, RequestRefused("No."))).status_code


def test_wrong_settings_stop_the_server() -> None:
    """Settings are read at the start, and a Wix beside keywords is a mistake that names neither."""
    api = FastAPI()
    add_wix(api, storage="memory://")
    with pytest.raises(SettingsError, match="app_id"), TestClient(api):
        raise AssertionError("it does not start")
    with pytest.raises(TypeError, match="not both"):
        add_wix(FastAPI(), make_wix(FakeWix()), app_secret="test-app-secret")


async def test_app_may_be_made_before_its_fake() -> None:
    """An app at the top of a module, as `import main` brings it, uses the fake Wix of a test."""
    api, fake = make_api(), FakeWix()
    add_wix(api)
    with fake.active():
        site = await fake.install(api)
        with TestClient(api) as browser:
            known = browser.get("/who", params={"instance": fake.signed_instance(site)})

    assert {"site": site} == known.json()


def test_secrets_are_in_no_repr() -> None:
    """What Starlette keeps of the middleware shows no keyword."""
    api = FastAPI()
    add_wix(api, app_secret="test-app-secret")

    assert "test-app-secret" not in repr(api.user_middleware)


def test_fastapi_has_the_same() -> None:
    """The module of FastAPI offers it beside its dependency."""
    assert (add_wix, refuse) == (add_wix_of_fastapi, refuse_of_fastapi)
