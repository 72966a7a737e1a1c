"""Unexpected errors: each part breaks in turn, and no install seems to succeed."""

from __future__ import annotations

import logging
from typing import Final

import pytest

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    JSON,
    FlowUnderTest,
    ask,
    begin,
    broken,
    call_back,
    load_unlogged,
    logged,
    reason_of,
    secrets_in,
)
from tests.support import SITE, Browser, running
from wix_asgi.client.client import ClientFactory
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.handshake.responses import Responses
from wix_asgi.handshake.state import Flow, StateSigner
from wix_asgi.hooks import Hooks
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.testing import FakeWix
from wix_asgi.tokens.cache import TokenCache

pytestmark = pytest.mark.usefixtures("flow")

HTML: Final = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BEFORE_STORING: Final = [
    (StateSigner, "check"),
    (Flow, "is_bound_to"),
    (DetachedTasks, "start"),
    (FlakyStorage, "claim"),
    (OAuthClient, "grant"),
    (OAuthClient, "prove"),
    (InstallationRepository, "add"),
]


AFTER_STORING: Final = [
    (InstallationRepository, "get"),
    (TokenCache, "adopt"),
    (ClientFactory, "for_instance"),
    (Hooks, "installed"),
    (Endpoints, "close_window_url"),
    (Responses, "clear_cookie"),
]


@pytest.mark.parametrize(("owner", "name"), BEFORE_STORING + AFTER_STORING)
@pytest.mark.parametrize("headers", [JSON, HTML], ids=["json", "html"])
async def test_anything_breaks_at_the_callback(
    flow: FlowUnderTest,
    *,
    owner: type,
    name: str,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An error of any part is a 500 with an incident that the log knows, never a success (R47)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage, on_install=lambda _: None) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        monkeypatch.setattr(owner, flow.methods.get(name, name), broken)
        answer = await browser.http.get(url, headers=headers)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    incident = record.__dict__["incident"]

    assert 500 == answer.status_code
    assert "Location" not in answer.headers
    assert "broken for a test" not in answer.text
    assert incident in answer.text
    assert incident in record.getMessage()
    assert ((owner, name) in AFTER_STORING) == bool(await storage.sites(fake.app_id))


@pytest.mark.parametrize(
    ("owner", "name"),
    [(StateSigner, "mint"), (Endpoints, "begin"), (Responses, "set_cookie")],
)
async def test_anything_breaks_at_the_install_path(
    flow: FlowUnderTest, owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An install that cannot begin is a 500 without a cookie and without a redirect (R47)."""
    async with running(FakeWix()) as app:
        monkeypatch.setattr(owner, flow.methods.get(name, name), broken)
        answer = await ask(app, "/wix/install")

    assert 500 == answer.status
    assert answer.one("Location") is None
    assert not answer.all("Set-Cookie")


@pytest.mark.parametrize(("owner", "name"), BEFORE_STORING + AFTER_STORING)
async def test_a_breakdown_logs_no_secret(
    flow: FlowUnderTest,
    owner: type,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A logged traceback holds no secret, even with the locals of its frames (R35)."""
    fake = FakeWix()
    async with running(fake, storage=FlakyStorage(), on_install=lambda _: None) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        hidden = secrets_in(browser, url, fake)
        caplog.clear()
        caplog.set_level(logging.DEBUG)
        monkeypatch.setattr(owner, flow.methods.get(name, name), broken)
        answer = await load_unlogged(app, browser, url)
        text = logged(caplog)

    assert 500 == answer.status
    assert "broken for a test" in text
    assert [] == [value for value in hidden if value in text]


@pytest.mark.flow("advanced")  # client credentials would find the site again
async def test_a_broken_part_is_never_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """An install that is refused after a breakdown leaves no token in the process (R47)."""
    fake = FakeWix()
    async with running(fake, recover=False) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        monkeypatch.setattr(InstallationRepository, "add", broken)
        refused = await call_back(browser, url)
        called = await browser.http.get(
            "/echo", params={"instance": fake.signed_instance(SITE)}, headers=JSON
        )

    assert (500, "internal") == reason_of(refused)
    assert 403 == called.status_code
