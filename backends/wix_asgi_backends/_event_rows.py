"""Turns events into the values of a row, and rows into events, also rows by another hand.

As in `_rows.py`, a value that no row of ours has becomes a harmless one. An event whose payload or
type is none of ours cannot be handled, and becomes a dead letter in the end.
"""

from __future__ import annotations

from types import SimpleNamespace

from wix_asgi.models import EventCounts, EventRecord, EventState
from wix_asgi_backends._rows import (
    EPOCH,
    RowUnreadable,
    milliseconds,
    moment,
    to_key,
    to_moment,
    to_number,
)

__all__ = ["from_event", "order_of_taking", "to_counts", "to_event"]


def from_event(record: EventRecord) -> dict[str, object]:
    """Return the values of a new event."""
    return {
        "the_app": record.app_id,
        "the_event": record.event_id,
        "the_alias": record.alias,
        "the_type": record.event_type,
        "the_instance": record.instance_id,
        "the_payload": record.payload,
        "the_issued_at": moment(record.issued_at),
        "the_attempts": record.attempts,
        "the_due_in": milliseconds(record.due_in),
        "the_outcomes": record.outcomes,
        "the_failure": record.failure,
    }


def to_event(row: SimpleNamespace) -> EventRecord:
    """Return the event in a row.

    Raises:
        RowUnreadable: A key cannot be read.
    """
    app_id, event_id = to_key(row.app_id), to_key(row.event_id)
    if app_id is None or event_id is None:
        raise RowUnreadable(row.event_id)
    payload = row.payload if isinstance(row.payload, bytes) else None
    state = _state(row)
    is_waiting = state == EventState.WAITING
    ends_in = None if row.expires_at is None else (to_number(row.expires_at) - row.now) / 1000
    return EventRecord(
        app_id=app_id,
        event_id=event_id,
        alias=to_key(row.alias),
        event_type=_text(row.event_type),
        instance_id=_text(row.instance_id),
        payload=payload,
        issued_at=to_moment(row.issued_at) or EPOCH,
        received_at=to_moment(row.received_at),
        state=state,
        attempts=_whole(row.attempts),
        due_in=(to_number(row.due_at) - row.now) / 1000 if is_waiting else 0.0,
        expires_in=None if is_waiting else ends_in,
        is_taken=row.taken_due_at is not None and to_number(row.due_at) > row.now,
        outcomes=row.outcomes if isinstance(row.outcomes, str) else "",
        failure=None if row.failure is None else str(row.failure),
    )


def to_counts(row: SimpleNamespace, limit: int) -> EventCounts:
    """Return the counts, each up to `limit`."""
    return EventCounts(
        waiting=min(row.waiting, limit),
        dead=row.dead,
        oldest_age=0.0 if row.oldest is None else (row.now - to_number(row.oldest)) / 1000,
        next_dead_in=None if row.next_dead is None else (to_number(row.next_dead) - row.now) / 1000,
    )


def order_of_taking(row: SimpleNamespace) -> float:
    """Return the moment at which a taken event was due, to sort by."""
    return to_number(row.taken_due_at)


def _state(row: SimpleNamespace) -> EventState:
    """Return the state; of another release's newer word, the state that the event is handled as."""
    if row.due_at is not None:
        return EventState.WAITING
    if row.state == EventState.DONE or row.payload is None:
        return EventState.DONE
    return EventState.DEAD


def _whole(value: object) -> int:
    # In SQLite a column of numbers may hold a fraction, or be infinite.
    return value if isinstance(value, int) else 0


def _text(value: object) -> str:
    key = to_key(value)
    return repr(value) if key is None else key
