"""The facts of an event that commands print: none is a secret, and none is of its payload."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import typer

from wix_asgi.cli._operating import listed, readable, utc_text
from wix_asgi.models import EventRecord, EventState

__all__ = ["event_facts", "print_facts", "print_row", "row_head", "short_id"]

_SHORT_ID: Final = 12
"""Digits of an id in a table, 48 bits: of a million events hardly two begin alike."""

_COLUMNS: Final = "{:12}  {:36}  {:36}  {:7}  {:>8}  {:>6}  {:>9}  {}"
"""Id, type, site, state, attempts, age, next attempt, failure; sites and most types fit."""

_TYPE_WIDTH: Final = 36
"""Characters of the column of types."""

_UNITS: Final = (("d", 86_400), ("h", 3600), ("min", 60))


def event_facts(record: EventRecord) -> dict[str, Any]:
    """Return the fields of an event that `list` and `tail` print as JSON."""
    now = datetime.now(UTC)
    is_waiting = record.state is EventState.WAITING
    ends_in = record.expires_in
    return {
        "id": record.event_id,
        "type": record.event_type,
        "instance_id": record.instance_id,
        "state": record.state.value,
        "running": record.is_taken,
        "attempts": record.attempts,
        "issued_at": utc_text(record.issued_at),
        "received_at": utc_text(record.received_at),
        "next_attempt_at": utc_text(_after(now, record.due_in)) if is_waiting else None,
        "forgotten_at": None if ends_in is None else utc_text(_after(now, ends_in)),
        "failure": record.failure,
    }


def short_id(event_id: str) -> str:
    """Return the beginning of an id that a table has, in printable ASCII."""
    return listed([event_id])[:_SHORT_ID]


def row_head() -> str:
    """Return the line above the rows."""
    return _COLUMNS.format("ID", "TYPE", "SITE", "STATE", "ATTEMPTS", "AGE", "NEXT", "FAILURE")


def print_row(record: EventRecord) -> None:
    """Print the line of one event."""
    row = _COLUMNS.format(
        short_id(record.event_id),
        _short_type(record.event_type),
        listed([record.instance_id]),
        _state(record),
        record.attempts,
        _age(record),
        _next(record),
        listed([record.failure or ""]),
    )
    typer.echo(row.rstrip())


def _short_type(event_type: str) -> str:
    """Return a type, or its end: Wix's types of one product begin alike."""
    told = listed([event_type])
    return told if len(told) <= _TYPE_WIDTH else f"...{told[3 - _TYPE_WIDTH :]}"


def print_facts(record: EventRecord, handlers: Mapping[str, str], keys: str) -> None:
    """Print all about one event, a line for each of its facts and each of its handlers."""
    facts = event_facts(record)
    for name, value in [
        ("id", listed([record.event_id])),
        ("type", listed([record.event_type])),
        ("site", listed([record.instance_id])),
        ("state", _state(record)),
        ("attempts", f"{record.attempts:,} since it came, or was last retried"),
        ("issued", f"{readable(facts['issued_at'])} UTC"),
        ("received", f"{readable(facts['received_at'])} UTC"),
        ("next attempt", _next(record) or "none"),
        ("forgotten", _forgotten(facts["forgotten_at"])),
        ("last failure", listed([record.failure or "none"])),
        ("payload", keys),
        *(("handler", f"{listed([name])}: {outcome}") for name, outcome in handlers.items()),
    ]:
        typer.echo(f"{name:12}  {value}")


def _forgotten(moment: str | None) -> str:
    return "not before it has ended" if moment is None else f"{readable(moment)} UTC"


def _after(now: datetime, seconds: float) -> datetime | None:
    try:
        return now + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        # An operator's hand, or a backend of others: one row must not end a list.
        return None


def _state(record: EventRecord) -> str:
    return "running" if record.is_taken else record.state.value


def _age(record: EventRecord) -> str:
    now = datetime.now(UTC)
    return _duration((now - (record.received_at or now)).total_seconds())


def _next(record: EventRecord) -> str:
    if record.state is not EventState.WAITING or record.is_taken:
        return ""
    return f"in {_duration(record.due_in)}" if record.due_in > 0 else "now"


def _duration(seconds: float) -> str:
    """Return seconds in the largest unit that they are two of, or more."""
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
