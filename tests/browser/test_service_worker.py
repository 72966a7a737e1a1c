"""Installs of people whose browser has the app's service worker, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium
from tests.limits import PATIENCE
from tests.servers import Server, environment, free_port, serving, uvicorn
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.browser

# A site of its own beside 127.0.0.1, where the fake Wix is.
HOST = "localhost"


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


@dataclass
class Pwa:
    """The app that runs, where, and the fake Wix that it speaks to."""

    server: Server
    url: str
    fake: FakeWix

    def visit(self, page: Page, form: str) -> None:
        """Visit the app once, so that its worker answers all further navigations."""
        page.goto(f"{self.url}/?form={quote(form)}")
        page.get_by_role("heading", name="The worker answers").wait_for()

    def loads_of(self, path: str) -> set[tuple[str, ...]]:
        """Stop the app; return the destination, mode and status of each load of `path`."""
        self.server.stop()
        lines = self.server.output.splitlines()
        return {tuple(line.split(" ")[1:]) for line in lines if line.startswith(f"{path} ")}


@pytest.fixture(name="pwa")
def _pwa(tmp_path: Path) -> Iterator[Pwa]:
    port = free_port()
    url = f"http://{HOST}:{port}"
    fake = FakeWix(app_url=f"{url}/wix/install")
    command = uvicorn("tests.browser.pwa:app", port, "--factory")
    with fake.serve():
        env = {**environment(fake, port, "memory://"), "WIX_PUBLIC_URL": url}
        with serving(command, cwd=tmp_path, env=env) as server:
            server.accepts(port)
            yield Pwa(server, url, fake)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("the request itself", {("empty", "navigate")}),
        ("a new Request of it", {("empty", "same-origin")}),
        ("other options", {("empty", "same-origin")}),
        ("a new Request of its address", {("empty", "cors")}),
        ("preload", {("document", "navigate")}),
        ("preload and the request itself", {("document", "navigate"), ("empty", "navigate")}),
    ],
)
def test_an_install_behind_a_service_worker(
    pwa: Pwa, page: Page, form: str, told: set[tuple[str, str]]
) -> None:
    """However the worker passes navigations on, a person who knows the app can install it (R23)."""
    pwa.visit(page, form)
    page.goto(pwa.fake.url)
    card = page.locator("section").filter(has=page.get_by_role("heading", name="Corner Bakery"))
    card.get_by_role("link", name="Add to site").click()
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"{pwa.fake.url}/installer/close-window?*")
    ended = page.get_by_role("heading").inner_text()

    assert "The app was added to Corner Bakery" == ended
    for path in ("/wix/install", "/wix/callback"):
        assert {(*each, "303") for each in told} == pwa.loads_of(path)


def test_a_page_behind_a_service_worker_begins_nothing(pwa: Pwa, page: Page) -> None:
    """What a page loads by itself is refused, and sets no cookie, behind a worker, too (R23)."""
    pwa.visit(page, "the request itself")
    statuses = page.evaluate(
        """async () => {
            const load = (tag, name, value) => new Promise(done => {
                const element = document.createElement(tag);
                element.onload = element.onerror = done;
                element[name] = value;
                document.body.append(element);
            });
            const url = "/wix/install?token=x";
            await load("img", "src", url);
            await load("script", "src", url);
            await load("object", "data", url);
            const modes = ["cors", "no-cors", "same-origin"];
            const options = {redirect: "manual"};
            const answers = modes.map(mode => fetch(url, {...options, mode}));
            return (await Promise.all(answers)).map(answer => answer.status);
        }"""
    )

    assert [400, 400, 400] == statuses
    assert {
        ("image", "no-cors", "400"),
        ("script", "no-cors", "400"),
        ("object", "navigate", "400"),
        ("empty", "cors", "400"),
        ("empty", "no-cors", "400"),
        ("empty", "same-origin", "400"),
    } == pwa.loads_of("/wix/install")
    assert [] == page.context.cookies()
