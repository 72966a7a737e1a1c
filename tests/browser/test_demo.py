"""`wix-asgi demo` as a user has it: a process, and a browser."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Frame, Page

from tests.browser.chromium import chromium
from tests.limits import PATIENCE
from tests.servers import Server, free_port, serving

pytestmark = pytest.mark.browser

COMMAND = Path(sysconfig.get_path("scripts"), "wix-asgi")


@dataclass
class Demo:
    """A demo that runs, and where."""

    server: Server
    wix_url: str
    app_url: str


@dataclass
class Shown:
    """A tab, and the complaints of its console."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(name="shown")
def _shown(browser: Browser) -> Iterator[Shown]:
    # A context is a profile of its own: cookies, cache, everything.
    context = browser.new_context()
    context.set_default_timeout(1000 * PATIENCE)
    yield Shown(context.new_page())
    context.close()


@pytest.fixture(name="page")
def _page(shown: Shown) -> Page:
    return shown.page


@contextlib.contextmanager
def running(room: Path, *options: str) -> Iterator[Demo]:
    """Run the demo in `room`, where it leaves its file."""
    command = [str(COMMAND), "demo", *(options or ["--port", "0", "--wix-port", "0"])]
    with serving(command, cwd=room, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as server:
        wix_url = server.printed(r"Open (\S+)")[1]
        yield Demo(server, wix_url, server.printed(r"The app is at ([^,]+)")[1])


@pytest.fixture(name="demo", scope="module")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running(tmp_path_factory.mktemp("demo")) as demo:
        yield demo
        demo.server.stop(signal.SIGINT)
        assert "Traceback" not in demo.server.output


def button_of(page: Page, site: str, text: str) -> None:
    """Press the button of a site on the page "My sites"."""
    card = page.locator("section").filter(has=page.get_by_role("heading", name=site))
    card.get_by_role("link", name=text).click()


def frame_of(page: Page, demo: Demo) -> Frame:
    """Return the app in the iframe of a dashboard, which is a page of another site."""
    page.wait_for_url("**/dashboard?*")
    handle = page.locator("iframe").element_handle()
    frame = handle.content_frame()
    assert frame is not None
    frame.wait_for_url(f"{demo.app_url}/?*")
    return frame


def add_to(page: Page, demo: Demo, site: str) -> None:
    """Add the demo to a site, from the first page to the last."""
    page.goto(demo.wix_url)
    button_of(page, site, "Add to site")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"{demo.wix_url}/installer/close-window?*")


def is_dressed(page: Page | Frame) -> bool:
    """Return whether the style sheet of our own pages is in force."""
    script = "element => getComputedStyle(element).borderTopLeftRadius"
    return bool(page.locator("main").evaluate(script) == "12px")


def test_an_install_from_the_first_page_to_the_data_of_the_site(demo: Demo, shown: Shown) -> None:
    """My sites, "Add to site", the consent, the end of it, and the app with that site's data."""
    page = shown.page
    page.goto(demo.wix_url)
    button_of(page, "Lighthouse Yoga", "Add to site")
    asked = page.get_by_role("heading").inner_text()
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"{demo.wix_url}/installer/close-window?*")
    ended = page.get_by_role("heading").inner_text()
    page.get_by_role("link", name="Open the app").click()
    app = frame_of(page, demo)

    assert "Add wix-asgi demo to your site" == asked
    assert "The app was added to Lighthouse Yoga" == ended
    assert "Lighthouse Yoga" == app.get_by_role("heading", level=1).inner_text()
    assert ["Lighthouse Yoga Mug", "Lighthouse Yoga Tote bag", "Lighthouse Yoga Gift card"] == (
        app.locator("tbody td:first-child").all_inner_texts()
    )
    assert is_dressed(app)
    assert [] == shown.complaints


