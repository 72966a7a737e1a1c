"""FakeWix as a browser sees it: my sites, the consent page, where its buttons lead."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix, InstallerRefused

BAKERY, YOGA, PAPER = DEMO_SITES
CALLBACK = "https://app.example.com/wix/callback"
HTML = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix(redirect_urls=[CALLBACK])


@pytest.fixture(name="browser")
def _browser(fake: FakeWix) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=fake.transport, base_url=fake.url, headers=HTML)


def _installer_url(**parameters: str) -> str:
    query = {"appId": "fake-app-id", "redirectUrl": CALLBACK, "state": "s+t/a=te", **parameters}
    return f"https://wix.example/installer/install?{urlencode(query)}"


def _query_of(url: str | None) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url or "").query).items()}


def test_approve_leads_back_with_code_state_and_instance_id(fake: FakeWix) -> None:
    """Approving returns to the redirect URL with a long code, and the state as given."""
    location = fake.approve(_installer_url(token=fake.install_token(YOGA)))

    query = _query_of(location)
    assert location.startswith(f"{CALLBACK}?")
    assert {"code", "state", "instanceId"} == query.keys()
    assert (YOGA, "s+t/a=te") == (query["instanceId"], query["state"])
    assert query["code"].startswith("OAUTH2.")
    assert 4718 == len(query["code"])


def test_approve_without_a_state_leads_back_without_one(fake: FakeWix) -> None:
    """A state is optional, and none comes back where none was given."""
    query = {"appId": "fake-app-id", "redirectUrl": CALLBACK}

    assert {"code", "instanceId"} == _query_of(
        fake.approve(f"/installer/install?{urlencode(query)}")
    ).keys()


def test_an_install_begun_outside_wix_is_for_the_site_that_is_picked(fake: FakeWix) -> None:
    """Without a token the site owner picks; the first site is the default."""
    picked = fake.approve(_installer_url(), instance_id=PAPER)
    default = fake.approve(_installer_url())

    assert (PAPER, BAKERY) == (_query_of(picked)["instanceId"], _query_of(default)["instanceId"])


def test_a_site_that_is_not_there_cannot_be_picked(fake: FakeWix) -> None:
    """A site that was never added is a mistake of the test, and said to be."""
    with pytest.raises(LookupError, match="add_site"):
        fake.approve(_installer_url(), instance_id="nobody")


def test_a_token_is_for_one_site(fake: FakeWix) -> None:
    """A token of one site does not install the app on another."""
    with pytest.raises(InstallerRefused, match="another site"):
        fake.approve(_installer_url(token=fake.install_token(YOGA)), instance_id=BAKERY)


def test_cancel_leads_back_with_an_error_and_the_state(fake: FakeWix) -> None:
    """Cancelling returns `error=access_denied` with the state."""
    location = fake.cancel(_installer_url())

    assert {"error": "access_denied", "state": "s+t/a=te"} == _query_of(location)


def test_cancel_may_lead_nowhere(fake: FakeWix) -> None:
    """Without a redirect, as Wix may do it, the browser stays at Wix."""
    fake.cancel_redirects = False

    assert fake.cancel(_installer_url()) is None


def test_a_query_of_the_redirect_url_is_kept() -> None:
    """The answer is put behind the query that the redirect URL has."""
    location = FakeWix().approve(_installer_url(redirectUrl=f"{CALLBACK}?a=1"))

    assert location.startswith(f"{CALLBACK}?a=1&code=OAUTH2.")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (_installer_url(appId="other"), "find an app with this ID"),
        (_installer_url(redirectUrl=CALLBACK + "/"), "find an app with this redirect url"),
        (_installer_url(redirectUrl=CALLBACK + "?a=1"), "find an app with this redirect url"),
        (_installer_url(token="ab" * 100), "unknown token"),
        (_installer_url(token="not hexadecimal"), "unknown token"),
        (_installer_url(token=""), "empty parameter: token"),
        (_installer_url() + "&state=again", "repeated"),
        (_installer_url(colour="red"), "unknown parameter: colour"),
        (_installer_url() + "&token=%FF", "UTF-8"),
        ("https://wix.example/installer/other", "not an installer URL"),
        ("https://wix.example/installer/install", "find an app with this ID"),
    ],
)
def test_a_wrong_installer_url_is_refused(fake: FakeWix, url: str, message: str) -> None:
    """Every parameter is checked, and none may be unknown, empty or repeated."""
    with pytest.raises(InstallerRefused, match=message):
        fake.approve(url)


@pytest.mark.parametrize(
    "url", ["", "/wix/callback", "ftp://app.example.com/", "https://", f"{CALLBACK}#x", "https://["]
)
def test_any_redirect_url_still_is_a_web_address(url: str) -> None:
    """Where none is registered, a redirect URL is at least absolute and without a fragment."""
    with pytest.raises(InstallerRefused):
        FakeWix().approve(
            f"/installer/install?appId=fake-app-id&redirectUrl={url}".replace("#", "%23")
        )


def test_an_install_token_is_long_hexadecimal_and_survives_a_restart(fake: FakeWix) -> None:
    """The token looks like Wix's, differs each time, and another FakeWix of the app knows it."""
    token = fake.install_token(YOGA)

    assert re.fullmatch("[0-9a-f]{128,450}", token)
    assert token != fake.install_token(YOGA)
    assert YOGA == _query_of(FakeWix().approve(_installer_url(token=token)))["instanceId"]


