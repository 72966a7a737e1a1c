"""The test event that Wix's dashboard sends: documented sample values under the app's own key.

Wix, "Events and Webhooks", has the samples; "Trigger test" of the Webhooks page sends them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from wix_asgi.protocol.webhook_event import SignedEvent

__all__ = ["is_sample"]

_SAMPLE_IDS: Final = frozenset(
    {
        "5bc2062d-010b-448c-a62a-d6bb269c5a4c",
        "3bbcabc7-ebb7-4fc8-8829-13ea0e142123",
        "07864c16-3a6f-4dd2-9973-028705762b2c",
    }
)
"""The `appId`, `instanceId` and `originInstanceId` of the samples; no site has them."""

_OF_THE_APP: Final = frozenset(
    {
        "AppInstalled",
        "AppRemoved",
        "PaidPlanAutoRenewalCancelled",
        "PaidPlanChanged",
        "PaidPlanPurchased",
        "PlanConvertedToPaid",
        "PlanReactivated",
        "PlanTransferred",
    }
)
_INSTALLATION: Final = "wix.app.installations.v1.app_installation"
"""The events about this very app, in whose data an `appId` is that of the app."""

_ENTITIES: Final = (
    ("createdEvent", "entity"),
    ("updatedEvent", "currentEntity"),
    ("deletedEvent", "deletedEntity"),
)


def is_sample(event: SignedEvent, app_id: str) -> bool:
    """Return whether a verified event is a test of the dashboard: it is about no site of the app.

    It names the documented sample values, or, in an event about the app itself, another app.
    """
    data = event.data if isinstance(event.data, Mapping) else {}
    ids = {event.instance_id, data.get("appId"), data.get("originInstanceId")}
    if not _SAMPLE_IDS.isdisjoint(each.lower() for each in ids if isinstance(each, str)):
        return True
    named = {each.lower() for each in _app_ids(event.event_type, data) if isinstance(each, str)}
    return bool(named) and app_id.lower() not in named


def _app_ids(event_type: str, data: Mapping[str, Any]) -> Iterator[Any]:
    if event_type in _OF_THE_APP:
        yield data.get("appId")
    elif event_type.startswith(_INSTALLATION):
        for change, entity in _ENTITIES:
            changed = data.get(change)
            found = changed.get(entity) if isinstance(changed, Mapping) else None
            if isinstance(found, Mapping):
                yield found.get("appId")
