"""An endpoint that is failing is spared."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
import stamina
from anyio.lowlevel import checkpoint

from tests.engine import (
    ACCESS,
    FAILING,
    Engine,
    ManualClock,
    Steps,
    make_oauth,
    make_settings,
    refresh,
    refresh_failure,
)
from wix_asgi.errors import GrantRefused, WixUnavailable
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.oauth.throttle import FailureThrottle
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.testing import FakeWix


class Queue:
    """Callers of a throttle, on a clock that goes on while the first of them waits.

    Attributes:
        refused: How many calls were refused.
        went_at: When each accepted call was let go, in seconds.
        others: Seconds that the calls of other processes put off each of ours.
        may_go: Whether the other processes leave room for a call.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.throttle = FailureThrottle(
            shared_rate=self._shared_rate, clock=clock, sleep=self._sleep
        )
        self.refused = 0
        self.went_at: list[float] = []
        self.others = 0.0
        self.may_go = True
        self._began = clock()
        self._stands_still: Sequence[tuple[float, float]] = ()

    async def ask(
        self, count: int, *, stands_still: Sequence[tuple[float, float]] = ()
    ) -> list[float]:
        """Have `count` calls ask at once; return when each was let go, in seconds.

        The process stands still in each interval of seconds, and no task wakes up in it.
        """
        self._stands_still = stands_still
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(self._ask_once)
        return self.went_at

    async def _ask_once(self) -> None:
        if await self.throttle.acquire():
            self.went_at.append(round(self.clock() - self._began, 3))
        else:
            self.refused += 1

    async def _shared_rate(self) -> bool:
        await checkpoint()
        self.clock.advance(self.others)
        return self.may_go

    async def _sleep(self, seconds: float) -> None:
        await checkpoint()
        self.clock.advance(seconds)
        for begin, end in self._stands_still:
            if begin <= self.clock() - self._began < end:
                self.clock.now = self._began + end


@pytest.fixture(name="queue")
def _queue(clock: ManualClock) -> Queue:
    return Queue(clock)


async def test_nothing_is_slowed_while_all_is_well(queue: Queue) -> None:
    """Any number of calls passes at once while none has failed."""
    assert [0.0] * 1000 == await queue.ask(1000)


async def test_calls_queue_after_a_failure(queue: Queue) -> None:
    """For a second no call passes, and then forty a second."""
    queue.throttle.note_failure()
    queue.clock.advance(0.5)
    queue.throttle.note_failure()

    assert [1.0, 1.025, 1.05, 1.075, 1.1] == await queue.ask(5)


async def test_the_queue_has_an_end(queue: Queue) -> None:
    """A call that would wait for over two seconds is refused, and takes no part of the rate."""
    queue.throttle.note_failure()
    went_at = await queue.ask(300)

    assert (82, 218) == (len(went_at), queue.refused)
    assert 3.025 == went_at[-1]
    assert 3.05 == (await queue.ask(1))[-1]


async def test_the_queue_is_shorter_where_other_processes_call_too(queue: Queue) -> None:
    """Their calls put off ours, so that fewer calls may queue; and more again when they end."""
    queue.throttle.note_failure()
    queue.others = 0.1
    await queue.ask(50)
    slow = len(queue.went_at)
    await queue.ask(300)
    slow_again = len(queue.went_at) - slow
    queue.others = 0.0
    queue.throttle.note_failure()
    await queue.ask(10)
    await queue.ask(10)
    before = len(queue.went_at)
    await queue.ask(300)

    # Three seconds' worth after the quiet one: whoever has waited for four is sent away.
    assert pytest.approx(30, abs=1) == slow
    assert pytest.approx(20, abs=2) == slow_again
    assert len(queue.went_at) - before > 60


async def test_one_slow_step_does_not_shorten_the_queue(queue: Queue) -> None:
    """The usual step is an average: one slow answer of the storage sends no call away."""
    queue.throttle.note_failure()
    queue.others = 0.1
    await queue.ask(1)
    queue.others = 0.0
    await queue.ask(50)

    assert 0 == queue.refused


async def test_a_misjudged_queue_is_left_after_four_seconds(queue: Queue) -> None:
    """Where other processes put off all calls of a full queue, the calls are given up."""
    queue.throttle.note_failure()
    queue.others = 1.0
    went_at = await queue.ask(82)

    assert 5.0 >= went_at[-1]
    assert 82 == len(went_at) + queue.refused


