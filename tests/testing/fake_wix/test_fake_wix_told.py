"""FakeWix tells the app: installs, uninstalls, copies and the ends of sites cause events."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from tests.testing.fake_wix.signed_events import Endpoint, layers_of
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

_, YOGA, _ = DEMO_SITES

NEWER = "wix.app.installations.v1.app_installation"
FIRST = ["AppInstalled", f"{NEWER}_created"]
AGAIN = ["AppInstalled", f"{NEWER}_updated"]
REMOVED = ["AppRemoved", f"{NEWER}_updated"]


@pytest.fixture(name="endpoint")
def _endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture(name="fake")
def _fake(endpoint: Endpoint) -> FakeWix:
    fake = FakeWix()
    fake.webhook_url = endpoint
    return fake


def installer_url(fake: FakeWix) -> str:
    """Return a URL of the legacy installer."""
    query = {
        "token": fake.install_token(YOGA),
        "appId": fake.app_id,
        "redirectUrl": "https://app.example.com/wix/callback",
        "state": "a-state",
    }
    return f"{fake.url}/installer/install?{urlencode(query)}"


def external_url(fake: FakeWix) -> str:
    """Return a URL of the installer of the external install flow."""
    query = {"appId": fake.app_id, "postInstallationUrl": "https://app.example.com/wix/callback"}
    return f"{fake.url}/app-installer?{urlencode(query)}"


async def ask(fake: FakeWix, path: str, body: dict[str, Any]) -> int:
    """Post to the fake Wix; return the status."""
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        return (await http.post(path, json=body)).status_code


def credentials(fake: FakeWix, **fields: str) -> dict[str, str]:
    """Return the body of a request to a token endpoint."""
    return {"client_id": fake.app_id, "client_secret": fake.app_secret, **fields}


async def test_an_install_and_its_ends(fake: FakeWix, endpoint: Endpoint) -> None:
    """Install, uninstall and reinstall: the older events, each with its newer one."""
    fake.mark_installed(YOGA)
    fake.uninstall(YOGA)
    fake.mark_installed(YOGA)
    fake.mark_installed(YOGA)
    await fake.send_queued()
    statuses = [
        content["currentEntity" if "currentEntity" in content else "entity"]["status"]
        for _, data in map(layers_of, endpoint.bodies)
        for content in [data.get("createdEvent") or data.get("updatedEvent")]
        if content
    ]

    assert [*FIRST, *REMOVED, *AGAIN] == endpoint.events
    assert ["INSTALLED", "UNINSTALLED", "INSTALLED"] == statuses


async def test_a_copy_names_its_origin(fake: FakeWix, endpoint: Endpoint) -> None:
    """AppInstalled of the copy comes with the installation that was copied."""
    copy = fake.copy_site(YOGA)
    await fake.send_queued()
    event, data = layers_of(endpoint.bodies[0])

    assert FIRST == endpoint.events
    assert (copy, YOGA) == (event["instanceId"], data["originInstanceId"])


async def test_the_end_of_a_site_is_another_event(fake: FakeWix, endpoint: Endpoint) -> None:
    """`deleted` alone; client credentials do not find the site from then on."""
    fake.mark_installed(YOGA)
    fake.delete_site(YOGA)
    body = credentials(fake, grant_type="client_credentials", instance_id=YOGA)
    status = await ask(fake, "/oauth2/token", body)

    assert [*FIRST, f"{NEWER}_deleted"] == endpoint.events
    assert 404 == status
    assert YOGA not in fake.sites


async def test_the_end_of_a_site_without_the_app_is_no_event(fake: FakeWix) -> None:
    """Nobody is told of a site that never had the app."""
    fake.delete_site(YOGA)

    assert [] == fake.queued


async def test_an_uninstall_of_a_forgotten_install_is_told(fake: FakeWix) -> None:
    """An installation of an earlier fake can be removed."""
    fake.uninstall(YOGA)

    assert REMOVED == [event.event_type for event in fake.queued]


async def test_the_legacy_flow_tells_after_the_exchange(fake: FakeWix, endpoint: Endpoint) -> None:
    """The exchange installs, and its answer is not held up by the event."""
    callback = httpx.URL(fake.approve(installer_url(fake)))
    before = list(endpoint.events)
    body = credentials(fake, grant_type="authorization_code", code=callback.params["code"])
    status = await ask(fake, "/oauth/access", body)

    assert ([], 200, FIRST) == (before, status, endpoint.events)


async def test_the_legacy_flow_may_tell_at_the_consent(fake: FakeWix, endpoint: Endpoint) -> None:
    """The event comes before the browser is back, and once."""
    fake.installs_at_consent = True
    callback = httpx.URL(fake.approve(installer_url(fake)))
    await fake.send_queued()
    before = list(endpoint.events)
    body = credentials(fake, grant_type="authorization_code", code=callback.params["code"])
    await ask(fake, "/oauth/access", body)

    assert (FIRST, FIRST) == (before, endpoint.events)


async def test_the_external_flow_tells_before_the_callback(
    fake: FakeWix, endpoint: Endpoint
) -> None:
    """The consent installs: a test sends the event before it follows the browser, or after."""
    fake.approve(external_url(fake), instance_id=YOGA)
    await fake.send_queued()

    assert FIRST == endpoint.events


async def test_a_refresh_token_of_an_earlier_fake_is_no_news(
    fake: FakeWix, endpoint: Endpoint
) -> None:
    """An installation that outlived a restart is not told again."""
    token = FakeWix().issue_refresh_token(YOGA)
    body = credentials(fake, grant_type="refresh_token", refresh_token=token)
    status = await ask(fake, "/oauth/access", body)

    assert (200, []) == (status, endpoint.events)
    assert {YOGA} == fake.installed


async def test_a_test_may_hold_the_events(fake: FakeWix, endpoint: Endpoint) -> None:
    """They then wait for `send_queued`, in an order of choice."""
    fake.holds_events = True
    fake.mark_installed(YOGA)
    await ask(fake, "/oauth2/token-info", {"token": "x"})
    before = list(endpoint.events)
    await fake.send_queued(order=[1, 0])

    assert ([], FIRST[::-1]) == (before, endpoint.events)


async def test_the_app_gets_the_events_that_it_has_chosen(
    fake: FakeWix, endpoint: Endpoint
) -> None:
    """Each event is a webhook of its own in Wix's dashboard."""
    fake.subscriptions = {"AppRemoved"}
    fake.mark_installed(YOGA)
    fake.uninstall(YOGA)
    await fake.send_queued()

    assert ["AppRemoved"] == endpoint.events


