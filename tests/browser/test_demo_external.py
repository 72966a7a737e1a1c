"""`wix-asgi demo --flow client_credentials` as a user has it: a process, and a browser."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium
from tests.browser.test_demo import (
    Demo,
    button_of,
    frame_of,
    is_dressed,
    running,
    until_shown,
)
from tests.limits import PATIENCE
from tests.servers import free_port

pytestmark = pytest.mark.browser

FLOW = ["--flow", "client_credentials"]


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(name="page")
def _page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(1000 * PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture(name="demo", scope="module")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running(tmp_path_factory.mktemp("demo"), *FLOW, "--port", "0", "--wix-port", "0") as demo:
        yield demo
        demo.server.stop(signal.SIGINT)
        assert "Traceback" not in demo.server.output


def add_to(page: Page, demo: Demo, site: str) -> None:
    """Add the demo to a site: the App URL leads to the installer, which asks for the site."""
    page.goto(demo.wix_url)
    button_of(page, site, "Add to site")
    page.wait_for_url(f"{demo.wix_url}/app-installer?*")
    page.get_by_label(site).check()
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"{demo.app_url}/")


def test_an_external_install_ends_at_the_data_of_the_site(demo: Demo, page: Page) -> None:
    """The callback ends at a page of the app, which knows the site that has just been installed."""
    add_to(page, demo, "Lighthouse Yoga")

    assert "Lighthouse Yoga" == page.get_by_role("heading", level=1).inner_text()
    assert "Lighthouse Yoga Mug" == page.locator("tbody td:first-child").first.inner_text()
    assert is_dressed(page)


def test_the_app_is_opened_from_my_sites(demo: Demo, page: Page) -> None:
    """A page with a signed instance shows that site, whatever was installed last."""
    add_to(page, demo, "Paper & Ink")
    add_to(page, demo, "Corner Bakery")
    page.goto(demo.wix_url)
    button_of(page, "Paper & Ink", "Open the app")

    assert "Paper & Ink" == frame_of(page, demo).get_by_role("heading", level=1).inner_text()


def test_events_arrive_and_are_shown(demo: Demo, page: Page) -> None:
    """The app's page shows the event of its install."""
    add_to(page, demo, "Paper & Ink")
    until_shown(page, "AppInstalled")


def test_a_cancelled_install_shows_our_page(demo: Demo, page: Page) -> None:
    """The callback without a signed instance is a cancelled install."""
    page.goto(demo.wix_url)
    button_of(page, "Corner Bakery", "Add to site")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url(f"{demo.app_url}/wix/callback?*")

    assert "The app was not installed" == page.get_by_role("heading").inner_text()


def test_the_installation_survives_a_restart(tmp_path: Path, page: Page) -> None:
    """Ctrl-C and the same command again: the site has the app, which opens without an install."""
    ports = ["--port", str(free_port()), "--wix-port", str(free_port())]
    with running(tmp_path, *FLOW, *ports) as demo:
        add_to(page, demo, "Paper & Ink")
        demo.server.stop(signal.SIGINT)
    with running(tmp_path, *FLOW, *ports) as demo:
        page.goto(demo.wix_url)
        badges = page.locator(".badge").all_inner_texts()
        button_of(page, "Paper & Ink", "Open the app")
        products = frame_of(page, demo).locator("tbody td:first-child").all_inner_texts()

    assert ["Installed"] == badges
    assert "Paper & Ink Mug" == products[0]
