"""Events for the tests of commands and operations on the inbox."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.operations.sealed import APP
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import EventStorage, Storage
from wix_asgi.webhooks.inbox import Inbox, KeptEvent, event_keys

__all__ = ["CREATED", "MAIL", "end", "event", "id_of", "inbox_in", "keep"]

CREATED = "wix.contacts.v4.contact_created"
MAIL = "test-jane@example.com"
"""Personal data in each payload."""


def event(name: str, *, site: str = "site-a", event_type: str = CREATED) -> SignedEvent:
    """Return an event whose `webhookId` is `name`, and whose data have that `id`, too."""
    data = json.dumps({"id": f"data of {name}", "email": MAIL})
    identity = json.dumps({"identityType": "APP"})
    layer = {
        "eventType": event_type,
        "instanceId": site,
        "data": data,
        "identity": identity,
        "webhookId": name,
    }
    return SignedEvent(
        event_type=event_type,
        instance_id=site,
        data=json.loads(data),
        identity=json.loads(identity),
        issued_at=datetime(2026, 11, 1, 12, tzinfo=UTC),
        webhook_id=name,
        data_id=f"data of {name}",
        text=json.dumps(layer),
    )


def id_of(name: str, **fields: str) -> str:
    """Return the id of an event."""
    return event_keys(event(name, **fields), b"")[0]


def inbox_in(storage: Storage, *keys: bytes) -> Inbox:
    """Return the inbox in `storage`, sealed with the first of `keys`."""
    assert isinstance(storage, EventStorage)
    return Inbox(APP, storage, Vault(keys))


async def keep(inbox: Inbox, *names: str) -> None:
    """Keep events of these names."""
    for name in names:
        assert await inbox.add(event(name), body=b"")


async def end(inbox: Inbox, name: str, **options: Any) -> None:
    """Take all due events, and end the event of this name; as done, unless told otherwise."""
    owner = f"owner of {name}"
    given = {"keep": 3600.0, "outcomes": "", **options}
    for kept in await inbox.take(owner, limit=1000, lease=60.0):
        if kept.id == id_of(name):
            assert await inbox.finish(kept, owner, **given)
        else:
            assert await _give_back(inbox, kept, owner)


async def _give_back(inbox: Inbox, kept: KeptEvent, owner: str) -> bool:
    return await inbox.postpone(
        kept, owner, delay=0.0, outcomes=kept.record.outcomes, is_counted=False
    )
