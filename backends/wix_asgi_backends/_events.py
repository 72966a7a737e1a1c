"""The inbox of the storages in a SQL database."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import ClassVar, Final

from wix_asgi.models import EventCounts, EventRecord, EventState
from wix_asgi_backends._event_rows import from_event, order_of_taking, to_counts, to_event
from wix_asgi_backends._event_statements import COUNT, LISTS, READ_EVENT, EventWrites
from wix_asgi_backends._rows import RowUnreadable, milliseconds
from wix_asgi_backends._running import Runner
from wix_asgi_backends._schema import encode_key

__all__ = ["SQLEvents"]

logger = logging.getLogger("wix_asgi")

# Rows; enough to show where they come from.
_SHOWN_ROWS: Final = 5


class SQLEvents(Runner):
    """Keeps events in a database that SQLAlchemy can use, on asyncio."""

    _event_writes: ClassVar[EventWrites]

    async def add_event(self, record: EventRecord) -> bool:
        """Keep `record` as waiting, unless a key of it is known."""
        return (await self._execute(self._event_writes.add, from_event(record))).count > 0

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        """Take up to `limit` due events for `lease` seconds; the owner's own come first."""
        values = {
            "the_app": app_id,
            "the_owner": owner,
            "the_limit": limit,
            "the_lease": milliseconds(lease),
        }
        # An attempt that took events and failed finds them again as the owner's own.
        taken = await self._execute_all(self._event_writes.take, values)
        return _readable(sorted(taken.rows, key=order_of_taking), app_id)

    async def renew_event(
        self, app_id: str, event_id: str, owner: str, *, lease: float, outcomes: str
    ) -> bool:
        """Let the lease end `lease` seconds from now, and note the outcomes so far."""
        values = _of(app_id, event_id, owner) | {
            "the_lease": milliseconds(lease),
            "the_outcomes": outcomes,
        }
        return (await self._execute(self._event_writes.renew, values)).count > 0

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
        """End the event: done without its payload, or a dead letter."""
        state = EventState.DEAD if is_dead else EventState.DONE
        values = _of(app_id, event_id, owner) | {
            "the_keep": milliseconds(keep),
            "the_outcomes": outcomes,
            "the_failure": failure,
        }
        writes = self._event_writes
        done = await self._execute(writes.finish[state], values, again=writes.finish_again[state])
        return done.count > 0

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
        """Give the event back, due in `delay` seconds; uncount the attempt if not `is_counted`."""
        values = _of(app_id, event_id, owner) | {
            "the_delay": milliseconds(delay),
            "the_outcomes": outcomes,
            "the_failure": failure,
            "the_uncounted": 0 if is_counted else 1,
        }
        writes = self._event_writes
        done = await self._execute(writes.postpone, values, again=writes.postpone_again)
        return done.count > 0

    async def event(self, app_id: str, event_id: str) -> EventRecord | None:
        """Return the event, ended or not, or None."""
        found = await self._execute(READ_EVENT, _of(app_id, event_id))
        return to_event(found.rows[0]) if found.rows else None

    async def events(
        self, app_id: str, *, state: EventState | None = None, after: str = "", limit: int = 100
    ) -> Sequence[EventRecord]:
        """Return one page of events, in the order of their ids.

        Rows that cannot be read are left out, and told in the log.
        """
        records: list[EventRecord] = []
        start = encode_key(after)
        while (room := limit - len(records)) > 0:
            page = {"the_app": app_id, "the_start": start, "the_limit": room}
            rows = (await self._execute(LISTS[state], page)).rows
            records += _readable(rows, app_id)
            if len(rows) < room:
                break
            start = rows[-1].event_id
        return records

    async def count_events(self, app_id: str, *, limit: int) -> EventCounts:
        """Count waiting events and dead letters, each up to `limit`."""
        found = await self._execute(COUNT, {"the_app": app_id, "the_limit": limit})
        return to_counts(found.rows[0], limit)

    async def retry_event(
        self, app_id: str, event_id: str, *, outcomes: str, expected: str | None = None
    ) -> bool:
        """Make a dead letter, or a waiting event outside a lease, due now."""
        writes, values = self._event_writes, _of(app_id, event_id) | {"the_outcomes": outcomes}
        if expected is None:
            return (await self._execute(writes.retry, values)).count > 0
        values |= {"the_expected": expected}
        return (await self._execute(writes.retry_expected, values)).count > 0

    async def drop_event(self, app_id: str, event_id: str, *, keep: float) -> bool:
        """End an event as done and without its payload; any event is gone if `keep` is 0."""
        writes, key = self._event_writes, _of(app_id, event_id)
        if keep <= 0:
            return (await self._execute(writes.forget, key)).count > 0
        values = key | {"the_keep": milliseconds(keep)}
        return (await self._execute(writes.drop, values, again=writes.drop_again)).count > 0

    async def reseal_event(
        self, app_id: str, event_id: str, payload: bytes, *, expected: bytes
    ) -> bool:
        """Write `payload` only if the stored one is `expected`."""
        values = _of(app_id, event_id) | {"the_payload": payload, "the_expected": expected}
        writes = self._event_writes
        return (await self._execute(writes.reseal, values, again=writes.reseal_again)).count > 0


def _of(app_id: str, event_id: str, owner: str | None = None) -> dict[str, object]:
    key: dict[str, object] = {"the_app": app_id, "the_event": event_id}
    return key if owner is None else key | {"the_owner": owner}


def _readable(rows: Iterable[SimpleNamespace], app_id: str) -> list[EventRecord]:
    """Return the events of these rows, without the rows whose keys cannot be read."""
    records, left_out = list[EventRecord](), list[str]()
    for row in rows:
        try:
            records.append(to_event(row))
        except RowUnreadable as exc:
            left_out.append(str(exc))
    if left_out:
        logger.warning(
            "%d events of app %s cannot be read and are left out; their ids in hexadecimal are %s",
            len(left_out),
            app_id,
            ", ".join(left_out[:_SHOWN_ROWS]),
        )
    return records