def test_a_token_for_a_site_that_is_gone_is_refused() -> None:
    """A token names a site that must be there."""
    other = FakeWix(sites={"elsewhere": "Elsewhere"})

    with pytest.raises(InstallerRefused, match="unknown token"):
        FakeWix().cancel(_installer_url(token=other.install_token()))


async def test_the_consent_page_names_app_site_and_permissions(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """The page says which app asks for which permissions on which site, as text and not as HTML."""
    fake.app_name, fake.permissions = "<App>", ["Read & write"]
    site = fake.add_site("Tom's <b>Site</b>")
    page = await browser.get(_installer_url(token=fake.install_token(site)))

    assert 200 == page.status_code
    assert [] == [
        text
        for text in ("<App>", "Read & write", "Tom's <b>Site</b>")
        if text not in unescape(page.text)
    ]
    assert "<App>" not in page.text
    assert "<b>Site" not in page.text
    assert "instanceId" not in page.text


async def test_pages_load_nothing_and_are_not_stored(browser: httpx.AsyncClient) -> None:
    """A page is whole in itself: no script, no style sheet, no picture from elsewhere."""
    page = await browser.get(_installer_url())

    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "no-store" == page.headers["cache-control"]
    assert not re.search("<script|<link|<img|src=|url\\(", page.text)


async def test_the_approve_button_leads_to_the_app(browser: httpx.AsyncClient) -> None:
    """The form is sent to where its action says, and the answer is a redirect to the app."""
    page = await browser.get(_installer_url())
    action = re.search('action="([^"]*)"', page.text)
    assert action is not None
    answer = await browser.post(
        unescape(action[1]), data={"decision": "approve", "instanceId": PAPER}
    )

    query = _query_of(answer.headers["location"])
    assert 303 == answer.status_code
    assert (PAPER, "s+t/a=te") == (query["instanceId"], query["state"])
    assert {BAKERY, YOGA, PAPER} == set(re.findall("value='([^']*)'", page.text))


async def test_the_cancel_button_leads_to_the_app(browser: httpx.AsyncClient) -> None:
    """Cancelling is a redirect, too."""
    answer = await browser.post(_installer_url(), data={"decision": "cancel"})

    assert 303 == answer.status_code
    assert "access_denied" == _query_of(answer.headers["location"])["error"]


async def test_the_cancel_button_may_lead_nowhere(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """Where cancelling does not redirect, the page says that nothing was added."""
    fake.cancel_redirects = False
    answer = await browser.post(_installer_url(), data={"decision": "cancel"})

    assert 200 == answer.status_code
    assert "Nothing was added" in answer.text


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({}, "neither to approve nor to cancel"),
        ({"decision": "approve", "instanceId": "nobody"}, "no such site"),
    ],
)
async def test_a_choice_that_is_none_is_refused(
    browser: httpx.AsyncClient, form: dict[str, str], message: str
) -> None:
    """A form that was not filled in by the page is answered with an error page."""
    answer = await browser.post(_installer_url(), data=form)

    assert 400 == answer.status_code
    assert message in answer.text


