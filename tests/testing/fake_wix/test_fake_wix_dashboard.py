"""The dashboard of FakeWix, which frames the app from another site, as Wix does."""

from __future__ import annotations

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

_, YOGA, _ = DEMO_SITES


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix()


@pytest.fixture(name="browser")
def _browser(fake: FakeWix) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=fake.transport, base_url=fake.url, headers={"accept": "text/html"}
    )


async def test_my_sites_may_open_the_app_elsewhere(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """A dashboard URL of its own goes before the origin of the App URL."""
    fake.dashboard_url = "https://app.example.com/mount/dashboard"
    page = await browser.get("/")
    dashboard = await browser.get("/dashboard", params={"instanceId": YOGA})

    assert 'src="https://app.example.com/mount/dashboard?instance=' in dashboard.text
    assert 3 == page.text.count('href="/dashboard?instanceId=')
    assert "Add to site" not in page.text


async def test_the_dashboard_frames_the_app_of_a_site(
    fake: FakeWix, browser: httpx.AsyncClient
) -> None:
    """A dashboard needs a site that exists, and an app whose address is known."""
    nowhere = await browser.get("/dashboard", params={"instanceId": YOGA})
    fake.app_name, fake.app_url = "<App>", "https://app.example.com/wix/install"
    unknown = await browser.get("/dashboard", params={"instanceId": "nobody"})
    page = await browser.get("/dashboard", params={"instanceId": YOGA})

    assert (400, 400) == (nowhere.status_code, unknown.status_code)
    assert "set dashboard_url" in nowhere.text
    assert 'src="https://app.example.com/?instance=' in page.text
    assert "frame-src http: https:" in page.headers["content-security-policy"]
    assert "&lt;App&gt;" in page.text
    assert "Lighthouse Yoga" in page.text


@pytest.mark.parametrize(
    ("wix", "app", "dashboard"),
    [
        ("http://127.0.0.1:8001", "http://127.0.0.1:8000", "http://localhost:8001/"),
        ("http://localhost:8001", "http://localhost:8000", "http://127.0.0.1:8001/"),
        ("http://[::1]", "http://[::1]:8000", "http://localhost/"),
        ("http://localhost:8001", "http://127.0.0.1:8000", "/"),
        ("https://wix.example", "https://wix.example", "/"),
    ],
)
async def test_the_dashboard_is_of_another_site(wix: str, app: str, dashboard: str) -> None:
    """On this machine, two names of it are two sites, as Wix and the app are."""
    fake = FakeWix(dashboard_url=app)
    transport = httpx.ASGITransport(app=fake)
    async with httpx.AsyncClient(transport=transport, headers={"accept": "text/html"}) as browser:
        page = await browser.get(f"{wix}/")

    assert f'href="{dashboard}dashboard?instanceId=' in page.text
