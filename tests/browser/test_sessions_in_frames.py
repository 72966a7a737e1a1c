"""Sessions in a real browser: in an iframe, at top level, in two tabs, and under attack (R59)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Frame, Page

from tests.browser.chromium import chromium, fresh_page
from tests.browser.dashboards import APP, WIX, WSGI
from tests.certificates import self_signed
from tests.identity.visiting import OTHER, PREFIX
from tests.servers import free_port, serving, uvicorn
from tests.support import SITE

pytestmark = pytest.mark.browser

FLAGS: Final = [
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    "--test-third-party-cookie-phaseout",
]

ASK: Final = """([path, options]) => fetch(path, options).then(answer => answer.json())"""


@dataclass
class Places:
    """The addresses of the app, of Wix and of a hostile page, which are of three sites."""

    app: str
    wix: str
    hostile: str


@pytest.fixture(name="places", params=["TLS", "loopback", "WSGI"], scope="module")
def _places(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Places]:
    """Serve them over TLS as the world has them, or over plain http as a developer's desk has.

    The third has a WSGI app on that desk.
    """
    room = tmp_path_factory.mktemp("places")
    port = free_port()
    tls: list[str] = []
    if request.param == "TLS":
        places = Places(
            *(f"https://{host}.test:{port}" for host in ("app.example", "www.wix", "www.evil"))
        )
        key, certificate = self_signed(room, "wix.test")
        tls = ["--ssl-keyfile", str(key), "--ssl-certfile", str(certificate)]
    else:
        places = Places(
            *(f"http://{host}:{port}" for host in ("localhost", "127.0.0.1", "www.evil.test"))
        )
    command = uvicorn("tests.browser.dashboards:Dashboards", port, "--factory", *tls)
    env = {**os.environ, APP: places.app, WIX: places.wix}
    if request.param == "WSGI":
        env[WSGI] = "1"
    with serving(command, cwd=room, env=env) as server:
        server.accepts(port)
        yield places


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Browser]:
    with chromium(*FLAGS) as browser:
        yield browser


@pytest.fixture(name="page")
def _page(browser: Browser) -> Iterator[Page]:
    with fresh_page(browser) as page:
        yield page


def framed(page: Page, places: Places, site: str = SITE) -> Frame:
    """Open the dashboard of a site; return the frame of the app in it."""
    page.goto(f"{places.wix}/dashboard?site={site}")
    frame = page.frames[1]
    frame.wait_for_url(f"{places.app}/?instance=*")
    return frame


def ask(place: Page | Frame, path: str = "/who", **options: Any) -> Any:
    """Fetch as a script of the page does; return the calling site, where a session was sent."""
    answer = place.evaluate(ASK, [path, options])
    assert answer["cookie"]
    return answer["site"]


def shown(page: Page | Frame) -> Any:
    """Return what the page itself says."""
    return json.loads(page.inner_text("body"))


def test_a_session_in_the_iframe_without_third_party_cookies(page: Page, places: Places) -> None:
    """The page's further requests need no instance, though the browser takes no foreign cookie."""
    page.goto(f"{places.wix}/installed")
    frame = framed(page, places)
    first = shown(frame)
    (cookie,) = page.context.cookies()
    answers = [ask(frame), ask(frame, method="POST")]
    frame.goto(f"{places.app}/who")

    assert {"cookie": False, "site": SITE} == first
    assert [SITE, SITE, SITE] == [*answers, shown(frame)["site"]]
    assert cookie["name"].startswith(PREFIX)
    assert (True, True, "None") == (cookie["secure"], cookie["httpOnly"], cookie["sameSite"])
    assert "partitionKey" in cookie


def test_two_sites_in_two_tabs(page: Page, places: Places) -> None:
    """Each tab works for its own site by naming it, and without a name for none (R59)."""
    page.goto(f"{places.wix}/installed")
    tabs = {SITE: framed(page, places, SITE)}
    alone = ask(tabs[SITE])
    tabs[OTHER] = framed(page.context.new_page(), places, OTHER)
    named = [
        ask(tab, path, method=method, headers=headers)
        for site, tab in tabs.items()
        for method in ("GET", "POST")
        for path, headers in (("/who", {"Wix-Site": site}), (f"/who?wix_site={site}", {}))
    ]
    unnamed = [ask(tab, method=method) for tab in tabs.values() for method in ("GET", "POST")]

    assert SITE == alone
    assert [SITE] * 4 + [OTHER] * 4 == named
    assert [None] * 4 == unnamed


def test_a_session_at_top_level_begins_with_the_install(page: Page, places: Places) -> None:
    """The browser that installed the app calls as its site, without an instance."""
    page.goto(f"{places.app}/wix/install")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"{places.app}/")
    installed = shown(page)
    answers = [ask(page), ask(page, method="POST")]

    assert {"cookie": True, "site": SITE} == installed
    assert [SITE, SITE] == answers


def test_another_page_cannot_use_the_session(page: Page, places: Places) -> None:
    """The browser sends the cookie with a form of any page, and nobody is calling (R59)."""
    page.goto(f"{places.app}/wix/install")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"{places.app}/")
    page.goto(f"{places.hostile}/hostile")
    page.wait_for_load_state("load")
    page.evaluate(
        "url => fetch(url, {mode: 'no-cors', credentials: 'include'}).catch(() => 0)",
        f"{places.app}/who?from=fetch",
    )
    page.evaluate("document.getElementById('post').submit()")
    page.wait_for_url(f"{places.app}/who?from=post")
    posted = shown(page)
    page.goto(f"{places.hostile}/hostile")
    page.evaluate("document.getElementById('get').submit()")
    page.wait_for_url(f"{places.app}/who?*")
    linked = shown(page)
    page.goto(f"{places.wix}/seen")
    seen = {name: site for name, _, site in shown(page) if name}

    assert {"cookie": True, "site": None} == posted
    assert {"cookie": True, "site": SITE} == linked
    assert {
        "script": None,
        "fetch": None,
        "frame": None,
        "post": None,
        "get": SITE,
    } == seen
