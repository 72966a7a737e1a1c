"""docs/frameworks.md: frameworks that make a 500 of every error, with the handlers it shows."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import blacksheep
import falcon.asgi
import pytest
import sanic
from asgi_lifespan import LifespanManager
from starlette.types import Receive, Scope, Send

from tests.servers import ROOT
from tests.support import SITE
from wix_asgi import WixMiddleware, WixUnavailable, get_wix
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

PAGE = (ROOT / "docs" / "frameworks.md").read_text("utf-8")
PERSON = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    """Return the one loop that these frameworks know."""
    return "asyncio"


def make_falcon() -> Any:
    """Return an app of Falcon."""

    class Echo:
        async def on_get(self, request: Any, response: Any) -> None:
            response.media = (await get_wix(request).get("/apps/v1/instance")).json()

    class Down:
        async def on_get(self, _request: Any, _response: Any) -> None:
            raise WixUnavailable(asked=7)

    app = falcon.asgi.App()
    app.add_route("/echo", Echo())
    app.add_route("/down", Down())
    return app


def make_blacksheep() -> Any:
    """Return an app of BlackSheep."""
    app = blacksheep.Application(router=blacksheep.Router())

    async def echo(request: blacksheep.Request) -> Any:
        return (await get_wix(request).get("/apps/v1/instance")).json()  # type: ignore[arg-type] # has a scope

    async def down() -> None:
        raise WixUnavailable(asked=7)

    app.router.add_get("/echo", echo)
    app.router.add_get("/down", down)
    return app


def make_sanic() -> Any:
    """Return an app of Sanic."""
    app: Any = sanic.Sanic(f"shop-{secrets.token_hex(4)}", configure_logging=False)
    app.config.TOUCHUP = False  # it rewrites methods of the class, for the first app of a process

    async def echo(request: Any) -> Any:
        return sanic.json((await get_wix(request).get("/apps/v1/instance")).json())

    async def down(_request: Any) -> None:
        raise WixUnavailable(asked=7)

    app.add_route(echo, "/echo")
    app.add_route(down, "/down")
    return app


MAKERS: dict[str, Callable[[], Any]] = {
    "Falcon": make_falcon,
    "BlackSheep": make_blacksheep,
    "Sanic": make_sanic,
}


def with_snippet(framework: str) -> WixMiddleware:
    """Return the app of a framework after the lines of its section were run on it."""
    section = PAGE.partition(f"\n## {framework}\n")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    names = {"app": MAKERS[framework]()}
    exec(compile(code, "frameworks.md", "exec", dont_inherit=True), names)  # noqa: S102 - ours
    return cast("WixMiddleware", names["app"])


@asynccontextmanager
async def browsing(framework: str) -> AsyncIterator[tuple[FakeWix, httpx.AsyncClient]]:
    """Give a Wix, and a browser of an app that is installed on the first site."""
    fake = FakeWix()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        # As servers do; Falcon takes a lifespan without it for one of ASGI 2.
        await app({"asgi": {"version": "3.0", "spec_version": "2.0"}, **scope}, receive, send)

    with fake.active():
        app = with_snippet(framework)
        async with LifespanManager(serve):
            await fake.install(app, SITE)
            transport = httpx.ASGITransport(serve)
            url = app.wix.settings.public_url
            async with httpx.AsyncClient(transport=transport, base_url=url) as http:
                yield fake, http


@pytest.mark.parametrize("framework", MAKERS)
async def test_caller_has_a_client(framework: str) -> None:
    """A route calls Wix as the calling site."""
    async with browsing(framework) as (fake, http):
        answer = await http.get("/echo", params={"instance": fake.signed_instance(SITE)})
        begun = await http.get("/wix/install")

    assert (200, SITE) == (answer.status_code, answer.json()["instance"]["instanceId"])
    assert 303 == begun.status_code


@pytest.mark.parametrize("framework", MAKERS)
async def test_refused_program_gets_json(framework: str) -> None:
    """Nobody gets 401, a site without the app 403, and a failing Wix is 503 for seven seconds."""
    async with browsing(framework) as (fake, http):
        nobody = await http.get("/echo")
        stranger = await http.get(
            "/echo", params={"instance": fake.signed_instance("site-unknown")}
        )
        down = await http.get("/down")
    answers = [nobody, stranger, down]

    assert [401, 403, 503] == [each.status_code for each in answers]
    assert ["no_identity", "not_installed", "wix_unavailable"] == [
        each.json()["error"] for each in answers
    ]
    assert ["application/json"] == list({each.headers["Content-Type"] for each in answers})
    assert 'Wix error="no_identity"' == nobody.headers["WWW-Authenticate"]
    assert "7" == down.headers["Retry-After"]


@pytest.mark.parametrize("framework", MAKERS)
async def test_refused_person_gets_a_page(framework: str) -> None:
    """A person gets our page, with each header once."""
    async with browsing(framework) as (fake, http):
        unknown = {"instance": fake.signed_instance("site-unknown")}
        answers = [
            await http.get("/echo", headers=PERSON),
            await http.get("/echo", headers=PERSON, params=unknown),
            await http.get("/down", headers=PERSON),
        ]

    assert [401, 403, 503] == [each.status_code for each in answers]
    for each in answers:
        names = [name.lower() for name, _ in each.headers.raw]

        assert "<!doctype html>" in each.text
        assert "text/html; charset=utf-8" == each.headers["Content-Type"]
        assert "no-store" == each.headers["Cache-Control"]
        assert len(set(names)) == len(names)
