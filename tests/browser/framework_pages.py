"""An example, served by its framework's own command, as a site owner sees it in Wix's iframe."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.browser.chromium import chromium
from tests.limits import PATIENCE
from tests.servers import ROOT, environment, free_port, serving
from wix_asgi.testing import DEMO_SITES, FakeWix

__all__ = ["SITE", "Shown", "show_in_iframe"]

_, SITE, _ = DEMO_SITES


@dataclass
class Shown:
    """What the browser has after "Open the app"."""

    text: str
    framed_by: str
    frame: str
    headers: Mapping[str, str]


def show_in_iframe(command: list[str], room: Path) -> Shown:
    """Serve by `python {command} {port}`, install the app, and open it from Wix's dashboard."""
    port = free_port()
    app = f"http://127.0.0.1:{port}"
    fake = FakeWix(dashboard_url=f"{app}/products")
    with fake.serve() as url, chromium() as browser:
        env = {
            **environment(fake, port, f"sqlite:///{room}/wix-asgi.db"),
            "PYTHONPATH": str(ROOT),
        }
        with serving([sys.executable, *command, str(port)], cwd=room, env=env) as server:
            server.accepts(port)
            page = browser.new_page()
            page.set_default_timeout(1000 * PATIENCE)
            token = fake.install_token(SITE)
            begun = page.request.get(f"{app}/wix/install?token={token}", max_redirects=0)
            page.request.get(fake.approve(begun.headers["location"]), max_redirects=0)
            page.goto(url)
            with page.expect_response(f"{app}/products?*") as opened:
                page.get_by_role("link", name="Open the app").nth(1).click()
            text = page.frame_locator("iframe").get_by_text("Lighthouse").inner_text()
            return Shown(text, page.url, page.frames[-1].url, opened.value.headers)
