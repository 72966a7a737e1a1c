"""FakeWix's events: tokens in the form of Wix's own."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.support import make_wix
from tests.testing.fake_wix.signed_events import claims_of, header_of, is_signed_by, layers_of
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeSite, FakeWix
from wix_asgi.testing.fake_wix.events import DomainEventKind

BAKERY, YOGA, _ = DEMO_SITES


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """Return a private key in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_token_has_the_header_and_the_claims_of_wix(fake: FakeWix) -> None:
    """`kid` of eight characters, RS256, no `typ`; `data`, `iat` and `exp` 3,600,000 s later."""
    before = int(time.time())
    token = fake.webhook_token("AppInstalled", YOGA)
    header, claims = header_of(token), claims_of(token)

    assert ["kid", "alg"] == list(header)
    assert ("RS256", 8) == (header["alg"], len(header["kid"]))
    assert ["data", "iat", "exp"] == list(claims)
    assert before <= claims["iat"] <= int(time.time())
    assert 3_600_000 == claims["exp"] - claims["iat"]
    assert is_signed_by(fake.public_key, token)


def test_the_second_layer_has_the_event_and_a_webhook_id(fake: FakeWix) -> None:
    """By default it has `data`, `instanceId`, `eventType`, and a `webhookId` as they were seen."""
    event, data = layers_of(fake.webhook_token("AppInstalled", YOGA))

    assert {"data", "instanceId", "eventType", "webhookId"} == event.keys()
    assert ("AppInstalled", YOGA) == (event["eventType"], event["instanceId"])
    assert re.fullmatch(r"wId_\d{13}_-?\d{1,10}__[A-Za-z]{5}", event["webhookId"])
    assert {"appId": fake.app_id, "originInstanceId": ""} == data


def test_every_part_may_be_given(fake: FakeWix) -> None:
    """Identity is a JSON text, `accountInfo` an object, and the moment and lifetime are free."""
    identity = {"identityType": "WIX_USER", "wixUserId": "a-user"}
    token = fake.webhook_token(
        "custom",
        YOGA,
        {"some": "data"},
        identity=identity,
        webhook_id="an-id",
        account_info={"accountId": "an-account"},
        issued_at=datetime(2026, 1, 2, tzinfo=UTC),
        lifetime=60,
    )
    event, data = layers_of(token)
    claims = claims_of(token)

    assert identity == json.loads(event["identity"])
    assert ("an-id", {"accountId": "an-account"}) == (event["webhookId"], event["accountInfo"])
    assert {"some": "data"} == data
    assert (1767312000, 1767312060) == (claims["iat"], claims["exp"])


def test_the_webhook_id_may_be_left_out(fake: FakeWix) -> None:
    """Tokens of 2021 have none."""
    event, _ = layers_of(fake.webhook_token("AppRemoved", YOGA, webhook_id=False))

    assert "webhookId" not in event


def test_a_text_is_sent_as_it_is(fake: FakeWix) -> None:
    """Data that is no JSON can be sent, too."""
    token = fake.webhook_token("custom", YOGA, "no JSON")

    assert "no JSON" == json.loads(claims_of(token)["data"])["data"]


class Row:
    """An object with an instance ID, such as an installation."""

    instance_id = YOGA


def test_a_site_is_an_id_an_object_or_the_first_site() -> None:
    """A `FakeSite`, anything with an `instance_id`, and an ID that nobody knows are taken."""
    bakery = FakeSite("Bakery", products=[])
    fake = FakeWix(sites={YOGA: FakeSite("Yoga", products=[]), BAKERY: bakery})
    events = [fake.make_event("x", site) for site in (None, bakery, Row(), "nobody")]

    assert [YOGA, BAKERY, YOGA, "nobody"] == [event.instance_id for event in events]


def test_a_site_of_another_fake_is_a_mistake(fake: FakeWix) -> None:
    """A `FakeSite` that this fake was not made with has no ID here."""
    with pytest.raises(LookupError, match="not one of this FakeWix"):
        fake.make_event("x", FakeSite("Bakery", products=[]))


def test_a_copied_site_tells_of_its_origin(fake: FakeWix) -> None:
    """AppInstalled of a copy names the installation that it comes from."""
    copy = fake.copy_site(YOGA)

    assert YOGA == fake.make_event("AppInstalled", copy).data["originInstanceId"]


@pytest.mark.parametrize(
    ("event_type", "fields"),
    [
        ("AppRemoved", {"appId"}),
        ("PaidPlanPurchased", {"vendorProductId", "cycle", "expiresOn", "couponName"}),
        ("PaidPlanChanged", {"previousVendorProductId", "previousCycle"}),
        ("PaidPlanAutoRenewalCancelled", {"cancelReason", "cancelledDuringFreeTrial"}),
        ("PlanConvertedToPaid", {"cycle", "expiresOn"}),
        ("PlanReactivated", {"invoiceId", "reason"}),
        ("PlanTransferred", {"invoiceId"}),
        ("unknown", set[str]()),
    ],
)
def test_documented_events_have_their_fields(
    fake: FakeWix, event_type: str, fields: set[str]
) -> None:
    """An event without data gets the fields that Wix documents, in a test of the dashboard too."""
    own, sample = fake.make_event(event_type, YOGA), fake.dashboard_test(event_type)

    assert fields <= own.data.keys()
    assert own.data.keys() == sample.data.keys()