async def test_a_refused_install_is_a_page(browser: httpx.AsyncClient) -> None:
    """A redirect URL that is not registered ends at Wix, with a page and status 400."""
    page = await browser.get(_installer_url(redirectUrl="https://evil.example.com/"))

    assert 400 == page.status_code
    assert "We couldn't find an app with this redirect url" in unescape(page.text)


async def test_close_window_takes_a_live_access_token(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """The page says that the window may be closed, and leads into the app."""
    fake.app_url = "https://app.example.com/wix/install"
    token = fake.issue_access_token(YOGA)
    page = await browser.get("/installer/close-window", params={"access_token": token})

    link = re.search('href="(/dashboard[?]instanceId=[^"]*)"', page.text)
    assert 200 == page.status_code
    assert "You may close this window" in page.text
    assert "Lighthouse Yoga" in page.text
    assert link is not None


async def test_close_window_without_an_app_url_has_no_link(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """Nobody knows where the app is: the page only says that it is done."""
    token = fake.issue_access_token(YOGA)
    page = await browser.get("/installer/close-window", params={"access_token": token})

    assert "Open the app" not in page.text


@pytest.mark.parametrize("query", ["", "?access_token=dead", "?access_token=a&access_token=b"])
async def test_close_window_refuses_a_token_that_is_not_live(
    browser: httpx.AsyncClient, query: str
) -> None:
    """No token, a dead one, or two: an error page."""
    page = await browser.get(f"/installer/close-window{query}")

    assert 400 == page.status_code


async def test_my_sites_shows_each_site_with_its_links(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """Each site has links that add the app and open it, and says whether it is installed."""
    fake.app_url = "https://app.example.com/wix/install?a=1"
    fake.issue_refresh_token(YOGA)
    page = await browser.get("/")

    add = re.findall('href="(https://app.example.com/wix/install[^"]*)"', page.text)
    opened = re.findall('href="(/dashboard[?]instanceId=[^"]*)"', page.text)
    assert ["Corner Bakery", "Lighthouse Yoga", "Paper & Ink"] == [
        unescape(name) for name in re.findall("<h2>([^<]*)", page.text)
    ]
    assert 1 == page.text.count("Installed</span>")
    assert (3, 3) == (len(add), len(opened))
    tokens = [_query_of(unescape(url))["token"] for url in add]
    assert [BAKERY, YOGA, PAPER] == [
        _query_of(fake.approve(_installer_url(token=token)))["instanceId"] for token in tokens
    ]


async def test_my_sites_without_an_app_url_says_what_is_missing(
    browser: httpx.AsyncClient,
) -> None:
    """A page without links says how to get them."""
    page = await browser.get("/")

    assert "Set app_url" in page.text


async def test_my_sites_does_not_hide_the_api(browser: httpx.AsyncClient, fake: FakeWix) -> None:
    """`GET /` with a token, or not from a browser, is a call of the API."""
    token = fake.issue_access_token(YOGA)
    called = await browser.get("/", headers={"authorization": token})
    fake.echo("/*")
    echoed = await browser.get("/", headers={"authorization": token})
    unknown = await browser.get("/", headers={"accept": "*/*"})
    posted = await browser.post("/")
    page = await browser.get("/")

    assert 404 == called.status_code
    assert (200, "/") == (echoed.status_code, echoed.json()["path"])
    assert (401, 401) == (unknown.status_code, posted.status_code)
    assert "My sites" in page.text
