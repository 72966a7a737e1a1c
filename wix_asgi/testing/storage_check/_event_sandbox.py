"""A view of an inbox that keeps the events of a case under its own app ids, and can remove them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from wix_asgi.models import EventCounts, EventRecord, EventState
from wix_asgi.storage import EventStorage, Storage

__all__ = ["EventSandbox"]

# Events of one app in one case, with room: no case keeps more than 101.
_MOST: Final = 1000


class EventSandbox:
    """An `EventStorage` that puts `prefix` before every app id; the storage has to be one."""

    def __init__(self, prefix: str) -> None:
        """Begin without events; `prefix` is no beginning of other app ids."""
        self.prefix = prefix
        self.event_apps = set[str]()

    @abstractmethod
    async def _inner(self) -> Storage: ...

    async def add_event(self, record: EventRecord) -> bool:
        """Keep an event under the app id of this sandbox."""
        app_id = self.prefix + record.app_id
        self.event_apps.add(app_id)
        return await (await self._inbox()).add_event(replace(record, app_id=app_id))

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        """Take due events of the sandbox."""
        inbox = await self._inbox()
        return self._all_shown(
            await inbox.take_events(self.prefix + app_id, owner, limit=limit, lease=lease)
        )

    async def renew_event(
        self, app_id: str, event_id: str, owner: str, *, lease: float, outcomes: str
    ) -> bool:
        """Renew the lease of an event of the sandbox."""
        return await (await self._inbox()).renew_event(
            self.prefix + app_id, event_id, owner, lease=lease, outcomes=outcomes
        )

    async def finish_event(
        self,
        app_id: str,
        event_id: str,
        owner: str,
        *,
        keep: float,
        outcomes: str,
        failure: str | None = None,
        is_dead: bool = False,
    ) -> bool:
        """End an event of the sandbox."""
        return await (await self._inbox()).finish_event(
            self.prefix + app_id,
            event_id,
            owner,
            keep=keep,
            outcomes=outcomes,
            failure=failure,
            is_dead=is_dead,
        )

    async def postpone_event(
        self,
        app_id: str,
        event_id: str,
        owner: str,
        *,
        delay: float,
        outcomes: str,
        failure: str | None = None,
        is_counted: bool = True,
    ) -> bool:
        """Give back an event of the sandbox."""
        return await (await self._inbox()).postpone_event(
            self.prefix + app_id,
            event_id,
            owner,
            delay=delay,
            outcomes=outcomes,
            failure=failure,
            is_counted=is_counted,
        )

    async def event(self, app_id: str, event_id: str) -> EventRecord | None:
        """Return an event of the sandbox, or None."""
        stored = await (await self._inbox()).event(self.prefix + app_id, event_id)
        return stored and self._shown_event(stored)

    async def events(
        self, app_id: str, *, state: EventState | None = None, after: str = "", limit: int = 100
    ) -> Sequence[EventRecord]:
        """Return one page of this app's events in the sandbox."""
        inbox = await self._inbox()
        page = await inbox.events(self.prefix + app_id, state=state, after=after, limit=limit)
        return self._all_shown(page)

    async def count_events(self, app_id: str, *, limit: int) -> EventCounts:
        """Count this app's events in the sandbox."""
        return await (await self._inbox()).count_events(self.prefix + app_id, limit=limit)

    async def retry_event(
        self, app_id: str, event_id: str, *, outcomes: str, expected: str | None = None
    ) -> bool:
        """Make an event of the sandbox due."""
        return await (await self._inbox()).retry_event(
            self.prefix + app_id, event_id, outcomes=outcomes, expected=expected
        )

    async def drop_event(self, app_id: str, event_id: str, *, keep: float) -> bool:
        """End an event of the sandbox without its handlers."""
        return await (await self._inbox()).drop_event(self.prefix + app_id, event_id, keep=keep)

    async def reseal_event(
        self, app_id: str, event_id: str, payload: bytes, *, expected: bytes
    ) -> bool:
        """Write another payload of an event of the sandbox."""
        return await (await self._inbox()).reseal_event(
            self.prefix + app_id, event_id, payload, expected=expected
        )

    async def purge_events(self) -> int:
        """Remove nothing."""
        return 0

    async def _inbox(self) -> EventStorage:
        inner = await self._inner()
        assert isinstance(inner, EventStorage)
        return inner

    async def _remove_events(self, app_id: str) -> None:
        """Remove all events of an app of the sandbox, in any state."""
        inbox = await self._inbox()
        for stored in await inbox.events(app_id, limit=_MOST):
            # A broken store may show the events of other apps, which must stay.
            if stored.app_id.startswith(self.prefix):
                await inbox.drop_event(app_id, stored.event_id, keep=0)
        if await inbox.events(app_id, limit=1):
            raise LookupError

    def _all_shown(self, records: Sequence[EventRecord]) -> list[EventRecord]:
        return [self._shown_event(stored) for stored in records]

    def _shown_event(self, record: EventRecord) -> EventRecord:
        return replace(record, app_id=record.app_id.removeprefix(self.prefix))
