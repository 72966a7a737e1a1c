"""Turns records into the values of a row, and rows into records, also rows by another hand.

The columns that are not sealed can be changed by anybody with access to the database: a number that
no record of ours has becomes a harmless number, so that a single row never ends a scan.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Final

from wix_asgi.models import GrantType, Record
from wix_asgi_backends._schema import decode_key

__all__ = [
    "EPOCH",
    "RowUnreadable",
    "from_record",
    "milliseconds",
    "moment",
    "to_key",
    "to_moment",
    "to_number",
    "to_record",
]

EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# A year before the last that `datetime` has, so that its conversion into any time zone succeeds.
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)

# Hexadecimal digits; an instance id of Wix has 36 characters.
_SHOWN_DIGITS: Final = 80


class RowUnreadable(ValueError):
    """A row whose key is not UTF-8, or that has another type in a column, as SQLite allows.

    The message names the row by its key in hexadecimal digits.
    """

    def __init__(self, key: object) -> None:
        """Name the row with this key."""
        name = key.hex() if isinstance(key, bytes) else type(key).__name__
        super().__init__(name[:_SHOWN_DIGITS])


def milliseconds(seconds: float) -> int:
    """Return the number that a row has for a duration."""
    return round(seconds * 1000)


def moment(time: datetime) -> int:
    """Return the number that a row has for a moment."""
    return (time - EPOCH) // _MILLISECOND


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
        "the_grant_type": record.grant_type,
        "the_origin": record.origin_instance_id,
        "the_debt": record.owes_on_install,
    }
    return values, {"the_expires_in": record.expires_in, "the_retry_in": record.retry_in}


def to_record(row: SimpleNamespace) -> Record:
    """Return the record in a row of `READ` or `SCAN`.

    Raises:
        RowUnreadable: The key or a token cannot be read.
    """
    types = (row.version, str), (row.refresh_token, bytes), (row.access_token, bytes | None)
    try:
        app_id, instance_id = decode_key(row.app_id), decode_key(row.instance_id)
    except (TypeError, ValueError):
        raise RowUnreadable(row.instance_id) from None
    if not all(isinstance(value, kind) for value, kind in types):
        raise RowUnreadable(row.instance_id)
    grant_type, failure = _grant_type_and_failure(row)
    return Record(
        app_id=app_id,
        instance_id=instance_id,
        version=row.version,
        refresh_token=row.refresh_token,
        access_token=row.access_token,
        lifetime=to_number(row.lifetime) / 1000,
        expires_in=(to_number(row.expires_at) - row.now) / 1000,
        failure=failure,
        retry_in=(to_number(row.retry_at) - row.now) / 1000,
        installed_at=to_moment(row.installed_at),
        grant_type=grant_type,
        origin_instance_id=to_key(row.origin_instance_id),
        # SQLite has numbers for truth values, and may hold anything else.
        owes_on_install=row.owes_on_install == 1,
    )


def _grant_type_and_failure(row: SimpleNamespace) -> tuple[str | None, str | None]:
    """Return both, corrected where a version without the column `grant_type` wrote the row last.

    Such a version knows refresh tokens alone. Its tokens came by one, from an install or a refresh,
    so that the grant type of the row belongs to earlier tokens. Its failures are those of a refresh
    token, and say nothing of client credentials.
    """
    grant_type = row.grant_type if isinstance(row.grant_type, str) else None
    failure = None if row.failure is None else str(row.failure)
    if row.described_version != row.version:
        if failure is None:
            grant_type = None
        elif grant_type == GrantType.CLIENT_CREDENTIALS:
            failure = None
    return grant_type, failure


def to_key(value: object) -> str | None:
    """Return the text of a key; None of other bytes and of other types."""
    try:
        return decode_key(value) if isinstance(value, bytes) else None
    except UnicodeDecodeError:
        return None


def to_number(value: object) -> float:
    """Return the number in a column, or 0."""
    # In SQLite a column of numbers may hold a text.
    return value if isinstance(value, int | float) else 0


def to_moment(value: object) -> datetime | None:
    """Return the time of a moment in a column, or None if Python has no such time."""
    try:
        time = EPOCH + to_number(value) * _MILLISECOND
    except (OverflowError, ValueError):
        return None
    return time if time < _LAST else None
