"""An endpoint that is failing is spared."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import anyio
import pytest
import stamina

from tests.tokens.engine import (
    ACCESS,
    FAILING,
    Engine,
    ManualClock,
    Steps,
    make_settings,
    refresh,
    refresh_failure,
)
from wix_asgi._brake import Brake
from wix_asgi.endpoints import Endpoints
from wix_asgi.errors import GrantRefused, WixUnavailable
from wix_asgi.oauth import OAuth
from wix_asgi.testing import FakeWix


class Row:
    """Callers of a brake, on a clock that goes from one of their moments to the next."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.brake = Brake(clock=clock, sleep=self._sleep)
        self.refused = 0
        self.went_at: list[float] = []
        self._began = clock()
        self._sleeping: list[tuple[float, anyio.Event]] = []

    async def ask(
        self, count: int, *, stands_still: Sequence[tuple[float, float]] = ()
    ) -> list[float]:
        """Have so many ask for a turn at once; return when each went, in seconds.

        The process stands still from one second to another, and nobody wakes up meanwhile.
        """
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(self._ask_once)
            await anyio.wait_all_tasks_blocked()
            while self._sleeping:
                self._wake(stands_still)
                await anyio.wait_all_tasks_blocked()
        return self.went_at

    async def _ask_once(self) -> None:
        if await self.brake.turn():
            self.went_at.append(round(self.clock() - self._began, 3))
        else:
            self.refused += 1

    def _wake(self, stands_still: Sequence[tuple[float, float]]) -> None:
        due, event = first = min(self._sleeping, key=itemgetter(0))
        for begin, end in stands_still:
            if begin <= due - self._began < end:
                due = self._began + end
        self.clock.now = max(self.clock.now, due)
        self._sleeping.remove(first)
        event.set()

    async def _sleep(self, seconds: float) -> None:
        event = anyio.Event()
        # No clock is so exact that a sleep ends in the moment it began.
        self._sleeping.append((self.clock() + max(seconds, 1e-6), event))
        await event.wait()


@pytest.fixture(name="row")
def _row(clock: ManualClock) -> Row:
    return Row(clock)


async def test_nothing_is_slowed_while_all_is_well(row: Row) -> None:
    """Any number of calls passes at once."""
    assert [0.0] * 1000 == await row.ask(1000)


async def test_a_failure_puts_calls_in_a_row(row: Row) -> None:
    """After one there are forty turns a second, the first of them at once."""
    row.brake.failed()

    assert [0.0, 0.025, 0.05, 0.075, 0.1] == await row.ask(5)


async def test_a_row_has_an_end(row: Row) -> None:
    """Who would wait for more than five seconds is sent away, and takes nobody's turn."""
    row.brake.failed()
    went_at = await row.ask(300)

    assert (201, 99) == (len(went_at), row.refused)
    assert 5.0 == went_at[-1]
    assert 5.025 == (await row.ask(1))[-1]


async def test_a_process_that_stood_still_does_not_make_up_for_it_at_once(row: Row) -> None:
    """The whole row is that much later, but for one call, each time the process stands still."""
    row.brake.failed()
    went_at = list(await row.ask(8, stands_still=[(0.03, 0.5), (0.54, 1.0)]))
    went_later = (await row.ask(300))[8:]

    assert [0.0, 0.025, 0.5, 0.5, 0.525, 1.0, 1.0, 1.025] == went_at
    assert (1.05, 6.025) == (went_later[0], went_later[-1])
    assert (200, 100) == (len(went_later), row.refused)


@pytest.mark.parametrize(("passed", "is_on"), [(0.0, True), (29.9, True), (30.0, False)])
async def test_it_is_let_off_when_nothing_failed_for_a_while(
    row: Row, passed: float, is_on: bool
) -> None:
    """Thirty seconds after the last failure everything passes again."""
    row.brake.failed()
    row.clock.advance(passed)
    assert is_on == row.brake.is_on
    first, second = await row.ask(2)

    assert is_on == (first < second)


async def test_repeats_have_a_budget(row: Row) -> None:
    """Ten are there in advance; then there is one for every five calls."""
    at_once = [row.brake.may_repeat() for _ in range(12)]
    await row.ask(10)
    earned = [row.brake.may_repeat() for _ in range(3)]

    assert [True] * 10 + [False] * 2 == at_once
    assert [True, True, False] == earned


async def test_the_budget_does_not_pile_up(row: Row) -> None:
    """However many calls there were, no more than ten repeats are in hand."""
    await row.ask(1000)

    assert 10 == sum(row.brake.may_repeat() for _ in range(1000))


async def test_a_failing_wix_puts_the_brake_on(fake: FakeWix, clock: ManualClock) -> None:
    """Whatever fails to be granted counts; what is refused for good does not."""
    brake = Brake(clock=clock)
    oauth = OAuth(Endpoints(make_settings(fake)), fake.transport, clock=clock, brake=brake)
    with stamina.set_testing(True, attempts=1):
        with pytest.raises(GrantRefused):
            await oauth.exchange("no code")
        is_on = [brake.is_on]
        fake.fail("/oauth2/token-info", **FAILING)
        with pytest.raises(WixUnavailable):
            await oauth.token_info("any token")

    assert [False, True] == [*is_on, brake.is_on]


async def test_repeats_end_with_their_budget(fake: FakeWix, clock: ManualClock) -> None:
    """A process whose calls all fail soon makes each of them once."""
    oauth = OAuth(Endpoints(make_settings(fake)), fake.transport, clock=clock)
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


async def test_a_crowd_costs_nobody_a_token_that_is_alive(engine: Engine) -> None:
    """What is stored and good for some seconds is served, though nobody can refresh it now."""
    token = await engine.install(left=10)
    engine.oauth._brake.failed()
    engine.oauth._brake._next_turn = engine.clock() + 6

    assert token.value == (await refresh(engine)).value
    assert [] == engine.fake.calls


async def test_a_crowd_is_told_at_once(engine: Engine, storage: Steps) -> None:
    """Where too many wait already, a refresh is not begun: it takes no lease and no call."""
    await engine.install(left=0)
    engine.oauth._brake.failed()
    engine.oauth._brake._next_turn = engine.clock() + 6
    storage.log.clear()
    error = await refresh_failure(engine)
    with pytest.raises(WixUnavailable) as caught:
        await engine.oauth.exchange("any code")

    assert isinstance(error, WixUnavailable)
    assert ["get"] == storage.log
    assert [] == engine.fake.calls
    assert caught.value.unsent
