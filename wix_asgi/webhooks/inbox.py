"""The inbox of one app: events in a storage, sealed on their way in and unsealed on their way out.

An event is known by Wix's ids, each together with the app, the installation and the type.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from wix_asgi.models import EventCounts, EventRecord, EventState
from wix_asgi.protocol.webhook_event import SignedEvent, read_event
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import EventStorage

__all__ = ["Inbox", "KeptEvent", "event_keys"]

_FIELD: Final = "event:"
"""Begins the name of the sealed field, which ends with the event's id: no seal opens elsewhere."""

_PAGE: Final = 100
"""Events that an operator's list reads at once."""

_KEY_DIGITS: Final = 32
"""Hexadecimal digits of a key, 128 bits: no two events of an app meet by accident."""


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event as the storage has it, with its payload sealed."""

    record: EventRecord

    @property
    def id(self) -> str:
        """The event's id, the same in every attempt."""
        return self.record.event_id


class Inbox:
    """Keeps the events of one app, and hands them out under leases; shared by all tasks."""

    def __init__(self, app_id: str, storage: EventStorage, vault: Vault) -> None:
        """Keep events in `storage`, whose owner opens and closes it."""
        self._app_id = app_id
        self._storage = storage
        self._vault = vault

    @property
    def never_waits(self) -> bool:
        """Whether the storage never lets another task run, such as one in memory."""
        return getattr(self._storage, "never_waits", False)

    async def add(self, event: SignedEvent, *, body: bytes) -> bool:
        """Keep `event`; return False if it is known. `body` tells apart events without an id.

        Raises:
            StorageUnavailable: It may not be kept.
        """
        event_id, alias = event_keys(event, body)
        return await self._storage.add_event(
            EventRecord(
                app_id=self._app_id,
                event_id=event_id,
                alias=alias,
                event_type=event.event_type,
                instance_id=event.instance_id,
                payload=self._vault.seal(
                    event.text,
                    app_id=self._app_id,
                    instance_id=event.instance_id,
                    field=_FIELD + event_id,
                ),
                issued_at=event.issued_at,
            )
        )

    async def take(self, owner: str, *, limit: int, lease: float) -> Sequence[KeptEvent]:
        """Take up to `limit` due events for `lease` seconds under `owner`, a name used once.

        Raises:
            StorageUnavailable: No event is known to be taken.
        """
        records = await self._storage.take_events(self._app_id, owner, limit=limit, lease=lease)
        return [KeptEvent(record) for record in records]

    def open(self, kept: KeptEvent) -> SignedEvent:
        """Return the event itself.

        Raises:
            UnsealError: It was changed, or its key is not in the ring (`UnknownKey`).
            ValueError: It is done, or another release has written it.
        """
        return read_event(self.unseal(kept), kept.record.issued_at)

    def unseal(self, kept: KeptEvent) -> str:
        """Return the text of the event, whoever wrote it.

        Raises:
            UnsealError: It was changed, or its key is not in the ring (`UnknownKey`).
            ValueError: It is done, and has no payload any more.
        """
        record = kept.record
        if record.payload is None:
            raise ValueError("the event has no payload any more")
        return self._vault.unseal(
            record.payload,
            app_id=self._app_id,
            instance_id=record.instance_id,
            field=_FIELD + record.event_id,
        )

    async def renew(self, kept: KeptEvent, owner: str, *, lease: float, outcomes: str) -> bool:
        """Renew the lease and note outcomes; return False if the event is not the owner's any more.

        Raises:
            StorageUnavailable: It may not be renewed.
        """
        return await self._storage.renew_event(
            self._app_id, kept.id, owner, lease=lease, outcomes=outcomes
        )

    async def finish(
        self,
        kept: KeptEvent,
        owner: str,
        *,
        keep: float,
        outcomes: str,
        failure: str | None = None,
        is_dead: bool = False,
    ) -> bool:
        """End the event as done, or as a dead letter, and forget it after `keep` seconds.

        Raises:
            StorageUnavailable: It may not have ended.
        """
        return await self._storage.finish_event(
            self._app_id,
            kept.id,
            owner,
            keep=keep,
            outcomes=outcomes,
            failure=failure,
            is_dead=is_dead,
        )

    async def postpone(
        self,
        kept: KeptEvent,
        owner: str,
        *,
        delay: float,
        outcomes: str,
        failure: str | None = None,
        is_counted: bool = True,
    ) -> bool:
        """Give the event back, due in `delay` seconds.

        Raises:
            StorageUnavailable: It may come back only when its lease ends.
        """
        return await self._storage.postpone_event(
            self._app_id,
            kept.id,
            owner,
            delay=delay,
            outcomes=outcomes,
            failure=failure,
            is_counted=is_counted,
        )

    async def find(self, event_id: str) -> KeptEvent | None:
        """Return the event, ended or not, or None where it is not known."""
        record = await self._storage.event(self._app_id, event_id)
        return None if record is None else KeptEvent(record)

    async def all(
        self, state: EventState | None = None, *, after: str = ""
    ) -> AsyncGenerator[KeptEvent, None]:
        """Iterate over the events in `state`, or all, behind the id `after`, a page at a time."""
        while True:
            page = await self._storage.events(self._app_id, state=state, after=after, limit=_PAGE)
            for record in page:
                yield KeptEvent(record)
            if len(page) < _PAGE:
                return
            after = page[-1].event_id

    async def count(self, limit: int) -> EventCounts:
        """Count waiting events and dead letters, each up to `limit`."""
        return await self._storage.count_events(self._app_id, limit=limit)

    async def retry(self, kept: KeptEvent, *, outcomes: str) -> bool:
        """Make a dead letter, or an event that is not taken, due now; its attempts begin anew.

        Returns False where it is not as `kept` was read: `outcomes` are in place of that one's.
        """
        expected = kept.record.outcomes
        return await self._storage.retry_event(
            self._app_id, kept.id, outcomes=outcomes, expected=expected
        )

    async def drop(self, kept: KeptEvent, *, keep: float) -> bool:
        """End an event without handling it, and forget it after `keep` seconds."""
        return await self._storage.drop_event(self._app_id, kept.id, keep=keep)

    async def purge(self) -> int:
        """Remove ended events whose seconds are over; return how many this call removed."""
        return await self._storage.purge_events()

    def is_newest(self, kept: KeptEvent) -> bool:
        """Whether the payload is gone, or sealed with the newest key."""
        return kept.record.payload is None or self._vault.is_newest(kept.record.payload)

    async def reseal(self, kept: KeptEvent) -> bool:
        """Seal the payload with the newest key; return False if the event has changed meanwhile.

        Raises:
            UnsealError: It was changed, or its key is not in the ring (`UnknownKey`).
            ValueError: It is done, and has no payload any more.
        """
        record = kept.record
        payload = self._vault.seal(
            self.unseal(kept),
            app_id=self._app_id,
            instance_id=record.instance_id,
            field=_FIELD + record.event_id,
        )
        expected = record.payload or b""
        return await self._storage.reseal_event(
            self._app_id, record.event_id, payload, expected=expected
        )


def event_keys(event: SignedEvent, body: bytes) -> tuple[str, str | None]:
    """Return the id of an event and its alias, by which a second copy is known.

    Whether a repetition keeps Wix's `webhookId` is not documented, so that the `id` inside the data
    is a second key. An event without both is known by its whole body.
    """
    second = _key(event, "id", event.data_id) if event.data_id else None
    if event.webhook_id:
        return _key(event, "webhookId", event.webhook_id), second
    return second or _key(event, "body", hashlib.sha256(body).hexdigest()), second


def _key(event: SignedEvent, kind: str, value: str) -> str:
    # Each part with its length in front: no two lists of parts give the same bytes.
    parts = [
        part.encode("utf-8", "surrogatepass")
        for part in (event.instance_id, event.event_type, kind, value)
    ]
    text = b"".join([len(part).to_bytes(4) + part for part in parts])
    return hashlib.sha256(b"wix-asgi event" + text).hexdigest()[:_KEY_DIGITS]
