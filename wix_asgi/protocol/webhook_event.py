"""The three layers of an event of a webhook: the token, the event inside it, and the event's data.

The token's `data` is a JSON text with `eventType`, `instanceId`, and a `data` of its own, again a
JSON text (Wix, "Handle Events with Webhooks").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["SignedEvent", "read_event"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEvent:
    """One event as Wix signed it.

    Attributes:
        event_type: Wix's word for the kind of event, such as `AppInstalled`.
        instance_id: The installation that the event is about.
        data: The data of the event, parsed where they are JSON, and else the text.
        identity: The person or app that caused the event, parsed; empty where Wix names none.
        issued_at: The moment at which Wix issued it (`iat`), in UTC.
        webhook_id: Wix's `webhookId`, or None.
        data_id: The `id` inside the data, which domain events have, or None.
        text: The second layer as it was signed, from which `read_event` reads all but `issued_at`.
    """

    event_type: str
    instance_id: str
    data: Any = field(repr=False)
    identity: Mapping[str, Any] = field(default_factory=dict, repr=False)
    issued_at: datetime
    webhook_id: str | None = None
    data_id: str | None = None
    text: str = field(repr=False)


def read_event(text: str, issued_at: datetime) -> SignedEvent:
    """Return the event in the second layer of a token.

    Raises:
        ValueError: It is no JSON object with an `eventType` and an `instanceId`, or repeats a name.
    """
    raise NotImplementedError
