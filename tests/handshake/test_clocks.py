"""An install that begins at one host and ends at another, whose clock differs."""

from __future__ import annotations

import pytest

from tests.handshake.handshaking import app_of, ask, begin, cookies_of, split_url
from tests.support import SITE, Browser, make_wix
from wix_asgi.testing import Clock, FakeWix
from wix_asgi_backends.memory import MemoryStorage

NOW = 1_700_000_000

DIFFERENCES = [
    (0, 303, ""),
    (1, 303, ""),
    (300, 303, ""),
    (301, 400, "state_expired (minted 301 s ahead of this host's clock)"),
    (-600, 303, ""),
    (-601, 400, "state_expired (minted 601 s ago, and good for 600 s)"),
]


@pytest.mark.parametrize(("ahead", "status", "told"), DIFFERENCES)
async def test_hosts_may_differ_by_five_minutes(
    ahead: int, status: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A host up to five minutes ahead may begin an install; a refusal tells the age (R5)."""
    fake = FakeWix()
    storage = MemoryStorage()
    async with make_wix(fake, storage=storage) as one, make_wix(fake, storage=storage) as other:
        browser = Browser(app_of(one, fake, clock=Clock(NOW + ahead).now))
        path, query = split_url(await begin(browser, fake))
        end = app_of(other, fake, clock=Clock(NOW).now)
        answer = await ask(end, path, query, headers=cookies_of(browser))
        record = await storage.get(fake.app_id, SITE)

    assert status == answer.status
    assert (record is not None) == (status == 303)
    assert told in caplog.text
