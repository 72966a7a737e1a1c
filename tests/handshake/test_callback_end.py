"""How an install ends: whose token is taken, and where the browser is led."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    CLOSE_WINDOW,
    JSON,
    FlowUnderTest,
    ask,
    begin,
    call_back,
    cookies_of,
    query_of,
    reason_of,
    split_url,
    state_of,
)
from tests.support import PUBLIC_URL, SITE, Browser, running
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")

CALLBACK = "/wix/callback"
OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"


OPEN_REDIRECTS = [
    "//evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https://evil.example",
    "http://evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "%2f%2fevil.example",
    "/%2fevil.example",
    "/%5cevil.example",
    " //evil.example",
    "///evil.example",
    "/./evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "http://app.example.com@evil.example",
    "https://app.example.com.evil.example",
    "https://evil.example#app.example.com",
    "https://evil.example?app.example.com",
    "https://evil.example\\.app.example.com",
    "javascript:alert('evil.example')",
    "data:text/html,evil.example",
    "//evil.example/%2e%2e",
    "\u2028//evil.example",
    "//evil\u3002example",
    "https://[::1]@evil.example",
]


@pytest.mark.parametrize("payload", OPEN_REDIRECTS, ids=ascii)
@pytest.mark.parametrize("after_install", ["close", "/welcome"])
async def test_no_parameter_moves_the_browser(
    flow: FlowUnderTest, payload: str, after_install: str
) -> None:
    """Where an install ends is configured: no parameter of either path changes it (R18)."""
    fake = FakeWix()
    given = ["next", "redirect", "redirect_uri", "redirectUrl", "returnUrl", "url", "state_url"]
    extra = "&".join(f"{name}={quote(payload, safe='')}" for name in given)
    async with running(fake, after_install=after_install) as app:
        browser = Browser(app)
        begun = await browser.http.get(f"/wix/install?{extra}")
        url = fake.approve(begun.headers["Location"])
        answer = await browser.http.get(f"{url}&{extra}")
    asked, location = begun.headers["Location"], answer.headers["Location"]
    where, names = {
        "close": (CLOSE_WINDOW, {"access_token"}),
        "/welcome": (f"{PUBLIC_URL}/welcome", set()),
    }[after_install]

    back, state = f"{PUBLIC_URL}{CALLBACK}", state_of(asked)
    sent = {
        "advanced": ("/installer/install", {"redirectUrl": back, "state": state}),
        "client_credentials": (
            "/app-installer",
            {"postInstallationUrl": f"{back}?{urlencode({'state': state})}"},
        ),
    }
    installer, named = sent[flow.name]

    # Both addresses in full, but for their random parts, which may spell anything.
    assert asked.startswith(f"https://wix.example{installer}?")
    assert {"appId": fake.app_id, **named} == query_of(asked)
    assert where.partition("?")[0] == location.partition("?")[0]
    assert names == query_of(location).keys()


@pytest.mark.parametrize("host", [b"evil.example", b"evil.example/x", b"evil[", b"\xff"])
async def test_host_does_not_move_the_browser(host: bytes) -> None:
    """No Host header changes where an install ends (R11, R18)."""
    fake = FakeWix()
    async with running(fake, after_install="/welcome") as app:
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        cookies = cookies_of(browser)
        fields = [*cookies, (b"host", host), (b"x-forwarded-host", host)]
        answer = await ask(app, path, query, headers=fields)

    assert (303, f"{PUBLIC_URL}/welcome") == (answer.status, answer.one("Location"))


async def test_token_goes_to_the_close_window_page_only() -> None:
    """The access token is in that one Location, which is not stored, and not a referrer (R20)."""
    fake = FakeWix()
    async with running(fake) as app:
        answer = await Browser(app).install(fake)
    location = answer.headers["Location"]
    token = query_of(location)["access_token"]
    elsewhere = [value for name, value in answer.headers.multi_items() if name != "location"]

    assert f"{CLOSE_WINDOW}{quote(token, safe='')}" == location
    assert token not in answer.text + repr(elsewhere)
    assert "no-store" in answer.headers["Cache-Control"]
    assert "no-referrer" == answer.headers["Referrer-Policy"]


@pytest.mark.parametrize(
    ("after_install", "expected"),
    [
        ("/", f"{PUBLIC_URL}/"),
        ("/welcome?from=wix#top", f"{PUBLIC_URL}/welcome?from=wix#top"),
        ("https://shop.example.com/done", "https://shop.example.com/done"),
    ],
)
async def test_token_goes_nowhere_else(after_install: str, expected: str) -> None:
    """Where the app has set an address of its own, no token is in any response (R20)."""
    fake = FakeWix()
    async with running(fake, after_install=after_install) as app:
        answer = await Browser(app).install(fake)
        token = (await app.wix._tokens.get(SITE)).value

    assert expected == answer.headers["Location"]
    assert token not in answer.text + repr(answer.headers.multi_items())


@pytest.mark.flow("advanced")
@pytest.mark.parametrize(
    "lie",
    [
        {"instanceId": OTHER_SITE},
        {"instanceId": SITE.upper()},
        {"instanceId": None},
        {"instanceId": ""},
        {"instanceId": [SITE]},
        {"clientId": "another-app"},
        {"clientId": None},
        {"active": "false"},
        {"active": False},
        {"active": None},
        {"active": 1},
    ],
    ids=repr,
)
async def test_token_of_another_site_is_refused(lie: dict[str, Any]) -> None:
    """A token that is not this app's, or not for the named site, stores nothing (R21)."""
    fake = FakeWix()
    fake.token_info_override = lambda info: {**info, **lie}
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        answer = await call_back(browser, url)
        again = await call_back(browser, url)

    assert (403, "instance_mismatch") == reason_of(answer)
    assert (409, "state_reused") == reason_of(again)
    assert not await storage.sites(fake.app_id)


@pytest.mark.parametrize("named", [OTHER_SITE, SITE.upper(), "", f"{SITE} ", "null"])
async def test_site_in_the_address_is_not_believed(
    flow: FlowUnderTest, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that names a site the token is not for is refused, with both in the log (R21)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        query = query_of(await begin(browser, fake))
        answer = await browser.http.get(
            CALLBACK, params={**query, "instanceId": named}, headers=JSON
        )
    told = named if named.lower() in {SITE, OTHER_SITE} else "another site"
    proof = "token" if flow.is_advanced else "signed instance"
    logged = f"the {proof} is for site {SITE}, and the address names {told})"
    if not named and not flow.is_advanced:
        logged = "the address names no site"

    assert (403, "instance_mismatch") == reason_of(answer)
    assert logged in caplog.text
    assert not await storage.sites(fake.app_id)


@pytest.mark.flow("advanced")
@pytest.mark.parametrize("in_strings", [True, False])
async def test_site_may_be_left_out_of_the_address(in_strings: bool) -> None:
    """The site that the token is for is installed, in both spellings of token-info (R21)."""
    fake = FakeWix()
    fake.token_info_in_strings = in_strings
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        query = query_of(await begin(browser, fake))
        del query["instanceId"]
        answer = await browser.http.get(CALLBACK, params=query)

    assert 303 == answer.status_code
    assert [SITE] == await storage.sites(fake.app_id)
