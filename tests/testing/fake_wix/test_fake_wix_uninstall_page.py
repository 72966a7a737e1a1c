"""FakeWix's page "My sites": the app is removed there, and its events are shown."""

from __future__ import annotations

import pytest

from tests.testing.fake_wix.signed_events import Endpoint
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

BAKERY, YOGA, _ = DEMO_SITES


@pytest.fixture(name="browser")
def _browser(fake: FakeWix) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=fake.transport, base_url=fake.url, headers={"accept": "text/html"}
    )


async def test_the_app_is_removed_from_a_site(fake: FakeWix, browser: httpx.AsyncClient) -> None:
    """The app has been told once the browser is sent back to the sites."""
    endpoint = Endpoint()
    fake.mark_installed(YOGA)
    fake.webhook_url = endpoint
    answer = await browser.post("/installer/uninstall", data={"instanceId": YOGA})

    assert (303, "/") == (answer.status_code, answer.headers["location"])
    assert "AppRemoved" == endpoint.events[0]
    assert frozenset() == fake.installed


@pytest.mark.parametrize("form", [{"instanceId": "nobody"}, {}])
async def test_only_a_site_can_lose_the_app(
    fake: FakeWix, browser: httpx.AsyncClient, form: dict[str, str]
) -> None:
    """A form of another page is refused."""
    fake.mark_installed(YOGA)
    answer = await browser.post("/installer/uninstall", data=form)

    assert 400 == answer.status_code
    assert {YOGA} == fake.installed


async def test_only_an_installed_site_has_the_button(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """A site without the app, and without events, shows neither."""
    before = (await browser.get("/")).text
    fake.mark_installed(YOGA)
    page = (await browser.get("/")).text

    assert ">Uninstall</button>" not in before
    assert 1 == page.count(">Uninstall</button>")
    assert f'value="{YOGA}">Uninstall' in page
    assert "<summary>Events" not in page


async def test_an_event_is_sent_by_the_form(fake: FakeWix, browser: httpx.AsyncClient) -> None:
    """The app has it once the browser is sent back to the sites, with the documented data."""
    endpoint = Endpoint()
    without = (await browser.get("/")).text
    fake.webhook_url = endpoint
    page = (await browser.get("/")).text
    form = {"instanceId": YOGA, "eventType": " PaidPlanPurchased "}
    answer = await browser.post("/installer/send-event", data=form)

    assert (303, "/") == (answer.status_code, answer.headers["location"])
    assert ["PaidPlanPurchased"] == endpoint.events
    assert f'value="{YOGA}">Send event</button>' in page
    assert "Send event" not in without


@pytest.mark.parametrize("has_target", [True, False])
async def test_an_event_needs_a_type_and_a_target(
    fake: FakeWix, browser: httpx.AsyncClient, has_target: bool
) -> None:
    """Without either the form is refused, and nothing is sent later."""
    fake.webhook_url = Endpoint() if has_target else None
    form = {"instanceId": YOGA, "eventType": "" if has_target else "PaidPlanPurchased"}
    answer = await browser.post("/installer/send-event", data=form)

    assert 400 == answer.status_code
    assert [] == fake.queued


async def test_the_events_of_a_site_are_shown(fake: FakeWix, browser: httpx.AsyncClient) -> None:
    """The newest six, each with the status of its answer."""
    for number in range(7):
        fake.queue_event(f"event-{number}", YOGA)
    await fake.send_queued(Endpoint(500, 500, 401))
    page = (await browser.get("/")).text

    assert "event-0<" not in page
    assert "<code>event-2</code> answered 401</li>" in page
    assert "<code>event-6</code> answered 200</li>" in page
    assert 1 == page.count("<summary>Events")


async def test_an_event_without_an_answer_is_shown(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """Nobody listens at the target."""
    fake.queue_event("x<y", BAKERY)
    await fake.send_queued("http://127.0.0.1:1")
    page = (await browser.get("/")).text

    assert "<code>x&lt;y</code> not answered</li>" in page
