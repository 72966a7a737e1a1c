"""The rate: a burst, then one after another, and a caller without a moment reserves none."""

from __future__ import annotations

from wix_asgi.concurrency.rate import Rate


def test_moments_come_one_after_another() -> None:
    """After its burst it gives each caller a moment of its own, up to the delay that suits it."""
    now = [100.0]
    rate = Rate(10.0, 2, lambda: now[0])
    delays = [rate.reserve(), rate.reserve(), rate.reserve()]
    waits = [rate.reserve(1.0), rate.reserve(1.0)]
    spent = rate.is_spent
    now[0] += 0.4
    after = rate.reserve()

    assert [0.0, 0.0, None] == delays
    assert [0.1, 0.2] == [round(wait or 0.0, 9) for wait in waits]
    assert (True, 0.0) == (spent, after)


def test_pause_brings_the_burst_back_and_no_more() -> None:
    """A long pause gives back the burst alone (R54)."""
    now = [100.0]
    rate = Rate(10.0, 3, lambda: now[0])
    now[0] += 3600.0
    delays = [rate.reserve() for _ in range(5)]

    assert [0.0, 0.0, 0.0, None, None] == delays
