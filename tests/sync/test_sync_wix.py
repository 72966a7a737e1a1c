"""`wix.sync`: a Wix for code that cannot await."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.client.clients import install
from tests.support import SITE, Browser, make_wix
from wix_asgi import NotInstalled, Unauthenticated, WebhookEvent, Wix, WixMiddleware
from wix_asgi.concurrency.portal import portal
from wix_asgi.testing import DEMO_SITES, FakeWix

OTHER = list(DEMO_SITES)[1]


@pytest.fixture(name="wix")
def _wix(fake: FakeWix) -> Iterator[Wix]:
    wix = make_wix(fake)
    yield wix
    portal().call(wix.aclose)


def test_installations_are_iterated_over(wix: Wix, fake: FakeWix) -> None:
    """All sites come, without an event loop of the caller's."""
    for site in (SITE, OTHER):
        portal().call(partial(install, wix, fake, site))
    found = {installation.instance_id for installation in wix.sync.installations()}

    assert {SITE, OTHER} == found


def test_removed_installation_is_gone(wix: Wix, fake: FakeWix) -> None:
    """A removal says whether it has removed the site."""
    portal().call(lambda: install(wix, fake))
    removed = [wix.sync.remove(SITE) for _ in range(2)]

    assert [True, False] == removed
    assert [] == list(wix.sync.installations())


def test_setup_is_finished(wix: Wix, fake: FakeWix) -> None:
    """Wix gets the event, and a site without the app is an error."""
    portal().call(lambda: install(wix, fake))
    wix.sync.finish_setup(SITE)
    with pytest.raises(NotInstalled):
        wix.sync.finish_setup(OTHER)

    assert 1 == fake.count("/apps/v1/bi-event", eventName="APP_FINISHED_CONFIGURATION")


def test_caller_is_identified(wix: Wix, fake: FakeWix) -> None:
    """A signed instance names its site, and anything else nobody."""
    identity = wix.sync.identify(fake.signed_instance(SITE))
    with pytest.raises(Unauthenticated):
        wix.sync.identify("forged")

    assert SITE == identity.instance_id


async def test_plain_endpoint_beside_the_servers_loop(fake: FakeWix) -> None:
    """In a `def` endpoint the same Wix works on the portal, while the server's loop uses it too."""
    wix = make_wix(fake)

    def products(request: Request) -> Response:
        site = request.state.wix.identity.instance_id
        answer = wix.sync.client(site).get("/x")
        return JSONResponse(answer.json(), answer.status_code)

    async def asked(request: Request) -> Response:
        answer = await request.state.wix.get("/x")
        return JSONResponse(answer.json(), answer.status_code)

    app = WixMiddleware(Starlette(routes=[Route("/sync", products), Route("/async", asked)]), wix)
    async with wix:
        browser = Browser(app)
        await browser.install(fake)
        query = {"instance": fake.signed_instance(SITE)}
        answers = [await browser.http.get(path, params=query) for path in ("/sync", "/async")]

    assert [SITE, SITE] == [answer.json()["instanceId"] for answer in answers]


async def test_event_has_a_client_for_plain_handlers(fake: FakeWix) -> None:
    """`event.sync_client` works in the thread of a plain handler, for the site of the event."""
    wix = make_wix(fake, public_key=fake.public_key)
    seen: list[str] = []
    done = anyio.Event()

    @wix.on("PaidPlanPurchased")
    def note(event: WebhookEvent) -> None:
        seen.append(event.sync_client.get("/x").json()["instanceId"])
        anyio.from_thread.run_sync(done.set)

    app = WixMiddleware(Starlette(), wix)
    async with wix:
        await install(wix, fake)
        await fake.send_event(app, "PaidPlanPurchased", SITE)
        await done.wait()

    assert [SITE] == seen
