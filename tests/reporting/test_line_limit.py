"""Log lines that anybody can cause are logged once a period, and counted."""

from __future__ import annotations

from tests.engine import ManualClock
from wix_asgi.reporting.line_limit import LineLimit, and_more


def test_first_line_of_each_kind_is_logged() -> None:
    """The first line of each kind passes, whatever was logged of other kinds."""
    limit = LineLimit(1.0, clock=ManualClock())

    assert [0, 0] == [limit.admit("forged"), limit.admit("too_old")]


def test_repeated_lines_are_left_out_and_counted() -> None:
    """Within the period a kind is left out; its next line tells how many were left out (R49)."""
    clock = ManualClock()
    limit = LineLimit(1.0, clock=clock)
    limit.admit("forged")
    repeated = [limit.admit("forged") for _ in range(3)]
    clock.advance(1.0)

    assert [None, None, None] == repeated
    assert limit.admit("forged") == 3


def test_count_begins_anew() -> None:
    """Lines are counted from the last line that was logged."""
    clock = ManualClock()
    limit = LineLimit(1.0, clock=clock)
    limit.admit("forged")
    limit.admit("forged")
    clock.advance(1.0)
    limit.admit("forged")
    clock.advance(1.0)

    assert limit.admit("forged") == 0


def test_memory_is_bounded() -> None:
    """A thousand kinds are remembered, and the least recently logged kind is forgotten first."""
    limit = LineLimit(1.0, clock=ManualClock())
    for number in range(1001):
        limit.admit(number)

    assert [0, None] == [limit.admit(0), limit.admit(1000)]


def test_count_is_told_where_lines_were_left_out() -> None:
    """The end of a line tells how many were left out before it, and nothing where none were."""
    assert ["", " (and 7 more before it)"] == [and_more(0), and_more(7)]
