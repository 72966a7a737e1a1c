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
        refused: How many were sent away.
        went_at: When each of the others went, in seconds.
        others: Seconds that the calls of other processes put off each of ours.
        may_go: Whether they leave anything.
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
        """Have so many ask for a turn at once; return when each went, in seconds.

        The process stands still from one second to another, and nobody wakes up meanwhile.
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
    """Any number of calls passes at once."""
    assert [0.0] * 1000 == await queue.ask(1000)


async def test_a_failure_puts_calls_in_a_row(queue: Queue) -> None:
    """After one there is a second without a turn, and then there are forty a second."""
    queue.throttle.note_failure()
    queue.clock.advance(0.5)
    queue.throttle.note_failure()

    assert [1.0, 1.025, 1.05, 1.075, 1.1] == await queue.ask(5)


async def test_a_row_has_an_end(queue: Queue) -> None:
    """Who would wait for more than two seconds is sent away, and takes nobody's turn."""
    queue.throttle.note_failure()
    went_at = await queue.ask(300)

    assert (82, 218) == (len(went_at), queue.refused)
    assert 3.025 == went_at[-1]
    assert 3.05 == (await queue.ask(1))[-1]


async def test_a_row_is_shorter_where_other_processes_call_too(queue: Queue) -> None:
    """Their calls put off ours, and the end of the row comes nearer; it goes back later."""
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


async def test_nobody_waits_for_long_where_the_row_was_misjudged(queue: Queue) -> None:
    """Where others put off all calls of a full row, it is left after four seconds."""
    queue.throttle.note_failure()
    queue.others = 1.0
    went_at = await queue.ask(82)

    assert 5.0 >= went_at[-1]
    assert 82 == len(went_at) + queue.refused


async def test_who_finds_no_place_among_other_processes_is_sent_away(queue: Queue) -> None:
    """They are waited for only while the throttle is on."""
    queue.may_go = False
    went_at = list(await queue.ask(3))
    queue.throttle.note_failure()
    await queue.ask(2)

    assert [0.0, 0.0, 0.0] == went_at == queue.went_at
    assert 2 == queue.refused


async def test_who_gives_up_leaves_the_row(queue: Queue) -> None:
    """A caller that is cancelled is not counted among those who wait."""
    queue.throttle.note_failure()
    await queue.ask(1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await queue.ask(200)
    queue.clock.advance(1)

    assert 82 == len(await queue.ask(300)) - 1


async def test_a_process_that_stood_still_does_not_make_up_for_it_at_once(queue: Queue) -> None:
    """The whole row is that much later, but for one call, each time the process stands still."""
    queue.throttle.note_failure()
    went_at = list(await queue.ask(8, stands_still=[(1.03, 1.5), (1.54, 2.0)]))
    went_later = (await queue.ask(4))[8:]

    assert [1.0, 1.025, 1.5, 1.5, 1.525, 2.0, 2.0, 2.025] == went_at
    assert [2.05, 2.075, 2.1, 2.125] == went_later


@pytest.mark.parametrize(("passed", "is_on"), [(0.0, True), (59.9, True), (60.0, False)])
async def test_it_is_let_off_when_nothing_failed_for_a_while(
    queue: Queue, passed: float, is_on: bool
) -> None:
    """A minute after the last failure everything passes again."""
    queue.throttle.note_failure()
    queue.clock.advance(passed)
    assert is_on == queue.throttle.is_on
    first, second = await queue.ask(2)

    assert is_on == (first < second)


async def test_a_failing_wix_is_throttled(fake: FakeWix, clock: ManualClock) -> None:
    """Whatever fails to be granted counts; what is refused for good does not."""
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


async def test_a_crowd_costs_nobody_a_token_that_is_alive(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored and good for some seconds is served, though nobody can refresh it now."""
    token = await engine.install(left=10)
    monkeypatch.setattr(FailureThrottle, "is_crowded", True)
    engine.oauth._throttle.note_failure()

    assert token.value == (await refresh(engine)).value
    assert [] == engine.fake.calls


async def test_a_crowd_is_told_at_once(
    engine: Engine, storage: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too many wait already, a refresh is not begun: it takes no lease and no call."""
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