async def test_a_call_without_room_among_other_processes_is_refused(queue: Queue) -> None:
    """Other processes count only while calls fail."""
    queue.may_go = False
    went_at = list(await queue.ask(3))
    queue.throttle.note_failure()
    await queue.ask(2)

    assert [0.0, 0.0, 0.0] == went_at == queue.went_at
    assert 2 == queue.refused


async def test_a_cancelled_call_leaves_the_queue(queue: Queue) -> None:
    """It is not counted among the waiting calls any more."""
    queue.throttle.note_failure()
    await queue.ask(1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await queue.ask(200)
    queue.clock.advance(1)

    assert 82 == len(await queue.ask(300)) - 1


async def test_a_process_that_stood_still_does_not_make_up_for_it_at_once(queue: Queue) -> None:
    """The whole queue is that much later, but for one call, each time the process stands still."""
    queue.throttle.note_failure()
    went_at = list(await queue.ask(8, stands_still=[(1.03, 1.5), (1.54, 2.0)]))
    went_later = (await queue.ask(4))[8:]

    assert [1.0, 1.025, 1.5, 1.5, 1.525, 2.0, 2.0, 2.025] == went_at
    assert [2.05, 2.075, 2.1, 2.125] == went_later


@pytest.mark.parametrize(("passed", "is_on"), [(0.0, True), (59.9, True), (60.0, False)])
async def test_the_throttle_ends_a_minute_after_the_last_failure(
    queue: Queue, passed: float, is_on: bool
) -> None:
    """Then every call passes at once again."""
    queue.throttle.note_failure()
    queue.clock.advance(passed)
    assert is_on == queue.throttle.is_on
    first, second = await queue.ask(2)

    assert is_on == (first < second)


async def test_a_failing_wix_is_throttled(fake: FakeWix, clock: ManualClock) -> None:
    """Every transient failure counts; a refusal for good does not."""
    throttle = FailureThrottle(clock=clock)
    oauth = OAuthClient(
        Endpoints(make_settings(fake)), fake.transport, clock=clock, throttle=throttle
    )
    with stamina.set_testing(True, attempts=1):
        with pytest.raises(GrantRefused):
            await oauth.exchange("no code")
        is_on = [throttle.is_on]
        fake.fail("/oauth2/token-info", **FAILING)
        with pytest.raises(WixUnavailable):
            await oauth.token_info("any token")

    assert [False, True] == [*is_on, throttle.is_on]


async def test_retries_end_with_their_budget(fake: FakeWix, clock: ManualClock) -> None:
    """A process whose calls all fail soon makes each of them once."""
    oauth = make_oauth(fake, clock=clock)
    fake.fail(ACCESS, times=None, **FAILING)
    counts: list[int] = []
    with stamina.set_testing(True, attempts=3):
        for _ in range(8):
            fake.calls.clear()
            clock.advance(60)
            with pytest.raises(WixUnavailable):
                await oauth.refresh("any token")
            counts.append(fake.count(ACCESS))

    assert [3, 3, 3, 3, 3] == counts[:5]
    assert 12 >= sum(counts[5:])


async def test_a_living_token_outlasts_a_crowd(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored token that is good for some seconds is served, though no refresh can be made now."""
    token = await engine.install(left=10)
    monkeypatch.setattr(FailureThrottle, "is_crowded", True)
    engine.oauth._throttle.note_failure()

    assert token.value == (await refresh(engine)).value
    assert [] == engine.fake.calls


async def test_a_crowd_is_told_at_once(
    engine: Engine, storage: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too many calls queue already, a refresh is not begun: it takes no lease and no call."""
    await engine.install(left=0)
    monkeypatch.setattr(FailureThrottle, "is_crowded", True)
    engine.oauth._throttle.note_failure()
    storage.log.clear()
    error = await refresh_failure(engine)
    with pytest.raises(WixUnavailable) as caught:
        await engine.oauth.exchange("any code")

    assert isinstance(error, WixUnavailable)
    assert ["get"] == storage.log
    assert [] == engine.fake.calls
    assert caught.value.unsent
