"""FakeWix's external install flow: its consent page, and where its buttons lead."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.testing.fake_wix.signed import read_claims
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix, InstallerRefused

BAKERY, YOGA, PAPER = DEMO_SITES
CALLBACK = "https://app.example.com/wix/callback"


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix(redirect_urls=[CALLBACK])


@pytest.fixture(name="browser")
def _browser(fake: FakeWix) -> httpx.AsyncClient:
    headers = {"accept": "text/html"}
    return httpx.AsyncClient(transport=fake.transport, base_url=fake.url, headers=headers)


def _installer_url(**parameters: str) -> str:
    query = {
        "appId": "fake-app-id",
        "postInstallationUrl": f"{CALLBACK}?state=s%2Bt%2Fa%3Dte",
        **parameters,
    }
    return f"https://wix.example/app-installer?{urlencode(query)}"


def _pairs(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, strict_parsing=True)


def _names_of_wix(url: str) -> set[str]:
    return {name for name, _ in _pairs(url)} & {"appId", "tenantId", "instanceId", "signedInstance"}


async def test_approve_installs_and_leads_back_with_what_wix_appends(fake: FakeWix) -> None:
    """Approving keeps the callback's own query, and adds app, site, installation and its proof."""
    location = fake.approve(_installer_url(), instance_id=YOGA)

    (state, *added), values = _pairs(location), dict(_pairs(location))
    token = fake.issue_access_token(YOGA)
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        about = (await http.get("/apps/v1/instance", headers={"authorization": token})).json()
    assert location.startswith(f"{CALLBACK}?state=s%2Bt%2Fa%3Dte&")
    assert ("state", "s+t/a=te") == state
    assert ["appId", "tenantId", "instanceId", "signedInstance"] == [name for name, _ in added]
    assert ("fake-app-id", YOGA) == (values["appId"], values["instanceId"])
    assert about["site"]["siteId"] == values["tenantId"]
    assert {YOGA} == fake.installed


async def test_the_signed_instance_is_that_of_the_site(fake: FakeWix) -> None:
    """It has the form and the claims of the `instance` of a page, and token-info knows it."""
    signed = dict(_pairs(fake.approve(_installer_url())))["signedInstance"]
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        info = (await http.post("/oauth2/token-info", json={"token": signed})).json()

    seen = {"instanceId", "uid", "siteOwnerId", "permissions", "signDate"}
    assert seen <= read_claims(signed).keys()
    assert BAKERY == read_claims(signed)["instanceId"]
    assert ("true", BAKERY) == (info["active"], info["instanceId"])


def test_a_callback_without_a_query_gets_one(fake: FakeWix) -> None:
    """The state is the app's business: the flow has no parameter of its own for it."""
    location = fake.approve(_installer_url(postInstallationUrl=CALLBACK))

    assert location.startswith(f"{CALLBACK}?appId=fake-app-id&tenantId=")


def test_an_unlisted_app_may_have_a_share_url_id(fake: FakeWix) -> None:
    """The ID of a share link is one more parameter, and does not come back."""
    location = fake.approve(_installer_url(shareUrlId="shared"))

    assert "shared" not in location


def test_a_site_that_is_not_there_cannot_be_picked(fake: FakeWix) -> None:
    """A site that was never added is a mistake of the test, and nothing is installed."""
    with pytest.raises(LookupError, match="add_site"):
        fake.approve(_installer_url(), instance_id="nobody")

    assert set() == fake.installed


def test_cancel_leads_back_without_what_wix_appends(fake: FakeWix) -> None:
    """The browser comes back without them, as implementers saw it, and nothing is installed."""
    location = fake.cancel(_installer_url())

    assert f"{CALLBACK}?state=s%2Bt%2Fa%3Dte" == location
    assert set() == fake.installed


def test_cancel_may_lead_nowhere(fake: FakeWix) -> None:
    """Without a redirect, as Wix may do it, the browser stays at Wix."""
    fake.cancel_redirects = False

    assert fake.cancel(_installer_url()) is None


