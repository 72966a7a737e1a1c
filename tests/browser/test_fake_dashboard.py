"""The dashboard of a fake Wix shows an app as Wix does, mistakes included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import chromium
from tests.limits import PATIENCE
from tests.servers import free_port, serving, uvicorn
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.browser


@pytest.fixture(name="page")
def _page() -> Iterator[Page]:
    with chromium() as browser:
        context = browser.new_context()
        context.set_default_timeout(1000 * PATIENCE)
        yield context.new_page()


@pytest.fixture(name="app_url")
def _app_url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = uvicorn("tests.browser.careless:app", port)
    with serving(command, cwd=tmp_path, env=os.environ) as server:
        server.accepts(port)
        yield f"http://127.0.0.1:{port}"


def test_mistakes_of_framed_apps_are_seen(page: Page, app_url: str) -> None:
    """A cookie with SameSite=Lax does not come back, and X-Frame-Options keeps the page out."""
    fake = FakeWix(app_name="Careless", dashboard_url=app_url)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    with fake.serve() as url:
        page.goto(url)
        page.get_by_role("link", name="Open the app").first.click()
        told = page.frame_locator("iframe").get_by_text("cookies: ").inner_text()
        fine = list(complaints)
        page.goto(f"{app_url}/")
        alone = page.get_by_text("cookies: ").inner_text()
        fake.dashboard_url = f"{app_url}/denied"
        page.goto(url)
        with page.expect_console_message(lambda message: "X-Frame-Options" in message.text):
            page.get_by_role("link", name="Open the app").first.click()
        header = page.locator("header").inner_text()

    assert "cookies: ['framed']" == told
    assert [] == fine
    assert "lax" in alone
    assert "Careless" in header
