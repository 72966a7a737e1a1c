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


class Row:
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


@pytest.fixture(name="row")
def _row(clock: ManualClock) -> Row:
    return Row(clock)


async def test_nothing_is_slowed_while_all_is_well(row: Row) -> None:
    """Any number of calls passes at once."""
    assert [0.0] * 1000 == await row.ask(1000)


async def test_a_failure_puts_calls_in_a_row(row: Row) -> None:
    """After one there is a second without a turn, and then there are forty a second."""
    row.throttle.note_failure()
    row.clock.advance(0.5)
    row.throttle.note_failure()

    assert [1.0, 1.025, 1.05, 1.075, 1.1] == await row.ask(5)


async def test_a_row_has_an_end(row: Row) -> None:
    """Who would wait for more than two seconds is sent away, and takes nobody's turn."""
    row.throttle.note_failure()
    went_at = await row.ask(300)

    assert (82, 218) == (len(went_at), row.refused)
    assert 3.025 == went_at[-1]
    assert 3.05 == (await row.ask(1))[-1]


async def test_a_row_is_shorter_where_other_processes_call_too(row: Row) -> None:
    """Their calls put off ours, and the end of the row comes nearer; it goes back later."""
    row.throttle.note_failure()
    row.others = 0.1
    await row.ask(50)
    slow = len(row.went_at)
    await row.ask(300)
    slow_again = len(row.went_at) - slow
    row.others = 0.0
    row.throttle.note_failure()
    await row.ask(10)
    await row.ask(10)
    before = len(row.went_at)
    await row.ask(300)

    # Three seconds' worth after the quiet one: whoever has waited for four is sent away.
    assert pytest.approx(30, abs=1) == slow
    assert pytest.approx(20, abs=2) == slow_again
    assert len(row.went_at) - before > 60


async def test_nobody_waits_for_long_where_the_row_was_misjudged(row: Row) -> None:
    """Where others put off all calls of a full row, it is left after four seconds."""
    row.throttle.note_failure()
    row.others = 1.0
    went_at = await row.ask(82)

    assert 5.0 >= went_at[-1]
    assert 82 == len(went_at) + row.refused


async def test_who_finds_no_place_among_other_processes_is_sent_away(row: Row) -> None:
    """They are waited for only while the throttle is on."""
    row.may_go = False
    went_at = list(await row.ask(3))
    row.throttle.note_failure()
    await row.ask(2)

    assert [0.0, 0.0, 0.0] == went_at == row.went_at
    assert 2 == row.refused


async def test_who_gives_up_leaves_the_row(row: Row) -> None:
    """A caller that is cancelled is not counted among those who wait."""
    row.throttle.note_failure()
    await row.ask(1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await row.ask(200)
    row.clock.advance(1)

    assert 82 == len(await row.ask(300)) - 1


async def test_a_process_that_stood_still_does_not_make_up_for_it_at_once(row: Row) -> None:
    """The whole row is that much later, but for one call, each time the process stands still."""
    row.throttle.note_failure()
    went_at = list(await row.ask(8, stands_still=[(1.03, 1.5), (1.54, 2.0)]))
    went_later = (await row.ask(4))[8:]

    assert [1.0, 1.025, 1.5, 1.5, 1.525, 2.0, 2.0, 2.025] == went_at
    assert [2.05, 2.075, 2.1, 2.125] == went_later


@pytest.mark.parametrize(("passed", "is_on"), [(0.0, True), (59.9, True), (60.0, False)])
async def test_it_is_let_off_when_nothing_failed_for_a_while(
    row: Row, passed: float, is_on: bool
) -> None:
    """A minute after the last failure everything passes again."""
    row.throttle.note_failure()
    row.clock.advance(passed)
    assert is_on == row.throttle.is_on
    first, second = await row.ask(2)

    assert is_on == (first < second)


async def test_repeats_have_a_budget(row: Row) -> None:
    """Ten are there in advance; then there is one for every five calls."""
    at_once = [row.throttle.may_repeat() for _ in range(12)]
    await row.ask(10)
    earned = [row.throttle.may_repeat() for _ in range(3)]

    assert [True] * 10 + [False] * 2 == at_once
    assert [True, True, False] == earned


async def test_the_budget_does_not_pile_up(row: Row) -> None:
    """However many calls there were, no more than ten repeats are in hand."""
    await row.ask(1000)

    assert 10 == sum(row.throttle.may_repeat() for _ in range(1000))


async def test_a_failing_wix_puts_the_brake_on(fake: FakeWix, clock: ManualClock) -> None:
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


async def test_repeats_end_with_their_budget(fake: FakeWix, clock: ManualClock) -> None:
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
