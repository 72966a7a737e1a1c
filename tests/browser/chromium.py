"""A headless Chromium that talks to nobody but the servers of a test."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, sync_playwright

from tests.limits import PATIENCE

__all__ = ["chromium", "fresh_page"]

_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Run Chromium with these further flags during a `with` block."""
    path = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_FLAGS, *flags])
        yield browser
        browser.close()


@contextlib.contextmanager
def fresh_page(browser: Browser) -> Iterator[Page]:
    """Open a page with cookies of its own, that trusts the certificates of the tests."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(1000 * PATIENCE)
    yield context.new_page()
    context.close()
