"""A webhook's whole way, from Wix's request to a handler for a class of events."""

from __future__ import annotations

import anyio
import pytest

from tests.limits import PATIENCE
from tests.support import SITE, make_app, make_wix
from wix_asgi import PaidPlanPurchased, WebhookEvent, WixMiddleware
from wix_asgi.testing import FakeWix

BOUGHT = {"vendorProductId": "gold", "expiresOn": "2027-11-01T00:00:00Z", "new": [1]}


@pytest.mark.parametrize(
    "registered", [PaidPlanPurchased, "PaidPlanPurchased", "*"], ids=["class", "word", "all"]
)
async def test_handler_gets_the_class_of_its_event(
    registered: str | type[PaidPlanPurchased],
) -> None:
    """The class, its word and the asterisk all register for it, and the event is of the class."""
    fake, came = FakeWix(), anyio.Event()
    wix = make_wix(fake)
    events: list[WebhookEvent] = []

    @wix.on(registered)
    async def note(event: WebhookEvent) -> None:
        events.append(event)
        came.set()

    async with wix:
        answer = await fake.send_event(
            WixMiddleware(make_app(), wix), "PaidPlanPurchased", SITE, BOUGHT
        )
        with anyio.fail_after(PATIENCE):
            await came.wait()
    [event] = events

    assert 200 == answer.status_code
    assert isinstance(event, PaidPlanPurchased)
    assert ("gold", 2027) == (event.vendor_product_id, getattr(event.expires_on, "year", None))
    assert [1] == event.data["new"]
    assert (SITE, 1) == (event.instance_id, event.attempt)
    assert event.client is not None
