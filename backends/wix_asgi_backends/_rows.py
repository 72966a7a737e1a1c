"""Turns records into the values of a row, and rows into records, also rows by another hand.

The columns that are not sealed can be changed by anybody with access to the database: a number that
no record of ours has becomes a harmless number, so that a single row never ends a scan.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row

from wix_asgi.models import Record
from wix_asgi_backends._schema import decode_key

__all__ = ["RowUnreadable", "from_record", "milliseconds", "moment", "to_record"]

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# A year before the last that `datetime` has, so that its conversion into any time zone succeeds.
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)

# Hexadecimal digits; an instance id of Wix has 36 characters.
_SHOWN_DIGITS: Final = 80


class RowUnreadable(ValueError):
    """A row whose key is not UTF-8, or that has another type in a column, as SQLite allows.

    The message names the row by its key in hexadecimal digits.
    """

    def __init__(self, row: Row[Any]) -> None:
        """Name the row."""
        key = row.instance_id
        name = key.hex() if isinstance(key, bytes) else type(key).__name__
        super().__init__(name[:_SHOWN_DIGITS])


def milliseconds(seconds: float) -> int:
    """Return the number that a row has for a duration."""
    return round(seconds * 1000)


def moment(time: datetime) -> int:
    """Return the number that a row has for a moment."""
    return (time - _EPOCH) // _MILLISECOND


def from_record(record: Record) -> tuple[dict[str, object], dict[str, float]]:
    """Return a record's values, and its durations in seconds."""
    values: dict[str, object] = {
        "the_app": record.app_id,
        "the_instance": record.instance_id,
        "the_version": record.version,
        "the_refresh_token": record.refresh_token,
        "the_access_token": record.access_token,
        "the_lifetime": milliseconds(record.lifetime),
        "the_failure": record.failure,
    }
    return values, {"the_expires_in": record.expires_in, "the_retry_in": record.retry_in}


def to_record(row: Row[Any]) -> Record:
    """Return the record in a row of `READ` or `SCAN`.

    Raises:
        RowUnreadable: The key or a token cannot be read.
    """
    types = (row.version, str), (row.refresh_token, bytes), (row.access_token, bytes | None)
    try:
        app_id, instance_id = decode_key(row.app_id), decode_key(row.instance_id)
    except (TypeError, ValueError):
        raise RowUnreadable(row) from None
    if not all(isinstance(value, kind) for value, kind in types):
        raise RowUnreadable(row)
    return Record(
        app_id=app_id,
        instance_id=instance_id,
        version=row.version,
        refresh_token=row.refresh_token,
        access_token=row.access_token,
        lifetime=_number(row.lifetime) / 1000,
        expires_in=(_number(row.expires_at) - row.now) / 1000,
        failure=None if row.failure is None else str(row.failure),
        retry_in=(_number(row.retry_at) - row.now) / 1000,
        installed_at=_moment(row.installed_at),
    )


def _number(value: object) -> float:
    # In SQLite a column of numbers may hold a text.
    return value if isinstance(value, int | float) else 0


def _moment(value: object) -> datetime | None:
    try:
        time = _EPOCH + _number(value) * _MILLISECOND
    except (OverflowError, ValueError):
        return None
    return time if time < _LAST else None
