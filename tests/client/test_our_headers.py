"""Every request of this library names it, and asks for JSON, as Wix sees it."""

from __future__ import annotations

import importlib.metadata

from tests.client.clients import API, Internet, installed
from tests.support import SITE, Browser, make_wix, running
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix.calls import Call

USER_AGENT = f"wix-asgi/{importlib.metadata.version('wix-asgi')}"


def named(calls: list[Call]) -> dict[str, tuple[str, str]]:
    """Return `User-Agent` and `Accept` of the calls, by their paths."""
    return {call.path: (call.headers["user-agent"], call.headers["accept"]) for call in calls}


async def test_requests_of_an_install_name_us(fake: FakeWix) -> None:
    """The exchange, the question whose token it is, and the BI event name us and ask for JSON."""
    async with running(fake, finish_setup=True) as app:
        await Browser(app).install(fake)

    told = named([call for call in fake.calls if call.method == "POST"])
    assert {"/oauth/access", "/oauth2/token-info", "/apps/v1/bi-event"} == told.keys()
    assert {(USER_AGENT, "application/json")} == set(told.values())


async def test_requests_by_client_credentials_name_us(fake: FakeWix) -> None:
    """A token by the app's own credentials, and Get App Instance, name us and ask for JSON."""
    fake.mark_installed(SITE)
    async with make_wix(fake) as wix:
        grant = await wix._oauth.client_credentials(SITE)
        await wix._oauth.app_instance(grant.access_token)

    told = named(fake.calls)
    assert {"/oauth2/token", "/apps/v1/instance"} == told.keys()
    assert {(USER_AGENT, "application/json")} == set(told.values())


async def test_calls_of_the_app_name_us() -> None:
    """A call of the client, and the refresh that it costs, name us and ask for JSON."""
    fake = FakeWix(url=API)
    async with installed(fake) as (_, client):
        fake.expire_access_tokens()  # a 401, and then a refresh
        await client.get("/x")

    told = named(fake.calls)
    assert {"/oauth/access", "/x"} == told.keys()
    assert {(USER_AGENT, "application/json")} == set(told.values())


async def test_headers_of_the_app_win() -> None:
    """An app that names itself, or takes another type, is heard; of a client or of one call."""
    internet = Internet(FakeWix(url=API))
    async with installed(internet.fake, transport=internet) as (_, client):
        client.headers["User-Agent"] = "shop/2"
        await client.get("/x", headers={"Accept": "text/csv"})

    (request,) = internet.requests
    assert ("shop/2", "text/csv") == (request.headers["User-Agent"], request.headers["Accept"])