async def test_nobody_is_told_without_a_target(fake: FakeWix) -> None:
    """An install without a `webhook_url` is not told later, either."""
    fake.webhook_url = None
    fake.mark_installed(YOGA)
    fake.copy_site(YOGA)

    assert [] == fake.queued


async def test_two_senders_keep_the_order(fake: FakeWix) -> None:
    """A test that sends while the fake sends by itself waits, and then sends the rest."""
    order: list[str] = []
    fake.mark_installed(YOGA)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = Endpoint()
        await endpoint(scope, receive, send)
        order.extend(endpoint.events)
        if order == FIRST[:1]:
            tasks.start_soon(fake.send_queued)
            await anyio.wait_all_tasks_blocked()
            fake.uninstall(YOGA)

    fake.webhook_url = slow
    async with anyio.create_task_group() as tasks:
        await ask(fake, "/oauth2/token-info", {"token": "x"})

    assert [*FIRST, *REMOVED] == order


async def test_an_app_may_ask_while_it_is_told(fake: FakeWix) -> None:
    """A request of the app from inside its endpoint sends no event beside the first."""
    told: list[str] = []

    async def asking(scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = Endpoint()
        told.append("begun")
        await ask(fake, "/oauth2/token-info", {"token": "x"})
        await endpoint(scope, receive, send)
        told.extend(endpoint.events)

    fake.webhook_url = asking
    fake.mark_installed(YOGA)
    await ask(fake, "/oauth2/token-info", {"token": "x"})

    assert ["begun", FIRST[0], "begun", FIRST[1]] == told
