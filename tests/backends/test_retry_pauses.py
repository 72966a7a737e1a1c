"""The pauses between the attempts of an operation."""

from __future__ import annotations

import logging

import pytest

from tests.clocks import ManualClock
from wix_asgi_backends._retry import Retry, RetryLog

AGAIN = "The storage answers again after 30 s."


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops."""
    loop: str = request.param
    return loop


async def test_pauses_double_up_to_a_bound() -> None:
    """Each pause is of a random length up to a bound, which doubles up to a second."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    retry = Retry(sleep=sleep)
    bounds = [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    for attempt in range(len(bounds)):
        for _ in range(50):
            await retry.pause(attempt)
    most = [max(pauses[50 * attempt : 50 * attempt + 50]) for attempt in range(len(bounds))]

    assert all(bound / 2 < longest <= bound for longest, bound in zip(most, bounds, strict=True))
    assert len(set(pauses)) > 300


@pytest.mark.parametrize("attempt", [16, 1000, 100_000])
async def test_any_number_of_attempts(attempt: int) -> None:
    """The upper bound holds for attempts with any number."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    await Retry(sleep=sleep).pause(attempt)

    assert pauses[0] <= 1.0


def test_line_of_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """An outage that lasts is told once a minute, with its reason."""
    now = 0.0
    log = RetryLog(clock=lambda: now)
    for now in (0.0, 1.0, 59.9, 60.0, 61.0):
        log.tell(f"It failed at {now:g}.", Retry(), seconds=0.5)

    assert [
        "It failed at 0. Each operation is tried again for up to 10 s.",
        "It failed at 60. Each operation is tried again for up to 10 s.",
    ] == caplog.messages


def test_line_of_the_end_of_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """The first operation that is served after its failure tells the length, and no other does."""
    caplog.set_level(logging.INFO, "wix_asgi")
    clock = ManualClock()
    log = RetryLog(clock=clock)
    for seconds in (20.0, 9.0):
        log.tell("It failed.", Retry(), seconds=1.0)
        clock.advance(seconds)
    for _ in range(2):
        log.note_answer("The storage", Retry(), is_repeated=True)

    assert ["It failed. Each operation is tried again for up to 10 s.", AGAIN] == caplog.messages
    assert not log.is_failing


def test_another_operation_tells_the_end_when_none_fails_any_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Readers that are served beside writers that fail tell nothing; a second later they do."""
    caplog.set_level(logging.INFO, "wix_asgi")
    clock = ManualClock()
    log = RetryLog(clock=clock)
    log.tell("It failed.", Retry(), seconds=29.0)
    for _ in range(3):
        clock.advance(0.5)
        log.note_answer("The storage", Retry(), is_repeated=False)

    assert ["It failed. Each operation is tried again for up to 10 s.", AGAIN] == caplog.messages


def test_an_outage_without_a_line_has_none_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """A second outage in the same minute is told neither at its beginning nor at its end."""
    caplog.set_level(logging.INFO, "wix_asgi")
    clock = ManualClock()
    log = RetryLog(clock=clock)
    for _ in range(2):
        log.tell("It failed.", Retry(), seconds=1.0)
        log.note_answer("The storage", Retry(), is_repeated=True)
        clock.advance(20.0)

    assert 2 == len(caplog.messages)
