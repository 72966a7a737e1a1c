"""All processes of an app spare an endpoint that is failing, together."""

from __future__ import annotations

import anyio
import pytest
import stamina
from anyio.lowlevel import checkpoint

from tests.engine import ACCESS, FAILING, ManualClock, Steps, failure
from tests.limits import PATIENCE
from tests.support import PUBLIC_URL, SITE
from wix_asgi import Wix
from wix_asgi.errors import StorageUnavailable
from wix_asgi.oauth.shared_rate import SharedRateLimit
from wix_asgi.testing import FakeWix

NAME = "pace:app"
MOST = 45
"""So many calls in a second."""


class Process:
    """A process that makes calls one after the other; time goes on while it waits."""

    def __init__(
        self, storage: Steps, clock: ManualClock, *, seed: float, answer_seconds: float = 1.0
    ) -> None:
        self.clock = clock
        self.waited = 0.0
        self._jitter = seed
        self.shared_rate = SharedRateLimit(
            storage,
            NAME,
            answer_seconds=answer_seconds,
            clock=clock,
            jitter=self._next_jitter,
            sleep=self._sleep,
        )

    def _next_jitter(self) -> float:
        self._jitter = (self._jitter + 0.618) % 1
        return self._jitter

    async def _sleep(self, seconds: float) -> None:
        await checkpoint()
        self.waited += seconds
        self.clock.advance(seconds)


async def test_a_process_alone_does_not_wait(storage: Steps, clock: ManualClock) -> None:
    """At forty calls a second it finds a free slot each time, at once."""
    process = Process(storage, clock, seed=0.3)
    may_go = []
    for _ in range(200):
        may_go.append(await process.shared_rate.acquire())
        clock.advance(1 / 40)

    assert [True] * 200 == may_go
    assert 0.0 == process.waited


async def test_processes_share_the_calls_of_a_second(storage: Steps, clock: ManualClock) -> None:
    """No second has more calls, however many the processes; each makes its part of them."""
    processes = [Process(storage, clock, seed=number / 7) for number in range(4)]
    went_at: list[tuple[float, int]] = []

    async def call(number: int) -> None:
        while clock() < began + 10:
            assert await processes[number].shared_rate.acquire()
            went_at.append((clock(), number))
            clock.advance(0.001)
            await checkpoint()

    began = clock()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for number in range(len(processes)):
                tasks.start_soon(call, number)

    moments = [at for at, _ in went_at]
    calls = [[number for _, number in went_at].count(each) for each in range(4)]
    assert MOST >= max(sum(at <= other < at + 1 for other in moments) for at in moments)
    assert 10 * MOST / 2 < len(moments)
    assert min(calls) > len(moments) / 8


async def test_without_storage_each_process_is_on_its_own(
    storage: Steps, clock: ManualClock
) -> None:
    """Calls that cannot be counted do not wait: the throttle of the process bounds them."""
    storage.fail("claim", StorageUnavailable(), times=100)
    process = Process(storage, clock, seed=0.3)

    assert all([await process.shared_rate.acquire() for _ in range(100)])
    assert 0.0 == process.waited


async def test_a_storage_that_fails_is_asked_again_after_a_while(
    storage: Steps, clock: ManualClock
) -> None:
    """It holds up one call in five seconds, and then counts again."""
    storage.fail("claim", StorageUnavailable())
    process = Process(storage, clock, seed=0.3)
    asked = []
    for seconds in (0.0, 4.9, 0.1, 0.0):
        clock.advance(seconds)
        await process.shared_rate.acquire()
        asked.append(storage.log.count("claim"))

    assert [1, 1, 2, 3] == asked


async def test_a_storage_that_hangs_is_not_waited_for(storage: Steps, clock: ManualClock) -> None:
    """A storage without an answer within a second counts as failing."""
    storage.before["claim"] = anyio.sleep_forever
    process = Process(storage, clock, seed=0.3, answer_seconds=0.01)
    with anyio.fail_after(PATIENCE):
        may_go = [await process.shared_rate.acquire() for _ in range(3)]

    assert [True] * 3 == may_go
    assert 1 == storage.log.count("claim")


async def test_a_call_waits_for_a_slot_for_five_seconds(
    storage: Steps, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After that it is not sent."""

    async def refuse(*_: object) -> bool:
        return False

    monkeypatch.setattr(storage, "claim", refuse)
    process = Process(storage, clock, seed=0.3)

    assert not await process.shared_rate.acquire()
    assert pytest.approx(5, abs=0.5) == process.waited


async def test_a_failing_wix_is_spared_by_all_processes(storage: Steps) -> None:
    """Once a refresh has failed, a call takes a slot that all processes see."""
    fake = FakeWix()
    fake.fail(ACCESS, times=None, **FAILING)
    names: list[str] = []
    claim = storage.claim

    async def spy(name: str, owner: str, ttl: float) -> bool:
        names.append(name)
        return await claim(name, owner, ttl)

    storage.claim = spy  # type: ignore[method-assign] # noted, and done
    options = {**fake.settings(), "public_url": PUBLIC_URL, "transport": fake.transport}
    with stamina.set_testing(True, attempts=1):
        async with Wix(storage=storage, **options) as wix:
            for _ in range(2):
                await failure(lambda: wix._oauth.refresh(fake.issue_refresh_token(SITE)))

    assert [f"pace:{fake.app_id}"] == [name.rpartition(":")[0] for name in names]
