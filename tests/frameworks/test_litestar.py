"""Litestar by one plugin: the paths, the client, the pages, the lifespan and the cookies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from litestar import Litestar, Request, Response, asgi, get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.types import Receive, Scope, Send

from tests.client.clients import install
from tests.frameworks.litestar_apps import (
    PAGE,
    browse,
    connect,
    make_litestar,
)
from tests.support import SITE, make_wix
from wix_asgi import (
    Unauthenticated,
    WebhookEvent,
)
from wix_asgi.litestar import WixPlugin
from wix_asgi.testing import FakeWix


# Litestar's own would have the process log the addresses that the tests open.
async def test_caller_has_a_client() -> None:
    """A request uses the client of the calling site, a websocket does, and Wix's paths answer."""
    fake = FakeWix()
    plugin = WixPlugin(make_wix(fake, public_key=fake.public_key))
    query = {"instance": fake.signed_instance(SITE)}
    app = make_litestar(plugin)
    async with browse(app) as browser:
        begun = await browser.get("/wix/install", params={"token": fake.install_token(SITE)})
        done = await browser.get(fake.approve(begun.headers["Location"]))
        answer = await browser.get("/echo", params=query)
        told = await connect(app, "/ws", f"instance={query['instance']}")
        webhook = await browser.post("/wix/webhook", content=b"no webhook")

    assert [303, 303] == [begun.status_code, done.status_code]
    assert (200, SITE) == (answer.status_code, answer.json()["instanceId"])
    assert SITE == told[1]["text"]
    assert 400 <= webhook.status_code < 404


async def test_other_spellings_of_our_paths_are_not_found() -> None:
    """An escaped path is not ours, and a path that nobody has stays Litestar's 404."""
    async with browse(make_litestar(WixPlugin(make_wix(FakeWix())))) as browser:
        statuses = [
            (await browser.get(path)).status_code
            for path in ("/wix/%69nstall", "/wix/install/", "/none")
        ]

    assert [404, 404, 404] == statuses


async def test_refused_person_gets_a_page() -> None:
    """Nobody is 401, a person with a page and a program with JSON; never a 500."""
    fake = FakeWix()
    plugin = WixPlugin(make_wix(fake, app_name="Shop Sync"))
    unknown = {"instance": fake.signed_instance("site-unknown")}
    async with browse(make_litestar(plugin)) as browser:
        page = await browser.get("/echo", headers=PAGE)
        program = await browser.get("/echo")
        elsewhere = await browser.get("/echo", params=unknown)

    assert (401, True) == (page.status_code, "Shop Sync" in page.text)
    assert "text/html; charset=utf-8" == page.headers["Content-Type"]
    assert (401, "no_identity") == (program.status_code, program.json()["error"])
    assert 'Wix error="no_identity"' == program.headers["WWW-Authenticate"]
    assert (403, "not_installed") == (elsewhere.status_code, elsewhere.json()["error"])


async def test_refused_websocket_is_answered() -> None:
    """A websocket of nobody is refused with the status of the refusal."""
    app = make_litestar(WixPlugin(make_wix(FakeWix())))
    async with browse(app):
        told = await connect(app, "/ws")

    assert 401 == told[0]["status"]


async def test_what_the_app_has_goes_first() -> None:
    """An app keeps its own answer to a refusal, and its own dependency `wix`."""

    def log_in(_: Request[Any, Any, Any], __: Exception) -> Response[str]:
        return Response("log in", status_code=401)

    @get("/own")
    async def own(wix: NamedDependency[str]) -> str:
        return wix

    plugin = WixPlugin(make_wix(FakeWix()))
    app = Litestar(
        [own],
        plugins=[plugin],
        logging_config=None,
        dependencies={"wix": Provide(lambda: "mine", sync_to_thread=False)},
        exception_handlers={Unauthenticated: log_in},
    )

    @get("/who")
    async def who(request: Request[Any, Any, Any]) -> None:
        await request.state.wix.identify()

    app.register(who)
    async with browse(app) as browser:
        assert "mine" == (await browser.get("/own")).text
        assert "log in" == (await browser.get("/who")).text


