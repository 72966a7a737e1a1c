"""An endpoint that is failing is spared."""

from __future__ import annotations

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


class Waits:
    """A brake whose pauses pass at once, and are noted."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.noted: list[float] = []
        self.brake = Brake(clock=clock, sleep=self._note)

    async def _note(self, seconds: float) -> None:
        self.noted.append(round(seconds, 3))


@pytest.fixture(name="waits")
def _waits(clock: ManualClock) -> Waits:
    return Waits(clock)


async def turns(waits: Waits, count: int) -> list[bool]:
    """Ask for so many turns."""
    return [await waits.brake.turn() for _ in range(count)]


async def test_nothing_is_slowed_while_all_is_well(waits: Waits) -> None:
    """Any number of calls passes at once."""
    assert [True] * 1000 == await turns(waits, 1000)
    assert [] == waits.noted


async def test_a_failure_puts_calls_in_a_row(waits: Waits) -> None:
    """After one there are forty turns a second, the first of them at once."""
    waits.brake.failed()

    assert [True] * 5 == await turns(waits, 5)
    assert [0.025, 0.05, 0.075, 0.1] == waits.noted


async def test_a_row_has_an_end(waits: Waits) -> None:
    """Who would wait for more than five seconds is sent away, and takes nobody's turn."""
    waits.brake.failed()
    asked = await turns(waits, 300)
    waits.clock.advance(1)
    later = await turns(waits, 50)

    assert ([True] * 201, [False] * 99) == (asked[:201], asked[201:])
    assert ([True] * 40, [False] * 10) == (later[:40], later[40:])


@pytest.mark.parametrize(("passed", "is_on"), [(0.0, True), (29.9, True), (30.0, False)])
async def test_it_is_let_off_when_nothing_failed_for_a_while(
    waits: Waits, passed: float, is_on: bool
) -> None:
    """Thirty seconds after the last failure everything passes again."""
    waits.brake.failed()
    waits.clock.advance(passed)

    assert is_on == waits.brake.is_on
    assert [True, True] == await turns(waits, 2)
    assert is_on == bool(waits.noted)


async def test_repeats_have_a_budget(waits: Waits) -> None:
    """Ten are there in advance; then there is one for every five calls."""
    at_once = [waits.brake.may_repeat() for _ in range(12)]
    await turns(waits, 10)
    earned = [waits.brake.may_repeat() for _ in range(3)]

    assert [True] * 10 + [False] * 2 == at_once
    assert [True, True, False] == earned


async def test_the_budget_does_not_pile_up(waits: Waits) -> None:
    """However many calls there were, no more than ten repeats are in hand."""
    await turns(waits, 1000)

    assert 10 == sum(waits.brake.may_repeat() for _ in range(1000))


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
