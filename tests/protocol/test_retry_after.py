from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wix_asgi._http import httpx
from wix_asgi.protocol.answers import retry_after

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(name="noon")
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", NOON.timestamp)


def asked(value: str) -> float | None:
    """Return the seconds that a Retry-After of `value` asks for."""
    return retry_after(httpx.Headers([(b"retry-after", value.encode())]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("999999999", 999_999_999.0),
        ("9999999999", None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("1e3", None),
        ("²", None),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
        ("Sun, 01 Jun 2025 12:00:00 +99999999999999", None),
        ("Sun, 01 Jun 2025 12:00:30 GMT", 30.0),
        ("Sun, 01 Jun 2025 13:00:30 +0100", 30.0),
        ("Sunday, 01-Jun-25 12:00:30 GMT", 30.0),
        ("Sun Jun  1 12:00:30 2025", 30.0),
        ("Sun, 01 Jun 2025 12:00:30 -0000", 30.0),
        ("Sun, 01 Jun 2025 11:59:00 GMT", 0.0),
        ("Sun, 31 Feb 2025 12:00:00 GMT", None),
    ],
)
@pytest.mark.usefixtures("noon")
def test_retry_after_is_seconds_or_a_date(value: str, expected: float | None) -> None:
    """Seconds and all forms of HTTP dates are read, a past date as 0; nonsense is ignored."""
    assert expected == asked(value)


@pytest.mark.usefixtures("noon")
def test_a_date_without_a_zone_is_not_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time zone of the host does not change the meaning of a date."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    seconds = asked("Sun Jun  1 12:00:30 2025")
    monkeypatch.delenv("TZ")
    time.tzset()

    assert 30.0 == seconds


def test_no_retry_after_is_none() -> None:
    """A missing header asks for no pause."""
    assert retry_after(httpx.Headers()) is None


@given(
    st.text(st.characters(codec="latin-1"))
    | st.from_regex(r"[0-9A-Za-z ,:+-]{1,40}", fullmatch=True)
)
def test_any_retry_after_is_read_or_ignored(value: str) -> None:
    """No header makes the parser fail or ask for a negative pause."""
    seconds = retry_after(httpx.Headers([(b"retry-after", value.encode("latin-1"))]))

    assert seconds is None or seconds >= 0


@given(st.datetimes(datetime(2025, 6, 1, 12), datetime(2030, 1, 1)))  # noqa: DTZ001 - as hypothesis wants them
def test_dates_make_the_round_trip(moment: datetime) -> None:
    """A date that a server writes is read as the seconds until then."""
    whole = moment.replace(microsecond=0, tzinfo=UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", NOON.timestamp)

        assert (whole - NOON) / timedelta(seconds=1) == asked(format_datetime(whole, usegmt=True))
