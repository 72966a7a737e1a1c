"""The app of the demo, in process."""

from __future__ import annotations

import anyio
import pytest

from tests.limits import PATIENCE
from wix_asgi._http import httpx
from wix_asgi.cli._demo_app import make_app
from wix_asgi.middleware import WixMiddleware
from wix_asgi.testing import DEMO_SITES, FakeWix

BAKERY, YOGA, _ = DEMO_SITES


@pytest.fixture(name="demo", params=["advanced", "client_credentials"])
def _wrapped_demo(fake: FakeWix, request: pytest.FixtureRequest) -> WixMiddleware:
    return make_app(
        public_url="http://127.0.0.1:8000",
        storage="memory://",
        transport=fake.transport,
        flow=request.param,
        **fake.settings(),
    )


@pytest.fixture(name="http")
async def _http(demo: WixMiddleware) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=demo)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


async def install(http: httpx.AsyncClient, fake: FakeWix, site: str) -> httpx.Response:
    """Install the demo on `site`; return the answer of the callback."""
    begun = await http.get("/wix/install", params={"token": fake.install_token(site)})
    return await http.get(fake.approve(begun.headers["Location"], instance_id=site))


async def page_with(http: httpx.AsyncClient, query: dict[str, str], text: str) -> str:
    """Load the page until it shows a text: an event is handled after its answer."""
    with anyio.fail_after(PATIENCE):
        while text not in (page := (await http.get("/", params=query)).text):  # noqa: ASYNC110 - it is the app's
            await anyio.sleep(0.01)
    return page


async def test_the_page_shows_data_of_the_calling_site(
    http: httpx.AsyncClient, fake: FakeWix
) -> None:
    """Name, products and installation are the site's own, fetched as that site."""
    await install(http, fake, BAKERY)
    await install(http, fake, YOGA)
    page = await http.get("/", params={"instance": fake.signed_instance(YOGA)})

    assert 200 == page.status_code
    assert "<h1>Lighthouse Yoga</h1>" in page.text
    assert "<td>Lighthouse Yoga Gift card</td>" in page.text
    assert YOGA in page.text
    assert "Corner Bakery" not in page.text
    assert "UTC</time>" in page.text


async def test_the_page_escapes_what_wix_says(http: httpx.AsyncClient, fake: FakeWix) -> None:
    """A site's name is shown as text, with any content."""
    fake.sites = {YOGA: "<script>alert(1)</script>"}
    await install(http, fake, YOGA)
    page = await http.get("/", params={"instance": fake.signed_instance(YOGA)})

    assert "<script>" not in page.text
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;</h1>" in page.text


async def test_the_page_with_the_instance_in_its_address_is_not_kept(
    http: httpx.AsyncClient, fake: FakeWix
) -> None:
    """The signed instance goes neither into a cache nor to where the page links."""
    await install(http, fake, YOGA)
    page = await http.get("/", params={"instance": fake.signed_instance(YOGA)})

    assert "no-store" == page.headers["Cache-Control"]
    assert "no-referrer" == page.headers["Referrer-Policy"]


async def test_nobody_is_shown_where_to_begin(http: httpx.AsyncClient, fake: FakeWix) -> None:
    """Without a signed instance the page is a 401 that links to the sites."""
    page = await http.get("/")

    assert 401 == page.status_code
    assert "Nobody is calling" in page.text
    assert f'href="{fake.url}/"' in page.text


async def test_a_site_without_the_app_is_told_so(http: httpx.AsyncClient, fake: FakeWix) -> None:
    """A signed instance of a site that did not install the app is a 403."""
    page = await http.get("/", params={"instance": fake.signed_instance(BAKERY)})

    assert 403 == page.status_code
    assert "This site does not have the app" in page.text


async def test_the_page_shows_the_events_of_the_site(
    demo: WixMiddleware, http: httpx.AsyncClient, fake: FakeWix
) -> None:
    """Each event of the calling site is there once its handler ran, and none of another site."""
    fake.webhook_url = demo
    await install(http, fake, YOGA)
    await fake.send_event(demo, "of.another.site", BAKERY)
    await fake.send_event(demo, "of<this>site", YOGA)
    query = {"instance": fake.signed_instance(YOGA)}
    page = await page_with(http, query, "<code>of&lt;this")
    await demo.wix.aclose()

    assert "<code>of&lt;this&gt;site</code>" in page
    assert "of.another.site" not in page


async def test_a_site_that_removed_the_app_sees_its_events(
    demo: WixMiddleware, http: httpx.AsyncClient, fake: FakeWix
) -> None:
    """The page without the app still shows the event of its end."""
    await install(http, fake, YOGA)
    fake.webhook_url = demo
    fake.uninstall(YOGA)
    await fake.send_queued()
    query = {"instance": fake.signed_instance(YOGA)}
    page = await page_with(http, query, "<code>AppRemoved")
    await demo.wix.aclose()

    assert "The app is not here" in page


async def test_the_demo_does_not_read_the_environment_of_another_app(
    monkeypatch: pytest.MonkeyPatch, fake: FakeWix
) -> None:
    """`WIX_…` variables of the developer's own app do not break the demo."""
    monkeypatch.setenv("WIX_INSTALL_PATH", "/elsewhere")
    monkeypatch.setenv("WIX_CALLBACK_PATH", "/elsewhere/back")
    monkeypatch.setenv("WIX_AFTER_INSTALL", "/welcome")
    monkeypatch.setenv("WIX_FINISH_SETUP", "true")
    monkeypatch.setenv("WIX_ENCRYPTION_KEYS", "not a key")
    monkeypatch.setenv("WIX_PREVIOUS_APP_SECRETS", "short")
    monkeypatch.setenv("WIX_STATE_TTL", "nonsense")
    monkeypatch.setenv("WIX_PREVIOUS_SECRETS_UNTIL", "nonsense")
    monkeypatch.setenv("WIX_ALLOWED_PERMISSIONS", ",")
    monkeypatch.setenv("WIX_INSTANCE_MAX_AGE", "nonsense")
    monkeypatch.setenv("WIX_FLOW", "nonsense")
    monkeypatch.setenv("WIX_RECOVER", "nonsense")
    monkeypatch.setenv("WIX_SESSION", "nonsense")
    monkeypatch.setenv("WIX_ALLOWED_SUBJECTS", ",")
    monkeypatch.setenv("WIX_SHARE_URL_ID", "${NOBODY}")
    monkeypatch.setenv("WIX_WEBHOOK_PATH", "nonsense")
    monkeypatch.setenv("WIX_WEBHOOKS", "nonsense")
    monkeypatch.setenv("WIX_WEBHOOK_CONCURRENCY", "nonsense")
    demo = make_app(
        public_url="http://127.0.0.1:8000",
        storage="memory://",
        transport=fake.transport,
        **fake.settings(),
    )
    transport = httpx.ASGITransport(app=demo)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        answer = await install(http, fake, YOGA)

    assert 303 == answer.status_code
    assert answer.headers["Location"].startswith(f"{fake.url}/installer/close-window?")