@pytest.mark.parametrize("is_mount", [False, True])
async def test_every_route_can_need_a_caller(is_mount: bool) -> None:
    """With `require_identity` no route is open to strangers, below a mount neither (R58)."""

    @asgi("/files", is_mount=is_mount, copy_scope=True)
    async def files(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("nobody is let in")

    plugin = WixPlugin(make_wix(FakeWix()), require_identity=True)
    async with browse(make_litestar(plugin, files)) as browser:
        answers = [await browser.get("/free"), await browser.get("/files")]
        install = await browser.get("/wix/install")

    assert [401, 401] == [answer.status_code for answer in answers]
    assert 303 == install.status_code


def test_paths_for_callers_alone_are_not_taken() -> None:
    """A list of paths would not hold below a mount, and the error says what does (R58)."""
    paths: Any = ["/api"]
    with pytest.raises(TypeError, match="guard"):
        WixPlugin(make_wix(FakeWix()), require_identity=paths)


async def test_wix_opens_first_and_closes_last() -> None:
    """The app's own lifespan runs within that of the Wix, and a Wix that was open stays open."""
    seen = []
    plugin = WixPlugin(make_wix(FakeWix()))

    @asynccontextmanager
    async def own(_: Litestar) -> AsyncIterator[None]:
        seen.append(plugin.wix.is_open)
        yield
        seen.append(plugin.wix.is_open)

    async with browse(make_litestar(plugin, lifespan=[own])):
        pass

    assert [True, True] == seen
    assert not plugin.wix.is_open


async def test_open_wix_stays_open() -> None:
    """A Wix that a job has opened before the app is closed by the job."""
    fake = FakeWix()
    wix = make_wix(fake)
    app = make_litestar(WixPlugin(wix))
    async with wix:
        await install(wix, fake)
        async with app.lifespan():
            pass
        is_open = wix.is_open

    assert is_open
    assert not wix.is_open


async def test_handlers_of_events_end_before_the_app_does() -> None:
    """The app's database is open until no event is being handled any more."""
    fake = FakeWix()
    wix = make_wix(fake, public_key=fake.public_key)
    plugin = WixPlugin(wix)
    order: list[str] = []
    stop_work = wix.stop_work

    async def noting_stop() -> None:
        await stop_work()
        order.append("work")

    wix.stop_work = noting_stop  # type: ignore[method-assign] # it is only watched

    @wix.on("PaidPlanPurchased")
    async def bought(_: WebhookEvent) -> None: ...

    @asynccontextmanager
    async def own(_: Litestar) -> AsyncIterator[None]:
        yield
        order.append("app")

    async with browse(make_litestar(plugin, lifespan=[own])):
        pass

    assert ["work", "app"] == order[:2]


@pytest.mark.parametrize(
    ("cookie", "is_partitioned"),
    [
        (Cookie("a", value="1", samesite="none", secure=True), True),
        (Cookie("a", value="1", samesite="lax", secure=True), False),
        (Cookie("a", value="1", samesite="none"), False),
    ],
)
async def test_cookies_for_iframes_are_partitioned(cookie: Cookie, *, is_partitioned: bool) -> None:
    """A cookie that is sent from an iframe becomes one that browsers take there."""

    @get("/cookie")
    async def give() -> Response[str]:
        return Response("", cookies=[cookie])

    async with browse(make_litestar(WixPlugin(make_wix(FakeWix())), give)) as browser:
        header = (await browser.get("/cookie")).headers["Set-Cookie"]

    assert is_partitioned is header.endswith("; Partitioned")


async def test_cookie_is_partitioned_once() -> None:
    """An attribute that is there already is left alone."""
    header = "a=1; SameSite=None; Secure; Partitioned"

    @get("/cookie")
    async def give() -> Response[str]:
        return Response("", headers={"Set-Cookie": header})

    async with browse(make_litestar(WixPlugin(make_wix(FakeWix())), give)) as browser:
        assert header == (await browser.get("/cookie")).headers["Set-Cookie"]
