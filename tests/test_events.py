"""The events of handlers: their classes, and the documented fields of Wix's eight."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

import wix_asgi
from tests.protocol.webhook_signing import event_text
from tests.support import SITE, make_wix
from wix_asgi import (
    AppInstalled,
    AppRemoved,
    PaidPlanAutoRenewalCancelled,
    PaidPlanChanged,
    PaidPlanPurchased,
    PlanConvertedToPaid,
    PlanReactivated,
    PlanTransferred,
    SyncWixClient,
    WebhookEvent,
    WixClient,
    events,
)
from wix_asgi.events import make_event
from wix_asgi.protocol.webhook_event import read_event
from wix_asgi.testing import FakeWix

ISSUED = datetime(2026, 11, 1, tzinfo=UTC)
BOUGHT = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
EXPIRES = datetime(2027, 11, 1, tzinfo=UTC)
ID = "0123456789abcdef" * 2
PLAN = {"operationTimeStamp": "2026-11-01T09:30:00Z", "vendorProductId": "gold", "cycle": "YEARLY"}
PLAN_READ = {"operation_time_stamp": BOUGHT, "vendor_product_id": "gold", "cycle": "YEARLY"}
END = {"expiresOn": "2027-11-01T00:00:00.000Z"}
END_READ = {"expires_on": EXPIRES}
PAID = {"couponName": "SPRING", "invoiceId": "invoice-1"}
PAID_READ = {"coupon_name": "SPRING", "invoice_id": "invoice-1"}

# The fields as Wix's pages have them, and as the classes give them.
DOCUMENTED: dict[type[WebhookEvent], tuple[dict[str, Any], dict[str, Any]]] = {
    AppInstalled: (
        {"appId": "app-1", "originInstanceId": "site-0"},
        {"app_id": "app-1", "origin_instance_id": "site-0"},
    ),
    AppRemoved: ({"appId": "app-1"}, {"app_id": "app-1"}),
    PaidPlanPurchased: ({**PLAN, **END, **PAID}, {**PLAN_READ, **END_READ, **PAID_READ}),
    PaidPlanChanged: (
        {**PLAN, **PAID, "previousVendorProductId": "silver", "previousCycle": "MONTHLY"},
        {
            **PLAN_READ,
            **PAID_READ,
            "previous_vendor_product_id": "silver",
            "previous_cycle": "MONTHLY",
        },
    ),
    PaidPlanAutoRenewalCancelled: (
        {
            **PLAN,
            "cancelReason": "USER_CANCEL",
            "userReason": "too much",
            "subscriptionCancellationType": "AT_PERIOD_END",
            "cancelledDuringFreeTrial": False,
        },
        {
            **PLAN_READ,
            "cancel_reason": "USER_CANCEL",
            "user_reason": "too much",
            "subscription_cancellation_type": "AT_PERIOD_END",
            "cancelled_during_free_trial": False,
        },
    ),
    PlanConvertedToPaid: ({**PLAN, **END}, {**PLAN_READ, **END_READ}),
    PlanReactivated: (
        {**PLAN, **END, "invoiceId": "invoice-1", "reason": "AUTO_RENEW_TURNED_ON"},
        {**PLAN_READ, **END_READ, "invoice_id": "invoice-1", "reason": "AUTO_RENEW_TURNED_ON"},
    ),
    PlanTransferred: (
        {**PLAN, "invoiceId": "invoice-1"},
        {**PLAN_READ, "invoice_id": "invoice-1"},
    ),
}
CLASSES = pytest.mark.parametrize("event_class", DOCUMENTED, ids=lambda each: each.__name__)


def event_of(event_type: str, data: Any, **layer: Any) -> WebhookEvent:
    """Return the event that a handler gets, through all layers."""
    text = event_text(json.dumps(data), eventType=event_type, **layer)
    client = make_wix(FakeWix()).client(SITE)
    return make_event(read_event(text, ISSUED), ID, 2, client)


def test_plain_handlers_have_a_sync_client() -> None:
    """It is another one each time, of the installation that the event is of."""
    event = event_of("AppRemoved", {})

    assert isinstance(event.sync_client, SyncWixClient)
    assert event.sync_client is not event.sync_client


def fields_of(event_class: type[WebhookEvent]) -> set[str]:
    """Return the names of the properties of a class that are fields of the event."""
    found = {name for name in dir(event_class) if isinstance(getattr(event_class, name), property)}
    return found - {"sync_client"}


@CLASSES
def test_documented_fields_are_typed(event_class: type[WebhookEvent]) -> None:
    """Wix's word for the kind gives the class, which has each documented field."""
    data, expected = DOCUMENTED[event_class]
    event = event_of(event_class.__name__, data)

    assert event_class is type(event)
    assert expected == {name: getattr(event, name) for name in fields_of(event_class)}


