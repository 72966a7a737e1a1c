"""Moving installations, and writes of workers between its steps."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
import stamina

from tests.engine import ACCESS, Engine, refresh
from tests.limits import PATIENCE
from tests.operations.migrating import CLIENT_CREDENTIALS, REFRESH_TOKEN, Moving
from tests.support import SITE
from wix_asgi.errors import StorageUnavailable
from wix_asgi.installations.claims import refresh_lease
from wix_asgi.models import Grant
from wix_asgi.operations.migrate import AskPolicy, SiteReport


@pytest.fixture
def anyio_backend() -> str:
    """Run on one loop: the order of the steps is given."""
    return "asyncio"


@pytest.fixture(name="moving")
def _moving() -> Iterator[Moving]:
    """Give an app whose calls to Wix are not repeated below the migration."""
    with stamina.set_testing(True, attempts=1):
        yield Moving()


async def test_a_rotated_refresh_token_is_kept(moving: Moving) -> None:
    """A refresh token that is at Wix when its site is moved comes back rotated, and is stored."""
    moving.fake.rotate_refresh_tokens = True
    engine = Engine(moving.fake, moving.storage, moving.clock)
    await engine.install(left=0)
    moving.fake.mark_installed(SITE)
    before = await engine.stored()
    claims = moving.storage.log.count("claim")

    with moving.fake.hold(ACCESS) as gate, anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refresh, engine)
            await gate.arrived()
            tasks.start_soon(moving.migration().move)
            # The worker's claim, and two in vain of the migration.
            await moving.storage.asked("claim", claims + 3)
            gate.release()
    after = await engine.stored()
    await moving.migration().move_back()
    async with anyio.create_task_group() as tasks:
        moving.clock.advance(14_400)
        tasks.start_soon(refresh, engine)

    assert {SITE: "moved_back"} == moving.outcomes
    assert after.grant_type is CLIENT_CREDENTIALS
    assert before.refresh_token != after.refresh_token
    # The fake Wix revokes a grant whose earlier refresh token is sent.
    assert (await engine.stored()).failure is None


async def test_a_write_in_between_wins(moving: Moving) -> None:
    """A new install between the question and the write is moved with its own refresh token."""
    await moving.install("a")
    new = moving.fake.issue_refresh_token("a")

    async def overtake() -> None:
        moving.storage.before.clear()
        old = await moving.stored("a")
        assert old.access_token is not None
        await moving.installations.put("a", Grant(old.access_token, new))

    moving.storage.before["replace"] = overtake
    await moving.migration().move()
    after = await moving.stored("a")

    assert {"a": "moved"} == moving.outcomes
    assert (CLIENT_CREDENTIALS, new) == (after.grant_type, after.refresh_token)


async def test_an_installation_that_is_removed_meanwhile_stays_removed(moving: Moving) -> None:
    """No row comes back, and nothing is wrong."""
    await moving.install("a")

    async def remove() -> None:
        await moving.storage.delete(moving.fake.app_id, "a")

    moving.storage.before["replace"] = remove
    migration = moving.migration()
    await migration.move()

    assert {"a": "kept"} == moving.outcomes
    assert not migration.has_trouble
    assert await moving.storage.get(moving.fake.app_id, "a") is None


async def test_two_runs_at_one_time_move_a_site_once(moving: Moving) -> None:
    """The later one finds it moved, and writes nothing."""
    await moving.install("a")

    async def overtake() -> None:
        moving.storage.before.clear()
        await moving.migration().move()

    moving.storage.before["claim"] = overtake
    await moving.migration().move()

    assert ["moved", "kept"] == [report.outcome for report in moving.reports]
    assert 1 == moving.storage.log.count("replace")


async def test_a_site_that_is_refreshed_all_the_time_is_left_to_a_later_run(
    moving: Moving,
) -> None:
    """After thirty seconds of somebody else's lease the site has failed, with its reason."""
    await moving.install("a")
    name = refresh_lease(moving.fake.app_id, "a")
    await moving.storage.claim(name, "somebody else", 1e6)
    started = moving.clock()
    await moving.migration().move()

    assert {"a": "failed"} == moving.outcomes
    assert 30.0 <= moving.clock() - started < 31.0
    assert {"a": (REFRESH_TOKEN, True)} == await moving.grants("a")


async def test_a_lease_that_runs_out_lets_nothing_be_written(moving: Moving) -> None:
    """Where the storage takes longer to answer than the lease lasts, a worker may be at Wix."""
    await moving.install("a")

    async def dawdle() -> None:
        moving.clock.advance(6)

    moving.storage.after["get"] = dawdle
    await moving.migration().move()
    moving.storage.after.clear()

    assert {"a": "failed"} == moving.outcomes
    assert 0 == moving.storage.log.count("replace")
    assert {"a": (REFRESH_TOKEN, True)} == await moving.grants("a")


async def test_no_lease_is_left(moving: Moving) -> None:
    """A worker may refresh at once after the move."""
    await moving.install("a")
    await moving.migration().move()

    assert set() == moving.storage.holders


async def test_a_run_that_is_cut_off_is_finished_by_the_next(moving: Moving) -> None:
    """A second run ends with the same rows as a run that is not cut off."""
    sites = [f"site-{number:02}" for number in range(20)]
    await moving.install(*sites)
    with anyio.CancelScope() as scope:
        migration = moving.migration(policy=AskPolicy(at_once=3))

        def cut_off(report: SiteReport) -> None:
            moving.reports.append(report)
            if len(moving.reports) == 7:
                scope.cancel()

        migration._report = cut_off
        await migration.move()
    half = [grant for grant, _ in (await moving.grants(sites)).values()]
    moving.reports.clear()
    moving.clock.advance(10)  # the leases of a killed run are over
    await moving.migration().move()

    assert 7 <= half.count(CLIENT_CREDENTIALS) < 20
    assert sites == [report.instance_id for report in sorted(moving.reports, key=by_site)]
    assert dict.fromkeys(sites, (CLIENT_CREDENTIALS, True)) == await moving.grants(sites)


def by_site(report: SiteReport) -> str:
    """Return the site of a report."""
    return report.instance_id


async def test_a_storage_that_fails_ends_the_run(moving: Moving) -> None:
    """Moved sites are told before the error, and a later run does the rest."""
    await moving.install("a", "b")

    async def second_fails() -> None:
        if moving.storage.log.count("replace") == 2:
            raise StorageUnavailable

    moving.storage.before["replace"] = second_fails
    with pytest.raises(StorageUnavailable):
        await moving.migration(policy=AskPolicy(at_once=2)).move()
    told = dict(moving.outcomes)
    await moving.migration().move()

    assert ["moved"] == list(told.values())
    assert {"a": (CLIENT_CREDENTIALS, True), "b": (CLIENT_CREDENTIALS, True)} == (
        await moving.grants("ab")
    )
