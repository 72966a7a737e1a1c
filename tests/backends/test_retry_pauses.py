"""The pauses between the attempts of an operation."""

from __future__ import annotations

import pytest

from wix_asgi_backends._retry import Retry, RetryLog


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
        log.tell(f"It failed at {now:g}.", Retry())

    assert [
        "It failed at 0. Each operation is tried again for up to 10 s.",
        "It failed at 60. Each operation is tried again for up to 10 s.",
    ] == caplog.messages
