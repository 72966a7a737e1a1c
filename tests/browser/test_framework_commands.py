"""The examples of frameworks, run by the frameworks' own commands, in Wix's iframe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.browser.chromium import chromium
from tests.limits import PATIENCE
from tests.servers import ROOT, environment, free_port, serving
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.browser

_, SITE, _ = DEMO_SITES
COMMANDS = {
    "litestar": ["-m", "litestar", "--app", "examples.litestar_app:app", "run", "--port"],
}


@pytest.mark.parametrize("framework", COMMANDS)
def test_page_shows_the_data_of_the_calling_site(framework: str, tmp_path: Path) -> None:
    """The framework's own server shows the example in a frame of another site, as Wix does."""
    port = free_port()
    fake = FakeWix(dashboard_url=f"http://127.0.0.1:{port}/products")
    command = [sys.executable, *COMMANDS[framework], str(port)]
    with fake.serve() as url, chromium() as browser:
        env = {
            **environment(fake, port, f"sqlite:///{tmp_path}/wix-asgi.db"),
            "PYTHONPATH": str(ROOT),
        }
        with serving(command, cwd=tmp_path, env=env) as server:
            server.accepts(port)
            page = browser.new_page()
            page.set_default_timeout(1000 * PATIENCE)
            token = fake.install_token(SITE)
            begun = page.request.get(
                f"http://127.0.0.1:{port}/wix/install?token={token}", max_redirects=0
            )
            page.request.get(fake.approve(begun.headers["location"]), max_redirects=0)
            page.goto(url)
            page.get_by_role("link", name="Open the app").nth(1).click()
            shown = page.frame_locator("iframe").get_by_text("Lighthouse").inner_text()
            framed_by, frame = page.url, page.frames[-1].url

    assert '"name"' in shown
    assert "127.0.0.1" in frame
    assert "127.0.0.1" not in framed_by
