"""The external install flow as a site owner has it: the demo, Wix's installer, and a browser."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import chromium
from tests.browser.test_demo import Demo, button_of, frame_of, is_dressed, running
from tests.limits import PATIENCE

pytestmark = pytest.mark.browser


@pytest.fixture(name="demo", scope="module")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    options = ["--port", "0", "--wix-port", "0", "--flow", "client_credentials"]
    with running(tmp_path_factory.mktemp("demo"), *options) as demo:
        yield demo
        demo.server.stop(signal.SIGINT)
        assert "Traceback" not in demo.server.output


@pytest.fixture(name="page")
def _page() -> Iterator[Page]:
    with chromium() as browser:
        context = browser.new_context()
        context.set_default_timeout(1000 * PATIENCE)
        yield context.new_page()


def begin(page: Page, demo: Demo) -> None:
    """Follow the install link to Wix's installer."""
    page.goto(f"{demo.app_url}/wix/install")
    page.wait_for_url(f"{demo.wix_url}/app-installer?*")
    page.get_by_role("button", name="Approve").wait_for()


def test_an_install_from_the_link_to_the_data_of_the_site(demo: Demo, page: Page) -> None:
    """The install link, Wix's installer, the app's own page; then the app with the site's data."""
    begin(page, demo)
    pending = [cookie["name"] for cookie in page.context.cookies()]
    page.get_by_label("Lighthouse Yoga").check()
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"{demo.app_url}/")
    kept = [name for name in pending if name in {c["name"] for c in page.context.cookies()}]
    page.goto(demo.wix_url)
    button_of(page, "Lighthouse Yoga", "Open the app")
    app = frame_of(page, demo)

    assert 1 == len(pending)
    assert [] == kept
    assert "Lighthouse Yoga" == app.get_by_role("heading", level=1).inner_text()
    assert "Lighthouse Yoga Mug" == app.locator("tbody td:first-child").first.inner_text()


def test_cancelling_shows_our_page(demo: Demo, page: Page) -> None:
    """A cancelled install comes back without a proof, and is told so."""
    begin(page, demo)
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url(f"{demo.app_url}/wix/callback?*")

    assert "The app was not installed" == page.get_by_role("heading").inner_text()
    assert is_dressed(page)


def test_loading_the_callback_again_shows_that_it_is_finished(demo: Demo, page: Page) -> None:
    """Going back in the browser shows that all is well, and nothing happens twice (R4)."""
    callbacks: list[str] = []
    page.on(
        "request",
        lambda request: callbacks.append(request.url) if "/wix/callback" in request.url else None,
    )
    begin(page, demo)
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"{demo.app_url}/")
    answer = page.goto(callbacks[0])
    assert answer is not None

    assert 409 == answer.status
    assert "This installation is already finished" == page.get_by_role("heading").inner_text()
