"""FakeWix in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.limits import PATIENCE
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.browser

_, YOGA, PAPER = DEMO_SITES


@pytest.fixture(name="page")
def _page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        yield page
        browser.close()


def test_a_site_owner_picks_a_site_and_approves(page: Page) -> None:
    """The form works without scripts, and its answer leads to another origin."""
    fake = FakeWix()
    with fake.serve() as url, FakeWix().serve() as app:
        query = {"appId": fake.app_id, "redirectUrl": f"{app}/callback", "state": "the state"}
        page.goto(f"{url}/installer/install?{urlencode(query)}")
        page.get_by_label("Paper & Ink").check()
        page.get_by_role("button", name="Approve").click()
        page.wait_for_url(f"{app}/callback?*")
        landed = parse_qs(urlsplit(page.url).query)

    assert ([PAPER], ["the state"]) == (landed["instanceId"], landed["state"])
    assert landed["code"][0].startswith("OAUTH2.")


def test_an_external_install_leads_to_the_callback(page: Page) -> None:
    """The form of the other installer works the same, and the state comes back inside the URL."""
    fake = FakeWix()
    with fake.serve() as url, FakeWix().serve() as app:
        query = {"appId": fake.app_id, "postInstallationUrl": f"{app}/callback?state=the+state"}
        page.goto(f"{url}/app-installer?{urlencode(query)}")
        page.get_by_label("Paper & Ink").check()
        page.get_by_role("button", name="Approve").click()
        page.wait_for_url(f"{app}/callback?*")
        landed = parse_qs(urlsplit(page.url).query)

    assert ([PAPER], ["the state"]) == (landed["instanceId"], landed["state"])
    assert {PAPER} == fake.installed


def test_the_end_of_an_install_leads_to_my_sites_and_into_the_app(page: Page) -> None:
    """Every page links on, and no page complains in the console."""
    fake = FakeWix()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    with fake.serve() as url:
        fake.app_url = f"{url}/wix/install"
        token = fake.issue_access_token(YOGA)
        page.goto(f"{url}/installer/close-window?access_token={token}")
        page.get_by_role("link", name="My sites").click()
        page.wait_for_url(f"{url}/")
        headings = page.get_by_role("heading", level=2).all_inner_texts()
        page.get_by_role("link", name="Open the app").first.click()
        page.wait_for_url("**/dashboard?*")
        dashboard = page.url
        handle = page.locator("iframe").element_handle()
        app = handle.content_frame()
        assert app is not None
        app.wait_for_url(f"{url}/?instance=*")

    assert ["Corner Bakery", "Lighthouse Yoga", "Paper & Ink"] == headings
    assert dashboard.startswith(url.replace("127.0.0.1", "localhost"))
    assert [] == complaints
