"""The external install flow: what Wix says of an install, and where it begins and ends."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.handshake.external import OTHER_SITE, lying, told_by_wix, without
from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    CREDENTIALS,
    INSTANCE,
    TOKEN_INFO,
    FlowUnderTest,
    begin,
    call_back,
    query_of,
    reason_of,
    state_of,
)
from tests.support import PUBLIC_URL, SITE, Browser, running
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix.world import site_id

pytestmark = [pytest.mark.usefixtures("flow"), pytest.mark.flow("client_credentials")]


@pytest.mark.parametrize("path", [CREDENTIALS, INSTANCE, TOKEN_INFO])
@pytest.mark.parametrize("kind", ["drop", "answer", "refuse"])
async def test_failing_wix_spends_nothing(path: str, kind: Any) -> None:
    """While Wix fails, the same address works later: nothing in it is good only once (R24)."""
    fake = FakeWix()
    if path == TOKEN_INFO:
        lying(fake, signedInstance=fake.issue_access_token(SITE))
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(path, kind=kind, times=None)
        refused = [reason_of(await call_back(browser, url)) for _ in range(2)]
        kept = dict(browser.http.cookies)
        before = await storage.sites(fake.app_id)
        fake.heal()
        finished = await browser.http.get(url)

    assert [(503, "wix_unavailable")] * 2 == refused
    assert (1, []) == (len(kept), before)
    assert 303 == finished.status_code


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, None),
        (400, {"error": "invalid_grant"}),
        (401, {"error": "invalid_client"}),
        (403, None),
    ],
)
async def test_first_token_is_refused(status: int, body: Any) -> None:
    """Where Wix grants no token, the app is not on that site: the install ends (R47)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(CREDENTIALS, status=status, body=body)
        refused = await call_back(browser, url)
        again = await call_back(browser, url)

    assert (502, "exchange_rejected") == reason_of(refused)
    assert (409, "state_reused") == reason_of(again)
    assert [] == await storage.sites(fake.app_id)


async def test_app_that_may_not_ask_for_its_instance(caplog: pytest.LogCaptureFixture) -> None:
    """Without the permission the site is not compared, which the log says once."""
    fake = FakeWix()
    async with running(fake) as app:
        fake.fail(INSTANCE, status=403, body={"message": "forbidden"}, times=None)
        answers = [await Browser(app).install(fake, site) for site in (SITE, OTHER_SITE)]
    lines = [record for record in caplog.records if "Manage Your App" in record.getMessage()]

    assert [303, 303] == [answer.status_code for answer in answers]
    assert [logging.WARNING] == [line.levelno for line in lines]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (200, without(told_by_wix(), "site", "siteId")),
        (200, without(told_by_wix(), "instance", "instanceId")),
        (200, told_by_wix(site={"siteId": site_id(OTHER_SITE)})),
        (200, told_by_wix(instance={"instanceId": OTHER_SITE})),
        (401, None),
        (404, None),
        (400, {"error": "invalid_client"}),
    ],
)
async def test_wix_tells_another_installation(status: int, body: Any) -> None:
    """An answer of Get App Instance that is not of this installation and site is refused (R21)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(INSTANCE, status=status, body=body)
        refused = await call_back(browser, url)

    assert (403, "instance_mismatch") == reason_of(refused)
    assert [] == await storage.sites(fake.app_id)


@pytest.mark.parametrize(
    ("signed", "told", "expected"),
    [
        (None, {}, None),
        (OTHER_SITE, {}, OTHER_SITE),
        (None, {"originInstanceId": OTHER_SITE}, OTHER_SITE),
        ("another", {"originInstanceId": OTHER_SITE}, OTHER_SITE),
        ("", {"originInstanceId": ""}, None),
    ],
)
async def test_copied_site(signed: str | None, told: dict[str, Any], expected: str | None) -> None:
    """The origin of a copied site reaches on_install and the list; Wix's own word counts first."""
    fake, seen = FakeWix(), list[Any]()
    lying(fake, signedInstance=fake.signed_instance(SITE, originInstanceId=signed))
    async with running(fake, on_install=seen.append) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(INSTANCE, status=200, body=told_by_wix(instance=told))
        await browser.http.get(url)
        stored = [found async for found in app.wix.installations()]

    assert [expected] == [installation.origin_instance_id for installation in seen]
    assert seen == stored


async def test_install_replaces_that_of_the_other_flow(
    flow: FlowUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site that installs again by the other flow has the grant of the latest install."""
    fake, storage = FakeWix(), FlakyStorage()
    grants = []
    for name in ("advanced", flow.name, "advanced"):
        monkeypatch.setenv("WIX_FLOW", name)
        async with running(fake, storage=storage) as app:
            await Browser(app).install(fake)
            grants += [found.grant async for found in app.wix.installations()]

    assert ["refresh_token", "client_credentials", "refresh_token"] == grants


async def test_state_is_inside_of_the_callbacks_address() -> None:
    """The browser is sent to Wix's installer for apps, with the state in the way back (R1)."""
    fake = FakeWix()
    async with running(fake, share_url_id="share-1") as app:
        location = await Browser(app).begin(fake)
    query = query_of(location)
    way_back = query["postInstallationUrl"]

    assert location.startswith(f"{fake.url}/app-installer?")
    assert {"appId", "postInstallationUrl", "shareUrlId"} == set(query)
    assert (fake.app_id, "share-1") == (query["appId"], query["shareUrlId"])
    assert way_back.startswith(f"{PUBLIC_URL}/wix/callback?")
    assert {"state": state_of(location)} == query_of(way_back)


async def test_left_over_app_url_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A visit with a legacy token goes on without it; once a minute the log says what to clear."""
    fake = FakeWix()
    token = fake.install_token()
    async with running(fake) as app:
        browser = Browser(app)
        begun = [await browser.http.get("/wix/install", params={"token": token}) for _ in range(3)]
        finished = await browser.http.get(fake.approve(begun[-1].headers["Location"]))
    lines = [line for line in caplog.messages if "clear App URL and Redirect URL" in line]

    assert 303 == finished.status_code
    assert [] == [answer for answer in begun if token in answer.headers["Location"]]
    assert 1 == len(lines)
    assert token not in caplog.text
