"""The origin of a copied site, as its own pages tell it."""

from __future__ import annotations

from tests.support import SITE, Browser, running
from wix_asgi.testing import FakeWix


async def test_the_callers_instance_tells_the_origin() -> None:
    """Where Wix does not tell the app, the signed instance of the first call does."""
    fake = FakeWix()
    copied = fake.copy_site(SITE)
    fake.answer("GET", "/apps/v1/instance", status=403, json={})
    async with running(fake) as app:
        instance = fake.signed_instance(copied)
        await Browser(app).http.get("/echo", params={"instance": instance})
        found = [installation async for installation in app.wix.installations()]

    assert [(copied, SITE)] == [(one.instance_id, one.origin_instance_id) for one in found]
