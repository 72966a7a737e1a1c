"""Moments: the forms in which Wix's proofs state them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wix_asgi.protocol.moments import read_iso, read_moment, read_time

MOMENT = datetime(2026, 11, 28, 22, 28, 9, tzinfo=UTC)
SECONDS = MOMENT.timestamp()
ISO = {
    "2026-11-28T22:28:09.000Z": SECONDS,
    "2026-11-28T22:28:09Z": SECONDS,
    "2026-11-28t22:28:09z": SECONDS,
    "2026-11-28T22:28:09": SECONDS,
    "2026-11-28 22:28:09": SECONDS,
    "2026-11-28T17:28:09.000-05:00": SECONDS,
    "2026-11-29T03:58:09+0530": SECONDS,
    "2026-11-28T23:28:09+01": SECONDS,
    "20261128T222809Z": SECONDS,
    "2026-W48-6T22:28:09Z": SECONDS,
    "2026W486T222809Z": SECONDS,
    "2026-332T22:28:09Z": SECONDS,
    "2026332T222809Z": SECONDS,
    "2026-11-28T22:28:09,5Z": SECONDS + 0.5,
    "2026-11-28T22:28:09.500000000Z": SECONDS + 0.5,
    " 2026-11-28T22:28:09Z ": SECONDS,
    "2026-11-28T22:28": SECONDS - 9,
    "2026-11-28": datetime(2026, 11, 28, tzinfo=UTC).timestamp(),
    "0001-01-01T00:00:00+14:00": datetime(1, 1, 1, tzinfo=UTC).timestamp() - 14 * 3600,
}
UNREADABLE = ["", "some day", "2026-13-01T00:00:00Z", "2026-366", "\ud800", "22:28:09", "Z"]


@pytest.mark.parametrize(("text", "expected"), ISO.items(), ids=ISO)
def test_iso_8601_is_read_in_every_form(text: str, expected: float) -> None:
    """Date and time may be extended, basic, by week or by day of the year; UTC by default (R53)."""
    assert expected == read_iso(text)
    assert expected == read_moment(text)


MOMENTS = {
    "seconds": (int(SECONDS), SECONDS),
    "seconds with a fraction": (SECONDS + 0.25, SECONDS + 0.25),
    "milliseconds": (int(SECONDS * 1000), SECONDS),
    "seconds as text": (str(int(SECONDS)), SECONDS),
    "seconds as text, with a fraction": (f"{int(SECONDS)}.25", SECONDS + 0.25),
    "milliseconds as text": (str(int(SECONDS * 1000)), SECONDS),
    "before the epoch": (-1, -1.0),
    "RFC 1123": ("Sat, 28 Nov 2026 22:28:09 GMT", SECONDS),
    "RFC 1123 with an offset": ("Sat, 28 Nov 2026 17:28:09 -0500", SECONDS),
    "RFC 1123 of an unknown zone": ("Sat, 28 Nov 2026 22:28:09 -0000", SECONDS),
    "a date without hyphens": ("20261128", datetime(2026, 11, 28, tzinfo=UTC).timestamp()),
}


@pytest.mark.parametrize(("value", "expected"), MOMENTS.values(), ids=MOMENTS)
def test_moments_are_read_in_every_form(value: object, expected: float) -> None:
    """Seconds and milliseconds since the epoch, numbers or texts, and RFC 1123 are read (R53)."""
    assert expected == read_moment(value)


@pytest.mark.parametrize("value", [*UNREADABLE, None, True, [], {}, [SECONDS]])
def test_rubbish_is_unreadable(value: object) -> None:
    """What is no moment is told from one (R53)."""
    assert read_iso(value) is None
    assert read_moment(value) is None


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400, -(10**400), "9" * 20])
def test_numbers_out_of_range_are_unreadable(value: object) -> None:
    """A number that no date is at is no moment (R53)."""
    assert read_moment(value) is None


@pytest.mark.parametrize("value", [SECONDS, str(int(SECONDS)), format_datetime(MOMENT)])
def test_iso_8601_is_nothing_else(value: object) -> None:
    """Where ISO 8601 is expected, a number or a date of RFC 1123 is unreadable (R53)."""
    assert read_iso(value) is None


@given(st.text() | st.text("0123456789-+:.TWZ ,GMTdec") | st.integers() | st.floats())
def test_any_value_is_read_or_not(value: object) -> None:
    """No value raises anything, and what is read is finite (R53)."""
    moment = read_moment(value)

    assert moment is None or abs(moment) < 1e12


TIMES = {
    "ISO 8601": ("2026-11-28T22:28:09.125Z", MOMENT.replace(microsecond=125_000)),
    "another offset": ("2026-11-28T17:28:09-05:00", MOMENT),
    "milliseconds": (int(SECONDS * 1000), MOMENT),
    "the first moment": ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
    "before the first moment": ("0001-01-01T00:00:00+14:00", None),
    "the last moment": ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    "after the last moment": ("9999-12-31T23:59:59-14:00", None),
    "no moment": ("some day", None),
    "nothing": (None, None),
}


@pytest.mark.parametrize(("value", "expected"), TIMES.values(), ids=TIMES)
def test_time_is_in_utc(value: object, expected: datetime | None) -> None:
    """A moment that Python's times have is a time in UTC, and any other is None."""
    assert expected == read_time(value)
