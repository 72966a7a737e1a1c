"""The line at start-up that says which addresses to enter in Wix's dashboard."""

from __future__ import annotations

import logging

import pytest
from starlette.testclient import TestClient

from tests.middleware.probes import Probe, call, http_scope
from tests.support import make_app, make_wix
from wix_asgi import WixMiddleware
from wix_asgi.testing import FakeWix

LINE = (
    "enter in Wix's dashboard: App URL https://app.example.com/wix/install, "
    "Redirect URL https://app.example.com/wix/callback"
)
WEBHOOKS = (
    "enter in Wix's dashboard: https://app.example.com/wix/webhook as the Callback URL of webhooks"
)
LINE_OF_NEW_APPS = (
    "publish the install link https://app.example.com/wix/install "
    "(Wix's dashboard needs no App URL and no Redirect URL)"
)


@pytest.fixture(name="infos")
def _infos(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "wix_asgi")
    return caplog


@pytest.mark.parametrize(
    ("flow", "line"), [("advanced", LINE), ("client_credentials", LINE_OF_NEW_APPS)]
)
def test_start_up_tells_the_addresses(
    flow: str, line: str, infos: pytest.LogCaptureFixture
) -> None:
    """Each start of the server tells the addresses that are entered or published at Wix."""
    app = WixMiddleware(make_app(), make_wix(FakeWix(), flow=flow))
    for _ in range(2):
        with TestClient(app, base_url="https://app.example.com") as browser:
            browser.get("/plain")

    assert [line, WEBHOOKS] * 2 == [r.getMessage() for r in infos.records if r.name == "wix_asgi"]


async def test_first_install_tells_them_without_a_lifespan(
    infos: pytest.LogCaptureFixture,
) -> None:
    """A server without a lifespan has the line when the Wix is opened by its first use."""
    wix = make_wix(FakeWix())
    app = WixMiddleware(Probe(), wix)
    await call(app, http_scope("/x"))
    before = [*infos.messages]
    await wix.clients.ready()
    await wix.aclose()

    assert [] == before
    assert [LINE, WEBHOOKS] == infos.messages


async def test_a_job_tells_none(infos: pytest.LogCaptureFixture) -> None:
    """A job serves no addresses, and would write the line at every run."""
    async with make_wix(FakeWix()):
        pass

    assert [] == infos.messages
