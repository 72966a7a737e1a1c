"""Installs that Wix runs in an iframe of its own, over TLS, in a real browser (R28)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Page

from tests.browser.chromium import chromium
from tests.browser.two_sites import APP_HOST, PORT, WIX_HOST
from tests.certificates import self_signed
from tests.limits import PATIENCE
from tests.servers import free_port, serving, uvicorn

pytestmark = pytest.mark.browser

FLAGS = [
    # Two sites that are neither of them loopback, as the world has them.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    "--test-third-party-cookie-phaseout",
]


@pytest.fixture(name="port")
def _port(tmp_path: Path) -> Iterator[int]:
    """Serve both sites over TLS; return the port."""
    port = free_port()
    key, certificate = self_signed(tmp_path, "wix.test")
    tls = ["--ssl-keyfile", str(key), "--ssl-certfile", str(certificate)]
    command = uvicorn("tests.browser.two_sites:TwoSites", port, "--factory", *tls)
    with serving(command, cwd=tmp_path, env={**os.environ, PORT: str(port)}) as server:
        server.accepts(port)
        yield port


@pytest.fixture(name="page")
def _page() -> Iterator[Page]:
    with chromium(*FLAGS) as browser:
        context = browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(1000 * PATIENCE)
        yield context.new_page()


def begin(page: Page, port: int) -> FrameLocator:
    """Open Wix's page, and wait for the consent page in its iframe."""
    page.goto(f"https://{WIX_HOST}:{port}/frame")
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Approve").wait_for()
    return frame


def test_an_install_in_an_iframe_without_third_party_cookies(page: Page, port: int) -> None:
    """The cookie is partitioned, so it comes back where the install was begun (R28)."""
    frame = begin(page, port)
    (cookie,) = page.context.cookies()
    frame.get_by_role("button", name="Approve").click()
    frame.get_by_role("heading", name="The app was added to Corner Bakery").wait_for()

    assert cookie["name"].startswith("__Host-wix-")
    assert (True, True, "None") == (cookie["secure"], cookie["httpOnly"], cookie["sameSite"])
    assert "partitionKey" in cookie


def test_our_page_is_shown_in_the_iframe_of_wix(page: Page, port: int) -> None:
    """A refusal is seen where the site owner is, and nothing forbids Wix to frame it (R15)."""
    frame = begin(page, port)
    frame.get_by_role("button", name="Cancel").click()
    refused = frame.get_by_role("heading", name="The app was not installed")
    refused.wait_for()

    assert refused.is_visible()


def test_an_install_that_leaves_its_iframe_is_refused(page: Page, port: int) -> None:
    """In a window of its own the cookie of the iframe is missing: it fails closed (R28)."""
    begin(page, port)
    consent = page.frames[1].url
    window = page.context.new_page()
    window.goto(consent)
    window.get_by_role("button", name="Approve").click()
    window.wait_for_url(f"https://{APP_HOST}:{port}/wix/callback?*")

    assert "This installation was begun in another browser" == (
        window.get_by_role("heading").inner_text()
    )
