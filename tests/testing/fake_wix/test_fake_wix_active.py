"""A fake Wix in the place of the real one, for apps that know nothing of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.support import PUBLIC_URL, SITE, Browser, make_wix
from wix_asgi import SettingsError, Wix, WixMiddleware
from wix_asgi.fastapi import WixDep
from wix_asgi.storage import EventStorage, open_storage, shortcomings
from wix_asgi.testing import FakeSite, FakeWix


def make_api() -> FastAPI:
    """Return the app of the README: its middleware is made later, from the environment."""
    app = FastAPI()
    app.add_middleware(WixMiddleware)

    @app.get("/site")
    async def site(wix: WixDep) -> Any:
        answer = await wix.get("/apps/v1/instance")
        return answer.json()

    return app


async def name_of(request: Request) -> Response:
    """Return Wix's answer about the calling site."""
    return JSONResponse((await request.state.wix.get("/apps/v1/instance")).json())


def ask(app: Any, fake: FakeWix, site: str = SITE) -> str:
    """Open the app as the owner of a site; return the name that Wix has told it."""
    with TestClient(app, base_url=PUBLIC_URL) as browser:
        answer = browser.get("/site", params={"instance": fake.signed_instance(site)})
    name: str = answer.json()["site"]["siteDisplayName"]
    return name


def test_an_app_made_before_builds_its_middleware_inside() -> None:
    """The app of a module, whose middleware Starlette makes later, talks to the fake."""
    app = make_api()
    with FakeWix().active() as fake:
        fake.mark_installed(SITE)
        name = ask(app, fake)

    assert "Corner Bakery" == name


def test_an_app_lives_longer_than_a_fake() -> None:
    """The next fake is in the place of the former one, with a storage that is empty."""
    app = make_api()
    names = []
    for name in ("Yoga", "Books"):
        fake = FakeWix(sites={SITE: name})
        with fake.active():
            fake.mark_installed(SITE)
            names.append(ask(app, fake))
    with FakeWix().active() as last, TestClient(app, base_url=PUBLIC_URL) as browser:
        gone = browser.get("/site", params={"instance": last.signed_instance(SITE)})

    assert ["Yoga", "Books"] == names
    assert 403 == gone.status_code


async def test_a_job_is_filled_in() -> None:
    """A `Wix` without keywords has all settings, and shares the storage of the app."""
    with FakeWix().active(public_url="https://other.example") as fake:
        await fake.install(WixMiddleware(Starlette()))
        async with Wix() as wix:
            sites = [each.instance_id async for each in wix.installations()]
            told = shortcomings(wix.storage)

    assert [SITE] == sites
    assert [] == told
    assert "https://other.example" == wix.settings.public_url


async def test_the_storage_of_the_shell_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a keyword with a URL nor WIX_STORAGE lets a test write into a real storage."""
    monkeypatch.setenv("WIX_STORAGE", f"sqlite:///{tmp_path}/shell.db")
    monkeypatch.setenv("WIX_PUBLIC_URL", "https://shell.example")
    with FakeWix().active() as fake:
        for wix in (Wix(), Wix(storage=f"sqlite:///{tmp_path}/app.db")):
            await fake.install(wix)

    assert "https://shell.example" == wix.settings.public_url
    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # SQLite has no other
@pytest.mark.parametrize("told", ["keyword", "variable"])
async def test_a_storage_for_tests_may_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    """The block, or WIX_TEST_STORAGE, opts for a storage that outlives the block."""
    url = f"sqlite:///{tmp_path}/test.db"
    if told == "variable":
        monkeypatch.setenv("WIX_TEST_STORAGE", url)
    fake = FakeWix()
    with fake.active(storage=url if told == "keyword" else None):
        await fake.install(Wix())
    async with open_storage(url) as storage:
        kept = [record.instance_id for record in await storage.scan(fake.app_id)]

    assert [SITE] == kept


async def test_a_storage_object_of_the_app_stays() -> None:
    """A storage that the test has made is used as it is."""
    storage = open_storage("memory://")
    with FakeWix().active() as fake:
        await fake.install(Wix(storage=storage))

    assert isinstance(storage, EventStorage)
    assert [SITE] == [record.instance_id for record in await storage.scan(fake.app_id)]


async def test_a_real_app_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app made before says what to do, and calls nobody."""
    for name, value in (
        ("APP_ID", "real"),
        ("APP_SECRET", "real-secret"),
        ("STORAGE", "memory://"),
    ):
        monkeypatch.setenv(f"WIX_{name}", value)
    wix = Wix(public_url=PUBLIC_URL)
    with FakeWix().active() as fake, pytest.raises(SettingsError, match="before FakeWix"):
        await fake.install(wix)
    async with wix:
        with FakeWix().active(), pytest.raises(SettingsError, match="add_middleware"):
            await wix.client(SITE).get("/apps/v1/instance")


