"""Moments in the claims of Wix's proofs: ISO 8601, seconds or milliseconds, and RFC 1123."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["read_iso", "read_moment", "read_time"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ORDINAL = re.compile(r"([0-9]{4})-?([0-9]{3})(?![0-9-])(.*)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,9})?")
_DATE: Final = re.compile(r"[0-9]{7,8}")
"""An ISO 8601 date without hyphens, rather than seconds: as such it would be of 1973 at most."""

_FIRST_MILLISECOND: Final = 1e11
"""As seconds the year 5138, as milliseconds 1973: a larger number is in milliseconds."""

_LAST_MILLISECOND: Final = 253_402_300_799_999
"""The end of the year 9999, which is the last that Python's `datetime` knows."""


def read_iso(value: object) -> float | None:
    """Return the seconds since the epoch of an ISO 8601 date or time; None if it is none.

    Without an offset it is in UTC. Week dates and ordinal dates are read, too.
    """
    if not isinstance(value, str):
        return None
    text = value.strip().upper()
    try:
        moment = datetime.fromisoformat(_without_day_of_year(text))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _without_day_of_year(text: str) -> str:
    """Return `2026-11-28…` for `2026-332…`, which Python does not read."""
    ordinal = _ORDINAL.fullmatch(text)
    if ordinal is None:
        return text
    year, day, rest = ordinal.groups()
    date = datetime.strptime(year + day, "%Y%j").date()  # noqa: DTZ007 - a date alone
    # Day 366 of a shorter year would be the first of the next.
    return date.isoformat() + rest if date.year == int(year) else ""


def read_moment(value: object) -> float | None:
    """Return the seconds since the epoch of a moment in any of the forms; None if it is none.

    Seconds and milliseconds since the epoch may be a number or the text of one.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _read_number(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text) and not _DATE.fullmatch(text):
        return _read_number(float(text))
    moment = read_iso(text)
    return _read_date(text) if moment is None else moment


def read_time(value: object) -> datetime | None:
    """Return the time in UTC of a moment in any of the forms; None if it is none."""
    seconds = read_moment(value)
    try:
        return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _read_number(number: float) -> float | None:
    # Not a number is neither less nor more.
    if not abs(number) <= _LAST_MILLISECOND:
        return None
    return number / 1000 if abs(number) >= _FIRST_MILLISECOND else float(number)


def _read_date(text: str) -> float | None:
    """Read the date of RFC 1123, as HTTP and mail have it; without a zone it is in UTC."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
