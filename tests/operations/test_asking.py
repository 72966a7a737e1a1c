"""Questions to Wix that wait together while it fails."""

from __future__ import annotations

import anyio
import pytest

from tests.engine import ManualClock
from tests.limits import PATIENCE
from wix_asgi.errors import WixUnavailable
from wix_asgi.operations._asking import AskPolicy, PatientAsker


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops, once."""
    backend: str = request.param
    return backend


async def test_questions_that_fail_together_share_a_pause(clock: ManualClock) -> None:
    """Three questions that fail at one moment have one pause, told once; then all are asked."""
    told: list[float] = []
    asleep = 0
    all_asked, over = anyio.Event(), anyio.Event()

    async def sleep(seconds: float) -> None:
        nonlocal asleep
        asleep += 1
        if asleep == 3:
            clock.advance(seconds)
            over.set()
        await over.wait()
        assert asleep == 3, "a question was asked a third time"

    def tell(_why: str, seconds: float) -> None:
        told.append(seconds)

    asker = PatientAsker(AskPolicy(), tell_pause=tell, clock=clock, jitter=lambda: 0.5, sleep=sleep)
    tries: list[int] = []

    async def ask(number: int) -> None:
        async def question() -> int:
            tries.append(number)
            if tries.count(number) == 1:
                if len(tries) == 3:
                    all_asked.set()
                await all_asked.wait()
                raise WixUnavailable
            return number

        assert number == await asker.ask(question)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(ask, number)

    assert [2.0] == told
    assert [0, 0, 1, 1, 2, 2] == sorted(tries)