async def test_an_app_of_a_fake_is_no_real_app() -> None:
    """A `Wix` that was handed the transport of a fake goes on with it."""
    fake = FakeWix()
    wix = make_wix(fake)
    with FakeWix().active():
        assert SITE == await fake.install(wix)


async def test_an_app_of_another_fake_is_refused() -> None:
    """An app keeps its secret, so that a fake with another one cannot be its Wix."""
    with FakeWix().active():
        wix = Wix()
    with (
        FakeWix(app_id="another").active() as other,
        pytest.raises(SettingsError, match="another app ID"),
    ):
        await other.install(wix)


async def test_no_call_leaves_the_block() -> None:
    """After the block its apps reach nothing, rather than the real Wix."""
    with FakeWix().active() as fake:
        wix = Wix(storage=open_storage("memory://"))
        await fake.install(wix)
    async with wix:
        with pytest.raises(RuntimeError, match="has ended"):
            await wix.client(SITE).get("/apps/v1/instance")


@pytest.mark.parametrize("flow", ["advanced", "client_credentials"])
async def test_install_runs_the_handshake(flow: str) -> None:
    """One line, in either flow: the hooks are called, and the app stays closed as it was."""
    bakery, told = FakeSite("Bakery", products=[]), []
    fake = FakeWix(sites={"other": "Other", "bakery": bakery})
    wix = make_wix(fake, flow=flow)

    @wix.on_install
    async def note(event: Any) -> None:
        told.append(event.instance_id)

    site = await fake.install(wix, bakery)

    assert ("bakery", ["bakery"]) == (site, told)
    assert {"bakery"} == fake.installed
    assert not wix.is_open


async def test_install_leaves_an_open_app_open() -> None:
    """A `Wix` inside its own block goes on."""
    fake = FakeWix()
    async with make_wix(fake) as wix:
        await fake.install(wix)
        answer = await wix.client(SITE).get("/x")

    assert 200 == answer.status_code


async def test_install_finds_the_app_behind_others() -> None:
    """The `Wix` is found through Starlette's middlewares, built by then or not."""
    app = Starlette(routes=[Route("/site", name_of)])
    app.add_middleware(WixMiddleware)
    with FakeWix().active() as fake:
        sites = [await fake.install(app), await fake.install(app, [*fake.sites][1])]
        answer = await Browser(app).http.get(
            "/site", params={"instance": fake.signed_instance(sites[1])}
        )
        middleware: Any = app.middleware_stack
        await middleware.app.wix.aclose()

    assert "Lighthouse Yoga" == answer.json()["site"]["siteDisplayName"]


async def test_install_needs_an_app_of_wix() -> None:
    """An app without the middleware is told apart, and so is one whose settings are wrong."""
    fake, broken = FakeWix(), Starlette()
    broken.add_middleware(WixMiddleware, public_url="nonsense")
    for app in (Starlette(), broken, Flask("bare")):
        with pytest.raises(TypeError, match="add_middleware"):
            await fake.install(app)


async def test_install_tells_of_a_refusal() -> None:
    """The answer of an app that refuses is in the error."""
    fake = FakeWix()
    fake.fail("/oauth/access")
    with pytest.raises(RuntimeError, match="answered the install 5"):
        await fake.install(make_wix(fake))
