"""Quart by one line: the middleware, the client, the pages, and the session cookie."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from quart import Quart, session, websocket
from quart.testing.connections import WebsocketResponseError

from tests.client.clients import install
from tests.support import SITE, make_wix
from wix_asgi import WixClient
from wix_asgi.quart import add_wix, wix
from wix_asgi.testing import FakeWix

PAGE = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    """Return the one loop that Quart knows."""
    return "asyncio"


def make_quart(fake: FakeWix, **options: Any) -> Quart:
    """Return a Quart app that uses the client wherever it can."""
    app = Quart(__name__)
    app.secret_key = "test-secret-key"
    add_wix(app, make_wix(fake, app_name="Shop Sync", **options))

    @app.get("/echo")
    async def echo() -> Any:
        session["visits"] = 1
        return (await wix.get("/x")).json()

    @app.websocket("/ws")
    async def talk() -> None:
        identity = await wix.identify()
        await websocket.send(identity.instance_id)

    return app


@asynccontextmanager
async def served(fake: FakeWix, **options: Any) -> AsyncIterator[Quart]:
    """Run an app that is installed on the first site."""
    app = make_quart(fake, **options)
    async with app.test_app():
        installed = app.asgi_app.wix  # type: ignore[attr-defined] # the middleware's
        await install(installed, fake)
        yield app


async def test_caller_has_a_client() -> None:
    """A request uses the client of the calling site, and so does a websocket."""
    fake = FakeWix()
    query = {"instance": fake.signed_instance(SITE)}
    async with served(fake) as app:
        answer = await app.test_client().get("/echo", query_string=query)
        async with app.test_client().websocket("/ws", query_string=query) as socket:
            told = await socket.receive()
        begun = await app.test_client().get("/wix/install")

    assert (200, SITE) == (answer.status_code, (await answer.get_json())["instanceId"])
    assert SITE == told
    assert 303 == begun.status_code


async def test_refused_person_gets_a_page() -> None:
    """Nobody is 401, a person with a page and a program with JSON; never a 500."""
    fake = FakeWix()
    unknown = {"instance": fake.signed_instance("site-unknown")}
    async with served(fake) as app:
        page = await app.test_client().get("/echo", headers=PAGE)
        program = await app.test_client().get("/echo")
        elsewhere = await app.test_client().get("/echo", query_string=unknown)

    assert (401, True) == (page.status_code, "Shop Sync" in await page.get_data(as_text=True))
    assert (401, "no_identity") == (program.status_code, (await program.get_json())["error"])
    assert 'Wix error="no_identity"' == program.headers["WWW-Authenticate"]
    assert (403, "not_installed") == (elsewhere.status_code, (await elsewhere.get_json())["error"])


async def test_refused_websocket_is_answered() -> None:
    """A websocket of nobody is refused with the status of the refusal."""
    async with served(FakeWix()) as app:
        with pytest.raises(WebsocketResponseError) as caught:
            async with app.test_client().websocket("/ws") as socket:
                await socket.receive()

    assert 401 == caught.value.response.status_code


async def test_session_cookie_is_for_wixs_iframe() -> None:
    """The session of Quart works inside Wix, where browsers take no other cookie."""
    fake = FakeWix()
    async with served(fake) as app:
        query = {"instance": fake.signed_instance(SITE)}
        answer = await app.test_client().get("/echo", query_string=query)
    attributes = set(answer.headers["Set-Cookie"].split("; "))

    assert {"SameSite=None", "Secure", "Partitioned"} <= attributes


def test_session_cookie_of_the_app_is_left_alone() -> None:
    """An app that chose its cookie keeps it, and one on plain http has no Secure cookie."""
    chosen = Quart(__name__)
    chosen.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    add_wix(chosen, make_wix(FakeWix()))
    local = make_quart(FakeWix(), public_url="http://localhost:8000")

    assert "Lax" == chosen.config["SESSION_COOKIE_SAMESITE"]
    assert not local.config["SESSION_COOKIE_SECURE"]


def test_client_is_a_proxy() -> None:
    """Outside of requests and websockets there is no client, and Quart says so."""
    with pytest.raises(RuntimeError, match="Not within a request context"):
        wix.identify  # noqa: B018
    assert WixClient is not type(wix)
