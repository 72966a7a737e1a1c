"""The data of the events that Wix documents, for an event whose data a test does not give."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from wix_asgi.testing.fake_wix._installations import Installation
from wix_asgi.testing.fake_wix.events import as_date, make_domain_data
from wix_asgi.testing.fake_wix.world import World, site_id

__all__ = [
    "APP_INSTALLATION",
    "SAMPLE_APP_ID",
    "SAMPLE_INSTANCE_ID",
    "event_data",
    "installation_entity",
    "sample_data",
]

APP_INSTALLATION: Final = "wix.app.installations.v1.app_installation"
"""The entity of Wix's newer events of installations, to which `_created` and others are added."""

# The sample values on the pages of Wix's events, which the dashboard's test sends as they are.
SAMPLE_APP_ID: Final = "5bc2062d-010b-448c-a62a-d6bb269c5a4c"
SAMPLE_INSTANCE_ID: Final = "3bbcabc7-ebb7-4fc8-8829-13ea0e142123"
_SAMPLE_ORIGIN: Final = "07864c16-3a6f-4dd2-9973-028705762b2c"

_PLAN: Final = {
    "operationTimeStamp": "2024-01-15T10:30:00.000Z",
    "vendorProductId": "premium",
    "cycle": "MONTHLY",
}
_EXPIRES: Final = {"expiresOn": "2024-02-15T10:30:00.000Z"}
_INVOICE: Final = {"invoiceId": "8a4f1c2e"}
_PLAN_EVENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "PaidPlanPurchased": {**_PLAN, **_EXPIRES, "couponName": "WELCOME", **_INVOICE},
    "PaidPlanChanged": {
        **_PLAN,
        "previousVendorProductId": "basic",
        "previousCycle": "YEARLY",
        "couponName": "WELCOME",
        **_INVOICE,
    },
    "PaidPlanAutoRenewalCancelled": {
        **_PLAN,
        "cancelReason": "USER_CANCEL",
        "userReason": "No longer needed",
        "subscriptionCancellationType": "AT_END_OF_PERIOD",
        "cancelledDuringFreeTrial": False,
    },
    "PlanConvertedToPaid": {**_PLAN, **_EXPIRES},
    "PlanReactivated": {**_PLAN, **_EXPIRES, **_INVOICE, "reason": "AUTO_RENEW_TURNED_ON"},
    "PlanTransferred": {**_PLAN, **_INVOICE},
}


def event_data(world: World, event_type: str, installation: Installation) -> dict[str, Any]:
    """Return the documented data of an event of this installation; empty for other events."""
    if event_type == "AppInstalled":
        # Empty where it is no copy, as seen of Wix.
        origin = world.origins.get(installation.instance_id, "")
        return {"appId": world.app_id, "originInstanceId": origin}
    if event_type == "AppRemoved":
        return {"appId": world.app_id}
    if event_type.startswith(f"{APP_INSTALLATION}_"):
        return make_domain_data(
            event_type,
            installation_entity(world, installation, world.app_id),
            moment=world.host_clock(),
            fields={"entityEventSequence": str(installation.revision)},
        )
    return dict(_PLAN_EVENTS.get(event_type, {}))


def sample_data(event_type: str) -> dict[str, Any]:
    """Return the data of the dashboard's test of an event: the sample values of its page."""
    if event_type == "AppInstalled":
        return {"appId": SAMPLE_APP_ID, "originInstanceId": _SAMPLE_ORIGIN}
    if event_type == "AppRemoved":
        return {"appId": SAMPLE_APP_ID}
    return dict(_PLAN_EVENTS.get(event_type, {}))


def installation_entity(world: World, installation: Installation, app_id: str) -> dict[str, Any]:
    """Return the App Installation object of Wix for this app, or for another app on the site."""
    site = site_id(installation.instance_id)
    unique = f"fake-wix:installation:{app_id}:{installation.instance_id}"
    is_ours = app_id == world.app_id
    installed_at = as_date(installation.installed_at)
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, unique)),
        "appId": app_id,
        "instanceId": installation.instance_id if is_ours else str(uuid.uuid3(uuid.UUID(site), "")),
        "appVersion": "1",
        "status": "INSTALLED" if installation.is_installed else "UNINSTALLED",
        "firstInstallationDate": installed_at,
        "createdDate": installed_at,
        "updatedDate": as_date(installation.updated_at),
        "revision": str(installation.revision),
        "planInfo": {},
        "siteInfo": {"siteId": site, "url": f"{world.url}/site/{site}"},
    }
