"""The external install flow: its proof at the callback, and what Wix says about it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.handshake.handshaking import (
    CREDENTIALS,
    INSTANCE,
    TOKEN_INFO,
    FlakyStorage,
    FlowUnderTest,
    begin,
    call_back,
    query_of,
    reason_of,
    state_of,
)
from tests.support import PUBLIC_URL, SITE, Browser, running
from wix_asgi.models import GrantType
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix.world import site_id

pytestmark = [pytest.mark.usefixtures("flow"), pytest.mark.flow("client_credentials")]

OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"
SECRET = "fake-app-secret-0123456789"


def ago(seconds: float) -> str:
    """Return a `signDate` of this many seconds before now."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def lying(fake: FakeWix, **lies: str | None) -> None:
    """Have Wix add other parameters to the address than the true ones; None leaves one out."""

    def answer(true: dict[str, str]) -> Mapping[str, str]:
        told = {**true, **lies}
        return {name: value for name, value in told.items() if value is not None}

    fake.external_install_override = answer


def without(answer: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    """Return an answer of Get App Instance without a field."""
    return {**answer, part: {k: v for k, v in answer[part].items() if k != name}}


def told_by_wix(**parts: dict[str, Any]) -> dict[str, Any]:
    """Return the true answer of Get App Instance for the first site, changed."""
    true = {"instance": {"instanceId": SITE}, "site": {"siteId": site_id(SITE)}}
    return {name: {**true[name], **parts.get(name, {})} for name in true}


async def test_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consent ends at the app's own page, and the site is stored with no refresh token."""
    monkeypatch.delenv("WIX_AFTER_INSTALL")
    fake = FakeWix()
    async with running(fake) as app:
        answer = await Browser(app).install(fake)
        (stored,) = [found async for found in app.wix.installations()]
        called = await app.wix.client(SITE).get("/echo")

    assert (303, f"{PUBLIC_URL}/") == (answer.status_code, answer.headers["Location"])
    assert (SITE, GrantType.CLIENT_CREDENTIALS) == (stored.instance_id, stored.grant)
    assert 200 == called.status_code
    assert (1, 1, 0) == (fake.count(CREDENTIALS), fake.count(INSTANCE), fake.count(TOKEN_INFO))


@pytest.mark.parametrize("lies", [{"signedInstance": None}, {"signedInstance": ""}])
async def test_callback_without_a_proof_is_a_cancelled_install(lies: dict[str, str | None]) -> None:
    """Without a signed instance the site owner has cancelled, whatever else is there."""
    fake = FakeWix()
    lying(fake, **lies)
    async with running(fake) as app:
        browser = Browser(app)
        refused = await call_back(browser, await begin(browser, fake))
        stored = [found async for found in app.wix.installations()]

    assert (403, "denied") == reason_of(refused)
    assert not browser.http.cookies
    assert ([], 0) == (stored, fake.count(CREDENTIALS))


@pytest.mark.parametrize(
    "lies",
    [
        {"instanceId": OTHER_SITE},
        {"instanceId": None},
        {"tenantId": site_id(OTHER_SITE)},
        {"tenantId": None},
        {"appId": "another-app"},
        {"appId": None},
        {"appId": ""},
    ],
    ids=",".join,
)
async def test_address_of_another_install_is_refused(lies: dict[str, str | None]) -> None:
    """The app, the installation and the site of the address are those of the proof (R21)."""
    fake = FakeWix()
    lying(fake, **lies)
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        refused = await call_back(browser, url)
        again = await call_back(browser, url)

    assert (403, "instance_mismatch") == reason_of(refused)
    assert (409, "state_reused") == reason_of(again)
    assert [] == await storage.sites(fake.app_id)


@pytest.mark.parametrize(
    "claims",
    [
        {"instanceId": OTHER_SITE},
        {"instanceId": None},
        {"instanceId": ""},
        {"appDefId": "another-app"},
        {"appDefId": ["fake-app-id"]},
        {"aid": "visitor"},
        {"aid": ""},
        {"signDate": ago(660)},
        {"signDate": "yesterday"},
        {"signDate": True},
        {"signDate": 0},
    ],
    ids=",".join,
)
async def test_genuine_instance_of_no_install_is_refused(claims: dict[str, Any]) -> None:
    """A genuine instance of another site or app, a visitor or an hour ago proves nothing (R53)."""
    fake = FakeWix()
    lying(fake, signedInstance=fake.signed_instance(SITE, **claims))
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        refused = await call_back(browser, await begin(browser, fake))

    assert (403, "instance_mismatch") == reason_of(refused)
    assert [] == fake.calls
    assert [] == await storage.sites(fake.app_id)


@pytest.mark.parametrize(
    "claims",
    [
        {"permissions": None},
        {"permissions": ""},
        {"permissions": "ANYTHING"},
        {"appDefId": None},
        {"signDate": None},
        {"signDate": lambda: ago(300)},
        {"signDate": ago(-100_000)},
        {"signDate": time.time},
        {"uid": None},
    ],
    ids=lambda claims: next(iter(claims)),
)
async def test_rules_of_dashboard_pages_do_not_hold(claims: dict[str, Any]) -> None:
    """Wix does not say which permissions and which age an instance has here."""
    fake = FakeWix()
    now = {name: value() if callable(value) else value for name, value in claims.items()}
    lying(fake, signedInstance=fake.signed_instance(SITE, **now))
    async with running(fake, instance_max_age=1) as app:
        answer = await Browser(app).install(fake)

    assert 303 == answer.status_code


@pytest.mark.parametrize(("until", "status"), [("2100-01-01", 303), ("2020-01-01", 403)])
async def test_previous_secret_until_its_time(until: str, status: int) -> None:
    """An instance of an earlier app secret is good until the time in the settings (R57)."""
    fake = FakeWix()
    lying(fake, signedInstance=fake.signed_instance(SITE))
    fake.app_secret = "fake-new-secret-0123456789"
    previous: Any = {"previous_app_secrets": [SECRET], "previous_secrets_until": until}
    async with running(fake, **previous) as app:
        browser = Browser(app)
        answer = await call_back(browser, await begin(browser, fake))

    assert status == answer.status_code


async def test_other_form_is_asked_of_wix() -> None:
    """A proof that is not of two parts is Wix's own to judge, before a token is asked for."""
    fake = FakeWix()
    lying(fake, signedInstance=fake.issue_access_token(SITE))
    async with running(fake) as app:
        answer = await Browser(app).install(fake)

    assert 303 == answer.status_code
    assert (1, 1) == (fake.count(TOKEN_INFO), fake.count(CREDENTIALS))


@pytest.mark.parametrize(
    "info",
    [
        {"active": False},
        {"clientId": "another-app"},
        {"clientId": None},
        {"instanceId": None},
        {"instanceId": OTHER_SITE},
        {"subjectType": "VISITOR"},
        {"subjectType": "MEMBER"},
    ],
    ids=",".join,
)
async def test_other_form_that_wix_does_not_confirm(info: dict[str, Any]) -> None:
    """A proof that is inactive, another app's or site's, or a visitor's, is refused (R21, R54)."""
    fake = FakeWix()
    fake.token_info_override = lambda true: {**true, **info}
    lying(fake, signedInstance=fake.issue_access_token(SITE))
    async with running(fake) as app:
        browser = Browser(app)
        refused = await call_back(browser, await begin(browser, fake))

    assert (403, "instance_mismatch") == reason_of(refused)
    assert 0 == fake.count(CREDENTIALS)


@pytest.mark.parametrize("value", ["made-up", "a.b.c", "..", "a.b.c.d.e"])
async def test_made_up_form(value: str) -> None:
    """A made-up proof of another form costs one question to Wix, and is refused (R49)."""
    fake = FakeWix()
    lying(fake, signedInstance=value)
    async with running(fake) as app:
        browser = Browser(app)
        refused = await call_back(browser, await begin(browser, fake))

    assert (403, "instance_mismatch") == reason_of(refused)
    assert (1, 0) == (fake.count(TOKEN_INFO), fake.count(CREDENTIALS))


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
