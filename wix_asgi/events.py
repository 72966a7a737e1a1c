"""The events that handlers of `wix.on` get.

The eight events of an installation's life have classes with their documented fields; all others are
a `WebhookEvent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wix_asgi.client.client import WixClient

__all__ = ["WebhookEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """One event of Wix, which a handler gets; it lives as long as the handler keeps it.

    Attributes:
        event_type: Wix's word for the kind of event, such as `wix.contacts.v4.contact_created`.
        instance_id: The installation that the event is about.
        data: The data of the event, parsed (Wix's third layer).
        identity: The person or app that caused the event; empty where Wix names none.
        id: The event's id: 32 hexadecimal digits, the same in every attempt and every repetition.
        issued_at: The moment at which Wix issued the event, in UTC.
        attempt: 1, and one more each time that the event is handled again.
        client: The authenticated client of the installation.
    """

    event_type: str
    instance_id: str
    data: Any = field(repr=False)
    identity: Mapping[str, Any] = field(repr=False)
    id: str
    issued_at: datetime
    attempt: int
    client: WixClient = field(repr=False, compare=False)
