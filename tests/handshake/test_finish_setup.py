"""Telling Wix that a setup is finished: only when asked, once, and never at an install's cost."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.handshake.handshaking import (
    JSON,
    begin,
    reason_of,
)
from tests.support import PUBLIC_URL, SITE, Browser, running
from wix_asgi.models import Installation
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")

BI_EVENT = "/apps/v1/bi-event"


async def test_setup_is_not_finished_unless_asked() -> None:
    """By default no event is sent, since it cannot be undone."""
    fake = FakeWix()
    async with running(fake) as app:
        await Browser(app).install(fake)

    assert 0 == fake.count(BI_EVENT)


async def test_setup_is_finished_once() -> None:
    """With `finish_setup` Wix is told once for each install, after on_install."""
    fake = FakeWix()
    seen: list[int] = []
    async with running(
        fake, finish_setup=True, on_install=lambda _: seen.append(fake.count(BI_EVENT))
    ) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        answer = await browser.http.get(url)
        await browser.http.get(url)

    assert 303 == answer.status_code
    assert 1 == fake.count(BI_EVENT, eventName="APP_FINISHED_CONFIGURATION")
    assert [0] == seen


@pytest.mark.parametrize("kind", ["answer", "drop", "refuse", "raise"])
@pytest.mark.parametrize("status", [400, 503])
async def test_failing_event_fails_no_install(
    kind: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An event that is not taken is logged, is not sent again, and the install is a success."""
    fake = FakeWix()
    fake.fail(BI_EVENT, kind=kind, status=status)
    async with running(fake, finish_setup=True, after_install="/") as app:
        answer = await Browser(app).install(fake)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]

    assert f"{PUBLIC_URL}/" == answer.headers["Location"]
    assert fake.count(BI_EVENT) <= 1
    assert "APP_FINISHED_CONFIGURATION was not sent" in record.getMessage()
    assert f" (site {SITE})" in record.getMessage()


async def test_setup_is_finished_by_hand() -> None:
    """`wix.finish_setup` sends the event for a site that is installed."""
    fake = FakeWix()
    async with running(fake) as app:
        await Browser(app).install(fake)
        await app.wix.finish_setup(SITE)

    assert 1 == fake.count(BI_EVENT, eventName="APP_FINISHED_CONFIGURATION")


async def test_setup_is_not_finished_where_the_hook_failed() -> None:
    """An install whose hook raised is not reported as finished."""
    fake = FakeWix()

    def hook(_: Installation) -> None:
        raise RuntimeError("broken")

    async with running(fake, finish_setup=True, on_install=hook) as app:
        browser = Browser(app)
        answer = await browser.http.get(await begin(browser, fake), headers=JSON)

    assert (500, "internal") == reason_of(answer)
    assert 0 == fake.count(BI_EVENT)
