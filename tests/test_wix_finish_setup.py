"""Telling Wix by hand that the setup of a site is finished."""

from __future__ import annotations

import pytest

from tests.client.clients import installed
from tests.support import SITE
from wix_asgi import GrantRefused, NotInstalled, WixUnavailable
from wix_asgi.testing import FakeWix

EVENT = "/apps/v1/bi-event"


async def test_finish_setup() -> None:
    """By hand the end of a set-up is told to Wix, as the site."""
    fake = FakeWix()
    async with installed(fake) as (wix, _):
        await wix.finish_setup(SITE)

    assert 1 == fake.count(EVENT, eventName="APP_FINISHED_CONFIGURATION")


async def test_finish_setup_that_fails() -> None:
    """Where it cannot be told, the caller hears why."""
    fake = FakeWix()
    async with installed(fake) as (wix, _):
        fake.fail(EVENT, status=503)
        with pytest.raises(WixUnavailable):
            await wix.finish_setup(SITE)
        fake.fail(EVENT, status=400)
        with pytest.raises(GrantRefused):
            await wix.finish_setup(SITE)
        with pytest.raises(NotInstalled):
            await wix.finish_setup("site-unknown")
