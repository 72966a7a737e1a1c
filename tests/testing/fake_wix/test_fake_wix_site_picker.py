"""FakeWix's installs that begin outside Wix, and the kinds of apps."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix, InstallerRefused

BAKERY, YOGA, PAPER = DEMO_SITES
APP_URL = "https://app.example.com/wix/install"
CALLBACK = "https://app.example.com/wix/callback"


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix(app_url=APP_URL, redirect_urls=[CALLBACK])


def _installer_url(**parameters: str) -> str:
    return f"/installer/install?{urlencode({'appId': 'fake-app-id', **parameters})}"


def _query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_an_install_with_an_app_id_alone_leads_to_the_app_url(fake: FakeWix) -> None:
    """The owner picks a site, and the App URL gets its token; the first state is lost."""
    location = fake.approve(_installer_url(state="first"), instance_id=YOGA)

    token = _query_of(location)["token"]
    second = fake.approve(_installer_url(token=token, redirectUrl=CALLBACK, state="second"))
    assert location.startswith(f"{APP_URL}?token=")
    assert {"token"} == _query_of(location).keys()
    assert set() == fake.installed
    assert (YOGA, "second") == (_query_of(second)["instanceId"], _query_of(second)["state"])


def test_a_named_redirect_url_may_be_passed_over(fake: FakeWix) -> None:
    """Whether Wix skips the App URL then is not documented: a switch plays either way."""
    url = _installer_url(redirectUrl=CALLBACK, state="first")
    direct = fake.approve(url)
    fake.outside_installs_pass_app_url = True
    passed = fake.approve(url, instance_id=PAPER)

    assert {"code", "instanceId", "state"} == _query_of(direct).keys()
    assert (
        PAPER
        == _query_of(
            fake.approve(_installer_url(redirectUrl=CALLBACK, token=_query_of(passed)["token"]))
        )["instanceId"]
    )


def test_nothing_is_picked_where_the_owner_cancels(fake: FakeWix) -> None:
    """The picker has no address to lead back to."""
    assert fake.cancel(_installer_url()) is None


@pytest.mark.parametrize("picks", [True, False])
def test_a_picker_needs_an_app_url(picks: bool) -> None:
    """Without an App URL there is nowhere to lead to."""
    fake = FakeWix(redirect_urls=[CALLBACK])
    fake.outside_installs_pass_app_url = not picks

    with pytest.raises(InstallerRefused, match="no App URL"):
        fake.approve(_installer_url(**({} if picks else {"redirectUrl": CALLBACK})))


@pytest.mark.parametrize("passes", [True, False])
def test_an_unknown_redirect_url_is_refused_either_way(fake: FakeWix, passes: bool) -> None:
    """A redirect URL is checked wherever it is given, and needed beside a token."""
    fake.outside_installs_pass_app_url = passes
    for url in (
        _installer_url(redirectUrl="https://evil.example.com/"),
        _installer_url(token=fake.install_token()),
    ):
        with pytest.raises(InstallerRefused, match="find an app with this redirect url"):
            fake.approve(url)


async def test_the_page_of_the_picker_leads_to_the_app_url(fake: FakeWix) -> None:
    """A browser sees the sites, and the chosen one's token goes to the app."""
    browser = httpx.AsyncClient(transport=fake.transport, base_url=fake.url)
    page = await browser.get(_installer_url())
    answer = await browser.post(_installer_url(), data={"decision": "approve", "instanceId": PAPER})

    assert [BAKERY, YOGA, PAPER] == re.findall("value='([^']*)'", page.text)
    assert 303 == answer.status_code
    assert answer.headers["location"].startswith(f"{APP_URL}?token=")


def test_the_legacy_installer_knows_no_redirect_url_of_a_new_app(fake: FakeWix) -> None:
    """Wix's dashboard has no field for it any more, so that no such install can be finished."""
    token = fake.install_token()
    fake.flow = "client_credentials"
    for url in (
        _installer_url(redirectUrl=CALLBACK),
        _installer_url(redirectUrl=CALLBACK, token=token),
    ):
        with pytest.raises(InstallerRefused, match="find an app with this redirect url"):
            fake.approve(url)


async def test_my_sites_leads_to_the_app_url_of_a_new_app_without_a_token(fake: FakeWix) -> None:
    """The external install flow begins at the app, which is told of no site."""
    fake.flow = "client_credentials"
    headers = {"accept": "text/html"}
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as browser:
        page = await browser.get("/", headers=headers)

    links = [unescape(url) for url in re.findall('href="([^"]*)">Add to site', page.text)]
    assert [APP_URL] * 3 == links


async def test_an_unknown_page_is_a_sentence(fake: FakeWix) -> None:
    """A browser gets a page with status 404; a program is told to authenticate, as by the API."""
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        page = await http.get("/my-account/sites", headers={"accept": "text/html"})
        called = await http.get("/my-account/sites")

    assert 404 == page.status_code
    assert "There is no page of Wix at this address." in page.text
    assert 401 == called.status_code


async def test_a_program_is_told_how_to_get_a_page(fake: FakeWix) -> None:
    """The refusal of a call without a token, such as one of curl, says what makes it a page."""
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        called = await http.get("/", headers={"accept": "*/*"})

    assert 401 == called.status_code
    assert "a page needs Accept: text/html" in called.json()["message"]