@CLASSES
@pytest.mark.parametrize("value", [None, "", 1.5e300, {"a": 1}, ["a"]], ids=repr)
def test_fields_of_other_types_are_none(event_class: type[WebhookEvent], value: object) -> None:
    """A field of another type, or an empty text, is None, and stays in the data."""
    data = dict.fromkeys(DOCUMENTED[event_class][0], value)
    event = event_of(event_class.__name__, data)

    assert {None} == {getattr(event, name) for name in fields_of(event_class)}
    assert data == event.data


@CLASSES
@pytest.mark.parametrize("data", [{}, [], "text", None, 1], ids=repr)
def test_missing_fields_are_none(event_class: type[WebhookEvent], data: object) -> None:
    """Data without the fields, or that are no object, break no handler."""
    event = event_of(event_class.__name__, data)

    assert {None} == {getattr(event, name) for name in fields_of(event_class)}


def test_install_without_an_origin_is_no_copy() -> None:
    """An empty `originInstanceId`, as Wix sends it, means that the site is no copy."""
    event = event_of("AppInstalled", {"appId": "app-1", "originInstanceId": ""})

    assert isinstance(event, AppInstalled)
    assert event.origin_instance_id is None


def test_unknown_fields_are_kept() -> None:
    """Fields that no class knows are in the data."""
    data = {"appId": "app-1", "newField": {"a": [1]}}

    assert data == event_of("AppRemoved", data).data


@pytest.mark.parametrize(
    "event_type", ["wix.contacts.v4.contact_created", "appinstalled", "WebhookEvent", "_PlanEvent"]
)
def test_other_types_have_the_common_class(event_type: str) -> None:
    """All other kinds are plain events, by their exact words."""
    event = event_of(event_type, {"id": "a"}, identity='{"identityType": "APP"}')

    assert WebhookEvent is type(event)
    assert (event_type, SITE, ID, ISSUED, 2) == (
        event.event_type,
        event.instance_id,
        event.id,
        event.issued_at,
        event.attempt,
    )
    assert {"identityType": "APP"} == event.identity
    assert isinstance(event.client, WixClient)


def test_events_are_values() -> None:
    """Events with the same fields are equal and have one hash; none can be changed."""
    one, other = event_of("AppRemoved", {"appId": "a"}), event_of("AppRemoved", {"appId": "a"})

    assert one == other
    assert 1 == len({one, other})
    assert one != event_of("AppRemoved", {"appId": "b"})
    with pytest.raises(AttributeError):
        one.attempt = 3  # type: ignore[misc] # that it fails is the point


def test_repr_shows_no_data() -> None:
    """The repr has the kind, the id and the attempt, and no personal data (R35)."""
    event = event_of("AppRemoved", {"name": "test-name"}, identity='{"memberId": "test-member"}')

    assert repr(event).startswith(f"AppRemoved(event_type='AppRemoved', instance_id='{SITE}', id=")
    assert "test-name" not in repr(event)
    assert "test-member" not in repr(event)


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, copy.deepcopy])
def test_event_is_not_pickled(write: Any) -> None:
    """An event says what to hand on to another process instead of itself."""
    with pytest.raises(TypeError, match="hand on its id, event_type, instance_id and data"):
        write(event_of("AppInstalled", {}))


def test_classes_are_public() -> None:
    """Each class of an event is public, at the top and in `wix_asgi.events`."""
    classes = {"WebhookEvent"} | {event_class.__name__ for event_class in DOCUMENTED}

    assert {*classes, "make_event"} == set(events.__all__)
    assert classes < set(wix_asgi.__all__)
