"""docs/frameworks.md: sessions of the frameworks' own, in Wix's iframe and a real browser."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Frame, Page

from tests.browser.chromium import chromium, fresh_page
from tests.browser.session_apps import CODES, PORT, app_url, dashboard_url
from tests.certificates import self_signed
from tests.identity.visiting import OTHER
from tests.servers import ROOT, free_port, serving, uvicorn
from tests.support import SITE

pytestmark = pytest.mark.browser

PAGE: Final = (ROOT / "docs" / "frameworks.md").read_text("utf-8")

FLAGS: Final = [
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    "--test-third-party-cookie-phaseout",
]

CARELESS: Final = {
    "FastAPI": "app.add_middleware(SessionMiddleware, secret_key=key)",
    "Litestar": "session = CookieBackendConfig(secret=key)",
    "Quart": "app.asgi_app = WixMiddleware(app.asgi_app, wix)",
    "Flask": "",
    "Django": "",
}
"""The sessions that the frameworks have by default."""

UNPARTITIONED: Final = ["FastAPI", "Flask"]
"""The frameworks where the app itself asks for `Partitioned`."""


def documented(framework: str) -> str:
    """Return the code that the page has for the session of a framework."""
    _, _, section = PAGE.partition("\n## Sessions of frameworks\n")
    table, _, django = section.partition("\n## Django\n")
    if framework == "Django":
        text, pattern = django, r"^```python\n([^`]*SESSION_COOKIE_SECURE[^`]*)^```$"
    else:
        text, pattern = table, rf"^\| {framework}\b[^|]*\| `([^`]*)`"
    (code,) = re.findall(pattern, text, re.MULTILINE)
    return str(code)


def unpartitioned(framework: str) -> str:
    """Return that code without the attribute `Partitioned`."""
    written = documented(framework)
    code = re.sub("(?i)(partitioned)=True", r"\1=False", written)
    assert code != written
    return code


@contextmanager
def apps(room: Path, codes: dict[str, str]) -> Iterator[int]:
    """Serve the apps with these sessions over TLS; give the port."""
    port = free_port()
    key, certificate = self_signed(room, "app.test")
    tls = ["--ssl-keyfile", str(key), "--ssl-certfile", str(certificate), "--lifespan", "off"]
    command = uvicorn("tests.browser.session_apps:SessionApps", port, "--factory", *tls)
    env = {**os.environ, CODES: json.dumps(codes), PORT: str(port)}
    with serving(command, cwd=room, env=env) as server:
        server.accepts(port)
        yield port


@pytest.fixture(name="port", scope="module")
def _port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    codes = {framework: documented(framework) for framework in CARELESS}
    with apps(tmp_path_factory.mktemp("documented"), codes) as port:
        yield port


@pytest.fixture(name="careless_port", scope="module")
def _careless_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    codes = {f"{framework}-unpartitioned": unpartitioned(framework) for framework in UNPARTITIONED}
    with apps(tmp_path_factory.mktemp("careless"), {**CARELESS, **codes}) as port:
        yield port


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Browser]:
    with chromium(*FLAGS) as browser:
        yield browser


@pytest.fixture(name="page")
def _page(browser: Browser) -> Iterator[Page]:
    with fresh_page(browser) as page:
        yield page


def visits(place: Page | Frame, url: str) -> list[str]:
    """Return what the page counts: as it was opened, for its script, and after a navigation."""
    opened = place.inner_text("body")
    fetched = place.evaluate("() => fetch('/visits').then(answer => answer.text())")
    place.goto(url)
    return [opened, fetched, place.inner_text("body")]


def framed(page: Page, framework: str, port: int, site: str = SITE) -> Frame:
    """Open the dashboard of a site; return the frame of the app in it."""
    page.goto(f"{dashboard_url(framework, port)}/dashboard?instanceId={site}")
    frame = page.frames[1]
    frame.wait_for_url(f"{app_url(framework, port)}/visits?*")
    return frame


@pytest.mark.parametrize("framework", CARELESS)
def test_a_session_as_the_page_has_it_lives_in_the_iframe(
    page: Page, port: int, framework: str
) -> None:
    """The iframe's next requests have the session, and so have those of another dashboard."""
    url = f"{app_url(framework, port)}/visits"
    counted = visits(framed(page, framework, port), url)
    (cookie,) = page.context.cookies()
    elsewhere = framed(page, framework, port, OTHER).inner_text("body")
    page.goto(url)

    assert ["1", "2", "3"] == counted
    assert (True, "None") == (cookie["secure"], cookie["sameSite"])
    assert "partitionKey" in cookie
    assert ("4", "1") == (elsewhere, page.inner_text("body"))


@pytest.mark.parametrize("framework", CARELESS)
def test_a_session_by_default_is_lost_in_the_iframe(
    page: Page, careless_port: int, framework: str
) -> None:
    """Each request in the iframe begins anew, though at top level the session lives."""
    url = f"{app_url(framework, careless_port)}/visits"
    counted = visits(framed(page, framework, careless_port), url)
    page.goto(url)

    assert ["1", "1", "1"] == counted
    assert ["1", "2", "3"] == visits(page, url)


@pytest.mark.parametrize("framework", UNPARTITIONED)
def test_a_session_that_is_not_partitioned_is_lost_in_the_iframe(
    page: Page, careless_port: int, framework: str
) -> None:
    """With `SameSite=None` and `Secure` alone, each request in the iframe begins anew."""
    name = f"{framework}-unpartitioned"
    url = f"{app_url(name, careless_port)}/visits"
    counted = visits(framed(page, name, careless_port), url)
    page.goto(url)
    at_top = visits(page, url)
    (cookie,) = page.context.cookies()

    assert ["1", "1", "1"] == counted
    assert ["1", "2", "3"] == at_top
    assert (True, "None") == (cookie["secure"], cookie["sameSite"])
