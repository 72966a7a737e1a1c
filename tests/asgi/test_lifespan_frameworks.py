"""The lifespan with Starlette and FastAPI, and under a server without lifespans."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import Message

from tests.client.clients import install
from tests.support import SITE, make_app, make_wix
from wix_asgi import SettingsError, StorageUnavailable, Wix, WixMiddleware
from wix_asgi.testing import FakeWix


def api(lifespan: Callable[[Any], Any] | None = None, **options: Any) -> FastAPI:
    """Return a FastAPI app with this lifespan."""
    return FastAPI(lifespan=lifespan, **options)


def star(lifespan: Callable[[Any], Any] | None = None) -> Starlette:
    """Return a Starlette app with this lifespan."""
    return Starlette(routes=make_app().routes, lifespan=lifespan)


def _without_storage(monkeypatch: pytest.MonkeyPatch) -> Wix:
    """Return a Wix whose storage cannot be opened."""
    wix = make_wix(FakeWix())

    async def broken() -> None:
        raise StorageUnavailable("The test database is down.")

    monkeypatch.setattr(wix.storage, "open", broken)
    return wix


Make = Callable[..., Any]
WAYS: dict[str, Callable[[Any, Wix], Any]] = {
    "wrapped": WixMiddleware,
    "added": lambda app, wix: app.add_middleware(WixMiddleware, wix) or app,
}


@pytest.mark.parametrize("make", [star, api])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_lifespan_of_the_framework_may_use_the_client(
    make: Make, way: Callable[[Any, Wix], Any]
) -> None:
    """Starlette's and FastAPI's own lifespan runs within ours: it can call Wix at both ends."""
    fake = FakeWix()
    wix = make_wix(fake)
    answers: list[int] = []
    is_open: list[bool] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, int]]:
        is_open.append(wix.is_open)
        await install(wix, fake)
        answers.append((await wix.client(SITE).get("/x")).status_code)
        yield {"mine": 1}
        is_open.append(wix.is_open)
        answers.append((await wix.client(SITE).get("/x")).status_code)

    with TestClient(way(make(lifespan), wix)) as browser:
        browser.get("/plain")

    assert [200, 200] == answers
    assert [True, True] == is_open
    assert not wix.is_open


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_without_a_lifespan_it_opens_on_first_use(way: Callable[[Any, Wix], Any]) -> None:
    """Where the server runs no lifespan, the first call to Wix opens the storage (rule 5)."""
    fake = FakeWix()
    wix = make_wix(fake)
    anyio.run(install, wix, fake)
    anyio.run(wix.aclose)
    browser = TestClient(way(star(), wix))
    plain = browser.get("/plain")
    was_open = wix.is_open
    answers = [
        browser.get("/echo", params={"instance": fake.signed_instance(SITE)}) for _ in range(2)
    ]

    assert 200 == plain.status_code
    assert not was_open
    assert [200, 200] == [answer.status_code for answer in answers]
    assert wix.is_open


def test_storage_that_is_down_stops_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole middleware, too, tells the server that it cannot start (rule 1)."""
    wix = _without_storage(monkeypatch)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(StorageUnavailable):
        anyio.run(WixMiddleware(star(), wix), {"type": "lifespan"}, receive, send)

    assert [{"type": "lifespan.startup.failed", "message": "The test database is down."}] == sent


@pytest.mark.parametrize("make", [star, api])
def test_wrong_settings_are_an_error_of_a_test_client(make: Make) -> None:
    """A test that enters its app gets the error, where Starlette's client could hang (R47)."""
    app = make()
    app.add_middleware(WixMiddleware, public_url="nonsense")
    with pytest.raises(SettingsError, match="WIX_APP_ID"), TestClient(app):
        pytest.fail("it was started")


def test_storage_that_is_down_is_an_error_of_a_test_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error of opening is raised, as from an app's own lifespan."""
    wix = _without_storage(monkeypatch)
    with pytest.raises(StorageUnavailable), TestClient(WixMiddleware(star(), wix)):
        pytest.fail("it was started")
