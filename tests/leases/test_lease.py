from __future__ import annotations

import anyio
import pytest

from tests.engine import ManualClock, Steps, make_lease
from wix_asgi.errors import StorageUnavailable

NAME = "refresh:app:site"
TTL = 2.0
QUICK = 0.003
"""Seconds of a lease that is renewed at once."""


async def test_one_owner_holds_the_lease(storage: Steps, clock: ManualClock) -> None:
    """Another owner gets it when it is given back, or when its two seconds are over."""
    first, second, third = (make_lease(storage, NAME, ttl=TTL) for _ in range(3))
    taken = [await first.take(), await second.take()]
    await first.give_back()
    taken += [await second.take(), await third.take()]
    clock.advance(TTL)
    taken += [await third.take()]

    assert [True, False, True, False, True] == taken


async def test_the_lease_is_asked_for_a_few_times(storage: Steps, clock: ManualClock) -> None:
    """It is due at first, a pause after the last try, and at once where it was given back."""
    lease = make_lease(storage, NAME, ttl=TTL, clock=clock)
    due = [lease.is_due(0.4)]
    await lease.take()
    due += [lease.is_due(0.4)]
    clock.advance(0.41)
    due += [lease.is_due(0.4)]
    await lease.take()
    await lease.give_back()
    due += [lease.is_due(0.4)]

    assert [True, False, True, True] == due
    assert not lease.is_held


async def test_its_seconds_count_from_before_it_was_asked_for(
    storage: Steps, clock: ManualClock
) -> None:
    """A storage that answers late does not lengthen the lease in the holder's eyes."""
    lease = make_lease(storage, NAME, ttl=TTL, clock=clock)

    async def answer_late() -> None:
        clock.advance(1.5)

    storage.after["claim"] = answer_late
    await lease.take()
    held = [lease.is_held]
    clock.advance(TTL - 1.5)
    held += [lease.is_held]

    assert [True, False] == held


async def test_only_the_holder_gives_the_lease_back(storage: Steps) -> None:
    """An earlier holder whose lease ran out does not free the lease of its successor."""
    first, second = make_lease(storage, NAME, ttl=TTL), make_lease(storage, NAME, ttl=TTL)
    await first.take()
    await second.give_back()

    assert not await second.take()


async def test_the_outcome_of_the_work_comes_through(storage: Steps) -> None:
    """A result is returned; an error is raised by itself, not in an exception group."""
    lease = make_lease(storage, NAME, ttl=TTL)

    async def work() -> str:
        return "done"

    async def fail() -> str:
        raise LookupError("work failed")

    result = await lease.while_renewing(work)
    with pytest.raises(LookupError, match="work failed"):
        await lease.while_renewing(fail)

    assert "done" == result
    assert [] == storage.log


async def test_the_lease_is_renewed_while_the_work_goes_on(storage: Steps) -> None:
    """The holder claims it again and again, and no more once the work is done."""
    lease = make_lease(storage, NAME, ttl=QUICK)
    await lease.while_renewing(lambda: storage.asked("claim", 3))
    renewed = len(storage.log)
    await anyio.wait_all_tasks_blocked()

    assert ["claim"] * renewed == storage.log


async def test_a_renewal_under_way_is_not_cut_off(storage: Steps) -> None:
    """The end of the work waits for it: it could otherwise arrive after the lease was freed."""
    steps: list[str] = []
    begun = anyio.Event()

    async def renew() -> None:
        begun.set()
        await anyio.wait_all_tasks_blocked()
        steps.append("renewed")

    async def work() -> None:
        storage.before["claim"] = renew
        await begun.wait()
        steps.append("worked")

    await make_lease(storage, NAME, ttl=QUICK).while_renewing(work)

    assert ["worked", "renewed"] == steps


@pytest.mark.parametrize("error", [StorageUnavailable(), OSError("driver")])
async def test_the_work_survives_a_failed_renewal(
    storage: Steps, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The outcome is stored by comparison, so the renewal may fail, and is tried again."""
    storage.fail("claim", error, times=2)
    lease = make_lease(storage, NAME, ttl=QUICK)
    await lease.while_renewing(lambda: storage.asked("claim", 4))

    line = f"a refresh lease could not be renewed: {type(error).__name__} ({NAME})"

    assert [line] * 2 == caplog.messages
    assert {NAME} == storage.holders


async def test_the_work_survives_the_loss_of_the_lease(storage: Steps, clock: ManualClock) -> None:
    """A holder that was frozen for too long finishes its work."""
    lease, other = make_lease(storage, NAME, ttl=QUICK), make_lease(storage, NAME, ttl=QUICK)
    await lease.take()
    clock.advance(TTL)
    await other.take()
    before = storage.log.count("claim")
    await lease.while_renewing(lambda: storage.asked("claim", before + 2))

    assert not await lease.take()


async def test_a_lease_that_cannot_be_given_back_runs_out(storage: Steps) -> None:
    """No error is raised: its two seconds end by themselves."""
    storage.fail("release", StorageUnavailable())
    lease = make_lease(storage, NAME, ttl=TTL)
    await lease.take()
    await lease.give_back()

    assert {NAME} == storage.holders


async def test_a_cancelled_holder_gives_the_lease_back(storage: Steps) -> None:
    """Giving back goes through while the holder is being cancelled."""
    lease = make_lease(storage, NAME, ttl=TTL)
    await lease.take()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await lease.give_back()

    assert set() == storage.holders


async def test_taking_tells_that_the_storage_fails(storage: Steps) -> None:
    """Without storage there is no lease, and no refresh."""
    storage.fail("claim", StorageUnavailable())
    with pytest.raises(StorageUnavailable):
        await make_lease(storage, NAME, ttl=TTL).take()


async def test_a_renewal_tells_of_another_owner(storage: Steps, clock: ManualClock) -> None:
    """A holder whose name went to another owner, by an operator's hand, does not hold it on."""
    lease, other = (
        make_lease(storage, NAME, ttl=TTL, clock=clock),
        make_lease(storage, NAME, ttl=TTL),
    )
    await lease.take()
    await storage.release(NAME, lease._owner)
    await other.take()
    held = [lease.is_held]
    await lease.renew()
    held += [lease.is_held]

    assert [True, False] == held
