"""The external install flow: its proof at the callback, and what Wix says about it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.handshake.external import OTHER_SITE, SECRET, ago, lying
from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    CREDENTIALS,
    INSTANCE,
    TOKEN_INFO,
    begin,
    call_back,
    reason_of,
)
from tests.support import PUBLIC_URL, SITE, Browser, running
from wix_asgi.models import GrantType
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix.world import site_id

pytestmark = [pytest.mark.usefixtures("flow"), pytest.mark.flow("client_credentials")]


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
        {"siteMemberId": "member"},
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
