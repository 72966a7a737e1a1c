"""The events that handlers of `wix.on` get.

The eight events of an installation's life have classes with their documented fields; all others are
a `WebhookEvent`. Wix adds fields, and has left some out: `data` has all fields as they came, and a
property is None where its field is missing or of another type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from wix_asgi.client.client import WixClient
from wix_asgi.client.sync_client import SyncWixClient, sync_client_of
from wix_asgi.protocol.answers import text_of
from wix_asgi.protocol.moments import read_time
from wix_asgi.protocol.webhook_event import SignedEvent

__all__ = [
    "AppInstalled",
    "AppRemoved",
    "PaidPlanAutoRenewalCancelled",
    "PaidPlanChanged",
    "PaidPlanPurchased",
    "PlanConvertedToPaid",
    "PlanReactivated",
    "PlanTransferred",
    "WebhookEvent",
    "make_event",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """One event of Wix, as a handler gets it; the handler may keep it.

    It belongs to its process, and cannot be pickled: hand its fields on to a queue.

    Attributes:
        event_type: Wix's word for the kind of event, such as `wix.contacts.v4.contact_created`.
        instance_id: The installation that the event is about.
        data: The data of the event, parsed (Wix's third layer).
        identity: The person or app that caused the event; empty where Wix names none.
        id: The event's id: 32 hexadecimal digits, the same in every attempt and every repetition.
        issued_at: The moment at which Wix issued the event, in UTC.
        attempt: 1, and one more each time that the event is handled again.
        client: The authenticated client of the installation, for async handlers.
    """

    event_type: str
    instance_id: str
    data: Any = field(repr=False, hash=False)
    identity: Mapping[str, Any] = field(repr=False, hash=False)
    id: str
    issued_at: datetime
    attempt: int
    client: WixClient = field(repr=False, compare=False)

    def __reduce__(self) -> Any:
        raise TypeError(
            "A WebhookEvent has a client, which belongs to its process: hand on its id, "
            "event_type, instance_id and data instead."
        )

    @property
    def sync_client(self) -> SyncWixClient:
        """The client of the installation for plain handlers, another one each time."""
        return sync_client_of(self.client)

    def _field(self, name: str) -> Any:
        return self.data.get(name) if isinstance(self.data, dict) else None

    def _text(self, name: str) -> str | None:
        return text_of(self._field(name))

    def _time(self, name: str) -> datetime | None:
        return read_time(self._field(name))


class AppInstalled(WebhookEvent):
    """The app was installed on a site, or a site that has it was copied (Wix, "App Installed")."""

    __slots__ = ()

    @property
    def app_id(self) -> str | None:
        """The app's ID."""
        return self._text("appId")

    @property
    def origin_instance_id(self) -> str | None:
        """The installation whose site was copied to make this site; None where it is no copy."""
        return self._text("originInstanceId")


class AppRemoved(WebhookEvent):
    """The app was removed from a site (Wix, "App Removed")."""

    __slots__ = ()

    @property
    def app_id(self) -> str | None:
        """The app's ID."""
        return self._text("appId")


class _PlanEvent(WebhookEvent):
    """The fields that all events of plans have."""

    __slots__ = ()

    @property
    def operation_time_stamp(self) -> datetime | None:
        """The moment of the change, in UTC."""
        return self._time("operationTimeStamp")

    @property
    def vendor_product_id(self) -> str | None:
        """The ID of the plan, as the app's dashboard has it."""
        return self._text("vendorProductId")

    @property
    def cycle(self) -> str | None:
        """The billing cycle: `NO_CYCLE`, `ONE_TIME`, `MONTHLY`, `YEARLY`, `TWO_YEARS` and so on."""
        return self._text("cycle")


class PaidPlanPurchased(_PlanEvent):
    """A site owner bought a plan, or began a trial of one (Wix, "Paid Plan Purchased")."""

    __slots__ = ()

    @property
    def expires_on(self) -> datetime | None:
        """The end of the paid time, in UTC; renewals move it, so that Wix is to be asked again."""
        return self._time("expiresOn")

    @property
    def coupon_name(self) -> str | None:
        """The coupon, if one was used."""
        return self._text("couponName")

    @property
    def invoice_id(self) -> str | None:
        """The ID of the invoice."""
        return self._text("invoiceId")


class PaidPlanChanged(_PlanEvent):
    """A site owner changed to another plan or cycle (Wix, "Paid Plan Changed")."""

    __slots__ = ()

    @property
    def previous_vendor_product_id(self) -> str | None:
        """The ID of the plan before."""
        return self._text("previousVendorProductId")

    @property
    def previous_cycle(self) -> str | None:
        """The billing cycle before."""
        return self._text("previousCycle")

    @property
    def coupon_name(self) -> str | None:
        """The coupon, if one was used."""
        return self._text("couponName")

    @property
    def invoice_id(self) -> str | None:
        """The ID of the invoice."""
        return self._text("invoiceId")


class PaidPlanAutoRenewalCancelled(_PlanEvent):
    """A plan ends with its paid time (Wix, "Paid Plan Auto Renewal Cancelled")."""

    __slots__ = ()

    @property
    def cancel_reason(self) -> str | None:
        """The reason: `USER_CANCEL`, `FAILED_PAYMENT`, `TRANSFER_CANCELLATION_REASON` and so on."""
        return self._text("cancelReason")

    @property
    def user_reason(self) -> str | None:
        """The site owner's own words."""
        return self._text("userReason")

    @property
    def subscription_cancellation_type(self) -> str | None:
        """The kind of cancellation: at once, or at the end of the paid time."""
        return self._text("subscriptionCancellationType")

    @property
    def cancelled_during_free_trial(self) -> bool | None:
        """Whether the plan was cancelled in its trial."""
        value = self._field("cancelledDuringFreeTrial")
        return value if isinstance(value, bool) else None


class PlanConvertedToPaid(_PlanEvent):
    """A trial became a paid plan (Wix, "Plan Converted To Paid")."""

    __slots__ = ()

    @property
    def expires_on(self) -> datetime | None:
        """The end of the paid time, in UTC."""
        return self._time("expiresOn")


class PlanReactivated(_PlanEvent):
    """A cancelled plan goes on (Wix, "Plan Reactivated")."""

    __slots__ = ()

    @property
    def expires_on(self) -> datetime | None:
        """The end of the paid time, in UTC."""
        return self._time("expiresOn")

    @property
    def invoice_id(self) -> str | None:
        """The ID of the invoice."""
        return self._text("invoiceId")

    @property
    def reason(self) -> str | None:
        """The reason: `AUTO_RENEW_TURNED_ON`, or `REACTIVATION_REASON_UNKNOWN`."""
        return self._text("reason")


class PlanTransferred(_PlanEvent):
    """A plan went to another Wix account with its site (Wix, "Plan Transferred")."""

    __slots__ = ()

    @property
    def invoice_id(self) -> str | None:
        """The ID of the invoice."""
        return self._text("invoiceId")


_CLASSES: Final[Mapping[str, type[WebhookEvent]]] = {
    event_class.__name__: event_class
    for event_class in (
        AppInstalled,
        AppRemoved,
        PaidPlanPurchased,
        PaidPlanChanged,
        PaidPlanAutoRenewalCancelled,
        PlanConvertedToPaid,
        PlanReactivated,
        PlanTransferred,
    )
}
"""Each is named after Wix's word for its kind."""


def make_event(signed: SignedEvent, event_id: str, attempt: int, client: WixClient) -> WebhookEvent:
    """Return the event for a handler, of the class for its type."""
    event_class = _CLASSES.get(signed.event_type, WebhookEvent)
    return event_class(
        event_type=signed.event_type,
        instance_id=signed.instance_id,
        data=signed.data,
        identity=signed.identity,
        id=event_id,
        issued_at=signed.issued_at,
        attempt=attempt,
        client=client,
    )