@pytest.mark.parametrize("width", [320, 360, 1000])
def test_the_columns_of_the_products_do_not_touch(demo: Demo, page: Page, width: int) -> None:
    """On a phone, too, a stock of 15 and a price of 12.94 do not read as 1512.94."""
    add_to(page, demo, "Lighthouse Yoga")
    page.get_by_role("link", name="Open the app").click()
    app = frame_of(page, demo)
    page.set_viewport_size({"width": width, "height": 740})
    script = """rows => rows.map(row => [...row.cells].map(cell => {
        const text = document.createRange();
        text.selectNodeContents(cell);
        const { left, right } = text.getBoundingClientRect();
        return [left, right];
    }))"""
    rows = app.locator("tr").evaluate_all(script)
    gaps = [
        following[0] - before[1] for row in rows for before, following in itertools.pairwise(row)
    ]

    assert 2 * 4 == len(gaps)
    assert min(gaps) >= 12
    assert [width, width] == [
        each.evaluate("document.documentElement.scrollWidth") for each in (page, app)
    ]


def until_shown(page: Page | Frame, text: str) -> None:
    """Load the page until it shows a text: an event is handled after its answer."""
    for _ in range(int(PATIENCE)):
        if text in page.locator("main").inner_text():
            return
        page.wait_for_timeout(1000)
        page.goto(page.url)
    pytest.fail(f"{text!r} is not shown")


def test_events_arrive_and_are_shown(demo: Demo, shown: Shown) -> None:
    """The app's page shows its install; "Uninstall" ends it, and both sides show the event."""
    page = shown.page
    add_to(page, demo, "Corner Bakery")
    page.get_by_role("link", name="Open the app").click()
    app = frame_of(page, demo)
    until_shown(app, "AppInstalled")
    dashboard = page.url
    page.goto(demo.wix_url)
    card = page.locator("section").filter(has=page.get_by_role("heading", name="Corner Bakery"))
    card.get_by_role("button", name="Uninstall").click()
    page.wait_for_url(f"{demo.wix_url}/")
    told = card.inner_text()
    buttons = card.get_by_role("button", name="Uninstall").count()
    page.goto(dashboard)
    app = frame_of(page, demo)
    until_shown(app, "AppRemoved")

    assert "AppRemoved answered 200" in told
    assert 0 == buttons
    assert "The app is not here" == app.get_by_role("heading", level=1).inner_text()


@pytest.mark.parametrize("width", [360, 1000])
def test_the_events_fit_the_screen(demo: Demo, page: Page, width: int) -> None:
    """Long names of events break, on the page of the app and on that of the sites."""
    add_to(page, demo, "Lighthouse Yoga")
    page.get_by_role("link", name="Open the app").click()
    app = frame_of(page, demo)
    page.set_viewport_size({"width": width, "height": 740})
    until_shown(app, "app_installation_")
    widths = [each.evaluate("document.documentElement.scrollWidth") for each in (page, app)]
    page.goto(demo.wix_url)
    shown = page.locator("main").inner_text()
    widths.append(page.evaluate("document.documentElement.scrollWidth"))

    assert "app_installation_" in shown
    assert [width, width, width] == widths


def test_the_installation_survives_a_restart(tmp_path: Path, page: Page) -> None:
    """Ctrl-C and the same command again: the site has the app, which opens without an install."""
    ports = ["--port", str(free_port()), "--wix-port", str(free_port())]
    with running(tmp_path, *ports) as demo:
        add_to(page, demo, "Paper & Ink")
        status = demo.server.stop(signal.SIGINT)
        said = demo.server.output
    with running(tmp_path, *ports) as demo:
        page.goto(demo.wix_url)
        badges = page.locator(".badge").all_inner_texts()
        button_of(page, "Paper & Ink", "Open the app")
        products = frame_of(page, demo).locator("tbody td:first-child").all_inner_texts()

    assert 0 == status
    assert "Traceback" not in said
    assert said.endswith("Stopped.\n")
    assert ["Installed"] == badges
    assert "Paper & Ink Mug" == products[0]
    assert (tmp_path / "wix-asgi-demo.db").is_file()