def test_an_install_can_be_made_to_lie(fake: FakeWix) -> None:
    """An override gets the true parameters and returns those to send, fewer or others (R21)."""

    def lie(answer: dict[str, str]) -> dict[str, str]:
        return {"instanceId": PAPER, "signedInstance": answer["signedInstance"]}

    fake.external_install_override = lie
    location = fake.approve(_installer_url(), instance_id=YOGA)

    values = dict(_pairs(location))
    assert {"instanceId", "signedInstance"} == _names_of_wix(location)
    assert (PAPER, YOGA) == (
        values["instanceId"],
        read_claims(values["signedInstance"])["instanceId"],
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (_installer_url(appId="other"), "find an app with this ID"),
        ("https://wix.example/app-installer", "find an app with this ID"),
        ("https://wix.example/app-installer?appId=fake-app-id", "https address"),
        (_installer_url(postInstallationUrl=""), "empty parameter: postInstallationUrl"),
        (_installer_url(shareUrlId=""), "empty parameter: shareUrlId"),
        (_installer_url() + "&appId=fake-app-id", "repeated"),
        (_installer_url(state="abc"), "unknown parameter: state"),
        (_installer_url(token="ab" * 100), "unknown parameter: token"),
        (_installer_url() + "&shareUrlId=%FF", "UTF-8"),
        (_installer_url(postInstallationUrl=f"{CALLBACK}/"), "no address of this app"),
        (_installer_url(postInstallationUrl="https://evil.example/?x"), "no address of this app"),
    ],
)
def test_a_wrong_installer_url_is_refused(fake: FakeWix, url: str, message: str) -> None:
    """Every parameter is checked, and none may be unknown, empty or repeated."""
    with pytest.raises(InstallerRefused, match=message):
        fake.approve(url)

    with pytest.raises(InstallerRefused, match=message):
        fake.cancel(url)


@pytest.mark.parametrize(
    "url",
    [
        "/wix/callback",
        "ftp://app.example.com/",
        "https://",
        "https://[",
        f"{CALLBACK}#x",
        "http://app.example.com/wix/callback",
        "http://localhost.example.com/",
    ],
)
def test_any_callback_still_is_an_https_address(url: str) -> None:
    """Where no URL is registered, the callback must use HTTPS all the same."""
    with pytest.raises(InstallerRefused, match="https address"):
        FakeWix().approve(_installer_url(postInstallationUrl=url))


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_a_callback_on_the_developers_desk_may_be_http(host: str) -> None:
    """An address of the loopback needs no certificate."""
    location = FakeWix().approve(_installer_url(postInstallationUrl=f"http://{host}/cb"))

    assert location.startswith(f"http://{host}/cb?appId=")


async def test_the_consent_page_asks_for_the_site(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """The page names app and permissions, and the owner picks a site."""
    fake.app_name = "<App>"
    page = await browser.get(_installer_url())

    assert 200 == page.status_code
    assert "Add <App> to your site" in unescape(page.text)
    assert "<App>" not in page.text
    assert [BAKERY, YOGA, PAPER] == re.findall("value='([^']*)'", page.text)


async def test_the_approve_button_leads_to_the_app(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """The form is sent to where its action says, and the answer is a redirect to the app."""
    page = await browser.get(_installer_url())
    action = re.search('action="([^"]*)"', page.text)
    assert action is not None
    answer = await browser.post(
        unescape(action[1]), data={"decision": "approve", "instanceId": PAPER}
    )

    values = dict(_pairs(answer.headers["location"]))
    assert 303 == answer.status_code
    assert (PAPER, "s+t/a=te") == (values["instanceId"], values["state"])
    assert {PAPER} == fake.installed


async def test_the_cancel_button_leads_to_the_app(browser: httpx.AsyncClient) -> None:
    """Cancelling is a redirect without a parameter of Wix."""
    answer = await browser.post(_installer_url(), data={"decision": "cancel"})

    assert 303 == answer.status_code
    assert set() == _names_of_wix(answer.headers["location"])


async def test_a_refused_install_is_a_page(browser: httpx.AsyncClient) -> None:
    """A callback that is not registered ends at Wix, with a page and status 400."""
    page = await browser.get(_installer_url(postInstallationUrl="https://evil.example.com/"))

    assert 400 == page.status_code
    assert "postInstallationUrl is no address of this app" in unescape(page.text)


def test_an_answer_of_a_test_cannot_replace_the_installer(fake: FakeWix) -> None:
    """FakeWix plays its installers itself."""
    with pytest.raises(ValueError, match="plays /app-installer itself"):
        fake.answer("GET", "/app-installer")