def test_the_test_of_the_dashboard_is_of_another_app(fake: FakeWix) -> None:
    """It has the documented sample values and no `webhookId`, and is signed by the app's key."""
    test = fake.dashboard_test()
    event, data = layers_of(test.token)

    assert "3bbcabc7-ebb7-4fc8-8829-13ea0e142123" == event["instanceId"]
    assert {
        "appId": "5bc2062d-010b-448c-a62a-d6bb269c5a4c",
        "originInstanceId": "07864c16-3a6f-4dd2-9973-028705762b2c",
    } == data
    assert "webhookId" not in event
    assert is_signed_by(fake.public_key, test.token)


@pytest.mark.parametrize(
    ("kind", "content", "name"),
    [
        ("created", "createdEvent", "entity"),
        ("updated", "updatedEvent", "currentEntity"),
        ("deleted", "deletedEvent", "deletedEntity"),
        ("action", "actionEvent", "body"),
    ],
)
def test_domain_events_have_their_content_in_both_forms(
    fake: FakeWix, kind: DomainEventKind, content: str, name: str
) -> None:
    """The content is an object or a text, in a field that is named after the kind."""
    event_type, entity = f"wix.contacts.v4.contact_{kind}", {"id": "a-contact", "revision": "3"}
    plain = fake.domain_data(event_type, entity)
    text = fake.domain_data(event_type, entity, as_json=True)

    assert {name: entity} == plain[content]
    assert {f"{name}AsJson": '{"id":"a-contact","revision":"3"}'} == text[content]
    assert ("wix.contacts.v4.contact", kind, "a-contact") == (
        plain["entityFqdn"],
        plain["slug"],
        plain["entityId"],
    )
    assert plain["id"] != text["id"]


def test_the_slug_of_a_domain_event_may_differ_from_its_type(fake: FakeWix) -> None:
    """Wix's own example is `contact_merged` with the slug `merge`, an action."""
    data = fake.domain_data("wix.contacts.v4.contact_merged", kind="action", slug="merge", id="it")

    assert ("merge", "it", {}) == (data["slug"], data["id"], data["actionEvent"])
    with pytest.raises(ValueError, match="kind"):
        fake.domain_data("wix.contacts.v4.contact_merged")


@pytest.mark.parametrize("as_installed", [True, False])
def test_the_newer_events_carry_the_installation(fake: FakeWix, as_installed: bool) -> None:
    """`app_installation_updated` has the status of the installation, known or not."""
    if not as_installed:
        fake.mark_installed(YOGA)
        fake.uninstall(YOGA)
    data = fake.make_event("wix.app.installations.v1.app_installation_updated", YOGA).data
    entity: dict[str, Any] = data["updatedEvent"]["currentEntity"]

    assert (YOGA, fake.app_id) == (entity["instanceId"], entity["appId"])
    assert ("INSTALLED" if as_installed else "UNINSTALLED") == entity["status"]


def test_the_key_is_one_for_all_fakes_of_a_process(fake: FakeWix) -> None:
    """A key takes a tenth of a second; a fake may have another, and change it."""
    own = fake.public_key
    changed = fake.change_webhook_key()
    token = fake.webhook_token("x", YOGA)

    assert FakeWix().public_key == own
    assert changed != own
    assert (False, True) == (is_signed_by(own, token), is_signed_by(changed, token))


def test_a_given_key_stays_after_a_restart() -> None:
    """Fakes that are made with the same key have the same public key and `kid`."""
    pem = pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    one, other = FakeWix(webhook_key=pem), FakeWix(webhook_key=pem)

    assert one.public_key == other.public_key
    assert header_of(one.webhook_token("x", YOGA)) == header_of(other.webhook_token("x", YOGA))
    assert FakeWix().public_key != one.public_key


def test_a_key_that_is_not_rsa_is_a_mistake() -> None:
    """Wix signs by RS256 alone."""
    with pytest.raises(ValueError, match="RSA"):
        FakeWix(webhook_key=pem_of(ec.generate_private_key(ec.SECP256R1())))


def test_events_are_dated_by_the_clock_of_the_host(fake: FakeWix) -> None:
    """Real time, or the clock that the app under test reads; the fake's own is another matter."""
    fake.clock.set(0.0)
    real = claims_of(fake.webhook_token("x", YOGA))["iat"]
    fake.host_clock = fake.clock.now
    fakes = claims_of(fake.webhook_token("x", YOGA))["iat"]

    assert 0 == fakes
    assert real > 0


def test_nothing_secret_is_in_the_repr_of_an_event(fake: FakeWix) -> None:
    """A failing test shows neither the token nor the data, which is good for 41 days."""
    event = fake.make_event("x", YOGA, {"some": "content"}, identity={"wixUserId": "somebody"})

    assert "content" not in repr(event)
    assert "somebody" not in repr(event)
    assert event.token[:20] not in repr(event)


def test_the_settings_have_the_public_key(fake: FakeWix) -> None:
    """The app under test verifies the fake's events without further ado."""
    app = make_wix(fake)

    assert fake.public_key == fake.settings()["public_key"]
    assert 1 == len(app.settings.public_key)


async def test_public_key_over_a_port() -> None:
    """An app that is set up by hand gets the key from the fake's address."""
    fake = FakeWix()
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as client:
        answer = await client.get("/public-key")

    assert fake.public_key == answer.text
