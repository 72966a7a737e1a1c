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
from wix_asgi import SettingsError, Wix, WixClient
from wix_asgi.quart import add_wix, wix
from wix_asgi.testing import FakeWix

PAGE = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    """Return the one loop that Quart knows."""
    return "asyncio"


def make_quart(made: Wix | None = None) -> Quart:
    """Return a Quart app that uses the client wherever it can."""
    app = Quart(__name__)
    app.secret_key = "test-secret-key"
    add_wix(app, made)

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
    made = make_wix(fake, app_name="Shop Sync", **options)
    app = make_quart(made)
    async with app.test_app():
        await install(made, fake)
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


async def test_session_cookie_of_the_app_is_left_alone() -> None:
    """An app that chose its cookie keeps it, and one on plain http has no Secure cookie."""
    fake = FakeWix()
    chosen = make_quart(make_wix(fake))
    chosen.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    local = make_quart(make_wix(fake, public_url="http://localhost:8000"))
    async with chosen.test_app(), local.test_app():
        pass

    assert "Lax" == chosen.config["SESSION_COOKIE_SAMESITE"]
    assert not local.config["SESSION_COOKIE_SECURE"]


async def test_wrong_settings_stop_the_server() -> None:
    """Settings are read at the start, and a Wix beside keywords is a mistake that names neither."""
    app: Any = Quart(__name__)
    add_wix(app, storage="memory://")
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        messages.append(message)

    with pytest.raises(SettingsError, match="app_id"):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    with pytest.raises(TypeError, match="not both"):
        add_wix(Quart(__name__), make_wix(FakeWix()), app_secret="test-app-secret")

    assert ["lifespan.startup.failed"] == [message["type"] for message in messages]


async def test_app_may_be_made_before_its_fake() -> None:
    """An app at the top of a module, as `import main` brings it, uses the fake Wix of a test."""
    app: Any = make_quart()
    fake = FakeWix()
    with fake.active():
        site = await fake.install(app)
        fake.echo("/x")
        query = {"instance": fake.signed_instance(site)}
        answer = await app.test_client().get("/echo", query_string=query)

    assert site == (await answer.get_json())["instanceId"]


def test_client_is_a_proxy() -> None:
    """Outside of requests and websockets there is no client, and Quart says so."""
    with pytest.raises(RuntimeError, match="Not within a request context"):
        wix.identify  # noqa: B018
    assert WixClient is not type(wix)