def test_cancelling_shows_our_page(demo: Demo, shown: Shown) -> None:
    """The page of a refusal is the app's, is dressed under its policy, and names the incident."""
    page = shown.page
    page.goto(demo.wix_url)
    button_of(page, "Corner Bakery", "Add to site")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url(f"{demo.app_url}/wix/callback?*")
    incident = re.search(r"incident (\w+)", page.locator("footer").inner_text())
    assert incident is not None
    logged = demo.server.printed(rf"denied.*{incident[1]}")

    assert "The app was not installed" == page.get_by_role("heading").inner_text()
    assert is_dressed(page)
    assert logged is not None
    # The browser's own note of the status is the only one.
    assert ["403"] == [text for line in shown.complaints for text in re.findall(r"\d{3}", line)]


def test_loading_the_callback_again_shows_that_it_is_finished(demo: Demo, page: Page) -> None:
    """Going back in the browser shows that all is well, and nothing happens twice (R4)."""
    callbacks: list[str] = []
    page.on(
        "request",
        lambda request: callbacks.append(request.url) if "/wix/callback" in request.url else None,
    )
    add_to(page, demo, "Corner Bakery")
    answer = page.goto(callbacks[0])
    assert answer is not None

    assert 409 == answer.status
    assert "This installation is already finished" == page.get_by_role("heading").inner_text()
    assert is_dressed(page)


def test_installs_in_three_tabs_end_in_another_order(demo: Demo, page: Page) -> None:
    """Tabs of one browser do not get in each other's way (R7)."""
    tabs = {name: page.context.new_page() for name in ("Corner Bakery", "Lighthouse Yoga", "Paper")}
    for name, tab in tabs.items():
        tab.goto(demo.wix_url)
        button_of(tab, name, "Add to site")
        tab.get_by_role("button", name="Approve").wait_for()
    endings = []
    for name in ("Paper", "Corner Bakery", "Lighthouse Yoga"):
        tabs[name].get_by_role("button", name="Approve").click()
        tabs[name].wait_for_url(f"{demo.wix_url}/installer/close-window?*")
        endings.append(tabs[name].get_by_role("heading").inner_text())

    assert [
        "The app was added to Paper & Ink",
        "The app was added to Corner Bakery",
        "The app was added to Lighthouse Yoga",
    ] == endings
    assert 0 == len([name for name in page.context.cookies() if name["name"].startswith("wix-")])


def test_an_install_cannot_be_finished_in_another_browser(
    demo: Demo, page: Page, browser: Browser
) -> None:
    """A visitor lured to a callback of another browser's install is refused (R2)."""
    page.goto(demo.wix_url)
    button_of(page, "Corner Bakery", "Add to site")
    page.get_by_role("button", name="Approve").wait_for()
    consent = page.url
    other = browser.new_context()
    victim = other.new_page()
    victim.goto(consent)
    victim.get_by_role("button", name="Approve").click()
    victim.wait_for_url(f"{demo.app_url}/wix/callback?*")
    told = victim.get_by_role("heading").inner_text()
    other.close()

    assert "This installation was begun in another browser" == told


def test_a_visitor_and_a_site_without_the_app_are_led_to_the_sites(
    tmp_path: Path, page: Page
) -> None:
    """The app's own page says why it has nothing to show, and links to where it begins."""
    with running(tmp_path) as demo:
        page.goto(demo.app_url)
        visitor = page.get_by_role("heading").inner_text()
        page.locator("a.button").click()
        page.wait_for_url(f"{demo.wix_url}/")
        button_of(page, "Lighthouse Yoga", "Open the app")
        stranger = frame_of(page, demo).get_by_role("heading").inner_text()

    assert ("Nobody is calling", "The app is not here") == (visitor, stranger)
