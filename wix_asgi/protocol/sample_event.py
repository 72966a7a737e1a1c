"""The test event that Wix's dashboard sends: documented sample values under the app's own key.

Wix, "Events and Webhooks", has the samples; "Trigger test" of the Webhooks page sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wix_asgi.protocol.installation_events import TYPES, read_change
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


def is_sample(event: SignedEvent, app_id: str) -> bool:
    """Return whether a verified event is a test of the dashboard: it is about no site of the app.

    It names the documented sample values, or, in an event about an installation, another app.
    """
    data = event.data if isinstance(event.data, Mapping) else {}
    ids = (event.instance_id, data.get("appId"), data.get("originInstanceId"))
    if not _SAMPLE_IDS.isdisjoint(each.lower() for each in ids if isinstance(each, str)):
        return True
    app = read_change(event).app_id if event.event_type in TYPES else app_id
    return isinstance(app, str) and app.lower() != app_id.lower()
