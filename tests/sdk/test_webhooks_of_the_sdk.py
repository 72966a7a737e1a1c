"""The SDK takes the events of the fake Wix, reads the same data in them, and refuses less."""

from __future__ import annotations

import pytest

from tests.sdk.side_by_side import Sdk, SideBySide
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.protocol.webhook_token import ForgedToken, WebhookTokens
from wix_asgi.testing import FORGERIES, FakeWix

NEWER = "wix.app.installations.v1.app_installation_updated"


def ours(fake: FakeWix, body: bytes) -> SignedEvent | None:
    """Return the event as our endpoint reads it; None for a forgery."""
    try:
        return WebhookTokens([fake.public_key], app_id=fake.app_id).verify(body)
    except ForgedToken:
        return None


@pytest.mark.parametrize("event_type", ["AppInstalled", "AppRemoved", NEWER, "PaidPlanPurchased"])
def test_both_read_the_same_event(
    sdk: Sdk, fake: FakeWix, both: SideBySide, event_type: str
) -> None:
    """Type, installation, data and identity are the same after three layers."""
    identity = {"identityType": "WIX_USER", "wixUserId": "a-user"}
    token = fake.webhook_token(event_type, identity=identity, account_info={"siteId": "a-site"})
    theirs = sdk.value("process", token, publicKey=fake.public_key)
    event = ours(fake, token.encode())

    assert event is not None
    both.same(f"webhooks.process: {event_type}", sdk=theirs["payload"], ours=event.data)
    assert (event.event_type, event.instance_id, event.identity) == (
        theirs["eventType"],
        theirs["instanceId"],
        theirs["identity"],
    )


@pytest.mark.parametrize("name", ["installed", "removed"])
def test_the_handlers_of_the_sdk_are_called(sdk: Sdk, fake: FakeWix, name: str) -> None:
    """`onAppInstanceInstalled` and `onAppInstanceRemoved` get the data of Wix's documentation."""
    token = fake.webhook_token(f"App{name.title()}")
    ((called, event),) = sdk.value("handle", token, publicKey=fake.public_key)

    assert name == called
    assert (fake.app_id, fake.site()) == (event["data"]["appId"], event["metadata"]["instanceId"])


def test_an_event_without_a_handler(sdk: Sdk, fake: FakeWix, both: SideBySide) -> None:
    """The SDK throws where other events have handlers, and so earns twelve repetitions."""
    token = fake.webhook_token("PaidPlanPurchased")
    theirs = sdk.error("handle", token, publicKey=fake.public_key)

    both.differ(
        "event without a handler",
        sdk=theirs.partition(":")[0],
        ours="200" if ours(fake, token.encode()) else "401",
        because="Wix repeats everything but a 200, and an app need not have each handler",
    )


def test_forgeries(sdk: Sdk, fake: FakeWix, both: SideBySide) -> None:
    """We refuse them all."""
    kinds = [kind for kind in FORGERIES if kind not in {"huge", "gzip"}]  # the server's concern
    bodies = [fake.forge_event(kind).body for kind in kinds]
    steps = [["process", body.decode()] for body in bodies]
    outcomes = sdk.run(*steps, publicKey=fake.public_key)
    accepted = [kind for kind, it in zip(kinds, outcomes, strict=True) if "value" in it]
    own = [kind for kind, body in zip(kinds, bodies, strict=True) if ours(fake, body)]

    both.differ(
        "forgeries that are accepted",
        sdk=", ".join(accepted),
        ours=", ".join(own),
        because="RFC 8725: a token has an end, a header that is understood, and one writing",
    )
    assert [] == own
