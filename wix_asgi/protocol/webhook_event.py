"""The three layers of an event of a webhook: the token, the event inside it, and the event's data.

The token's `data` is a JSON text with `eventType`, `instanceId`, and a `data` of its own, again a
JSON text (Wix, "Handle Events with Webhooks").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeGuard

from wix_asgi.protocol.answers import text_of
from wix_asgi.protocol.strict_json import read_json

__all__ = ["SignedEvent", "read_event"]

_MAX_NAME: Final = 200
"""Characters of an event's type or an installation's ID; Wix's have up to 60, and an entry of an
index in PostgreSQL holds 2700 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEvent:
    """One event as Wix signed it.

    Attributes:
        event_type: Wix's word for the kind of event, such as `AppInstalled`; printable.
        instance_id: The installation that the event is about; printable.
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
    """Return the event in the second layer of a token; its error holds nothing of `text`.

    Raises:
        ValueError: It is no JSON object with an `eventType` and an `instanceId`, or repeats a name.
    """
    event = _read(text, issued_at)
    if event is None:
        # This frame goes out with the error, and error trackers show its variables.
        del text
        raise ValueError("The event is no JSON object with an eventType and an instanceId.")
    return event


def _read(text: str, issued_at: datetime) -> SignedEvent | None:
    try:
        text.encode()  # half of a surrogate pair cannot be sealed, and Wix sends none
        layer = read_json(text)
        if not isinstance(layer, dict):
            return None
        event_type, instance_id = layer.get("eventType"), layer.get("instanceId")
        data, identity = _parse(layer.get("data")), _parse(layer.get("identity"))
    except ValueError:
        return None
    if not _is_name(event_type) or not _is_name(instance_id):
        return None
    return SignedEvent(
        event_type=event_type,
        instance_id=instance_id,
        data=data,
        identity=identity if isinstance(identity, dict) else {},
        issued_at=issued_at,
        webhook_id=text_of(layer.get("webhookId")),
        data_id=text_of(data.get("id")) if isinstance(data, dict) else None,
        text=text,
    )


def _parse(value: Any) -> Any:
    """Return the meaning of a JSON text; any other text or value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return read_json(value)
    except json.JSONDecodeError:
        return value


def _is_name(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= _MAX_NAME
