"""Cached tokens of installations that another process has removed, or made anew."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from tests.engine import ACCESS, DUE, OVERDUE, QUIET, Engine, Steps, failure, get
from tests.support import SITE
from tests.tokens.rechecking import HOURS, PATIENT, another, install, is_served, remove, use
from wix_asgi.errors import NotInstalled
from wix_asgi.models import AccessToken, Grant
from wix_asgi.tokens.recheck import RecheckPolicy


@pytest.fixture(name="engine")
def _engine(engine: Engine) -> Engine:
    """Give an engine whose calls wait for rechecks."""
    return another(engine, PATIENT)


async def test_a_removed_siteis_served_no_more(engine: Engine) -> None:
    """The first call after 40 to 50 seconds has the row read, and later calls are refused."""
    value = await use(engine, age=DUE)
    await remove(engine)
    served = await get(engine)
    await anyio.wait_all_tasks_blocked()
    error = await failure(lambda: get(engine))

    assert value == served
    assert isinstance(error, NotInstalled)


async def test_a_site_that_was_idle_is_not_served_at_all(engine: Engine) -> None:
    """Where the last read was long ago, the call waits for the next one."""
    await use(engine, age=OVERDUE)
    await remove(engine)
    error = await failure(lambda: get(engine))

    assert isinstance(error, NotInstalled)
    assert 0 == engine.fake.count(ACCESS)


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize("pause", [3.0, 54.0, 61.0])
@pytest.mark.parametrize("lifetime", [300.0, HOURS])
async def test_no_removed_siteis_served_for_over_a_minute(
    engine: Engine, jitter: float, pause: float, lifetime: float
) -> None:
    """However often a site is called, and in whichever window of its token it is removed."""
    engine.recheck_jitter = jitter
    for moment in (0.0, 49.0, 205.0, 275.0):
        await (engine.install() if lifetime < HOURS else install(engine))
        began = engine.clock()
        while await is_served(engine) and engine.clock() - began < moment:
            engine.clock.advance(pause)
        await remove(engine)
        removed_at = served_at = engine.clock()
        while await is_served(engine):
            served_at = engine.clock()
            engine.clock.advance(pause)

        assert served_at - removed_at <= 60.0


@pytest.mark.parametrize(("jitter", "quiet", "due"), [(0.0, 49.9, 50.0), (1.0, 39.9, 40.0)])
async def test_rechecks_are_spread(
    engine: Engine, storage: Steps, jitter: float, quiet: float, due: float
) -> None:
    """Sites that were read together are not read together again; before that nothing is read."""
    engine.recheck_jitter = jitter
    await use(engine, age=quiet)
    storage.log.clear()
    await get(engine)
    await anyio.wait_all_tasks_blocked()
    before = list(storage.log)
    engine.clock.advance(due - quiet)
    await get(engine)
    await anyio.wait_all_tasks_blocked()

    assert [] == before
    assert ["get"] == storage.log


async def test_a_crowd_of_calls_reads_the_row_once(engine: Engine, storage: Steps) -> None:
    """All of them are served at once, and after the read none is due for 40 to 50 seconds."""
    value = await use(engine, age=DUE)
    storage.log.clear()
    free = anyio.Event()
    storage.before["get"] = free.wait
    values = [await get(engine) for _ in range(100)]
    await anyio.wait_all_tasks_blocked()
    values += [await get(engine) for _ in range(100)]
    free.set()
    await anyio.wait_all_tasks_blocked()
    engine.clock.advance(QUIET)
    values += [await get(engine) for _ in range(100)]

    assert [value] * 300 == values
    assert ["get"] == storage.log


@pytest.mark.parametrize("age", [DUE, OVERDUE])
async def test_a_reinstall_in_another_process_is_taken_over(engine: Engine, age: float) -> None:
    """The token of its row is served from then on, and Wix is asked nothing."""
    await use(engine, age=age)
    new = await install(another(engine))
    await get(engine)
    await anyio.wait_all_tasks_blocked()

    assert new == await get(engine)
    assert [] == engine.fake.calls


async def test_a_reinstall_whose_token_is_over_is_refreshed(engine: Engine) -> None:
    """The older installation's token is not served, though it would live for hours."""
    old = await use(engine, age=OVERDUE)
    await engine.install(left=-1.0)
    value = await get(engine)

    assert old != value
    assert 1 == engine.posts


async def test_a_refresh_of_another_process_is_taken_over(engine: Engine) -> None:
    """Its token outlives ours."""
    await use(engine, age=DUE)
    stored = await engine.stored()
    token = AccessToken("refreshed-elsewhere", HOURS, engine.clock() + HOURS)
    assert await engine.installations.replace(stored, Grant(token))
    await get(engine)
    await anyio.wait_all_tasks_blocked()

    assert "refreshed-elsewhere" == await get(engine)


@pytest.mark.parametrize("age", [DUE, OVERDUE])
async def test_an_install_during_a_recheck_wins(engine: Engine, storage: Steps, age: float) -> None:
    """The callback of this process adopts its token, also where an earlier read found no row."""
    await use(engine, age=age)
    await remove(engine)
    new: list[AccessToken] = []

    async def reinstall() -> None:
        del storage.after["get"]
        new.append(AccessToken("reinstalled", HOURS, engine.clock() + HOURS))
        await engine.installations.put(SITE, Grant(new[0]))
        engine.tokens.adopt(SITE, new[0])

    storage.after["get"] = reinstall
    await get(engine)
    await anyio.wait_all_tasks_blocked()

    assert "reinstalled" == await get(engine)


async def test_a_token_that_is_over_is_refreshed_without_a_recheck(
    engine: Engine, storage: Steps
) -> None:
    """The refresh reads the row anyway."""
    await engine.install(left=0)
    engine.tokens.adopt(SITE, AccessToken("over", 300.0, engine.clock()))
    engine.clock.advance(OVERDUE)
    storage.log.clear()
    await get(engine)

    assert ["get", "claim", "get", "replace", "release"] == storage.log


async def test_a_forgotten_token_is_not_served(engine: Engine) -> None:
    """After a removal in this process the next call finds that there is no installation."""
    await use(engine, age=0)
    await remove(engine)
    engine.tokens.forget(SITE)
    error = await failure(lambda: get(engine))

    assert isinstance(error, NotInstalled)


async def test_a_refresh_that_was_stored_before_a_removal_is_not_cached(
    engine: Engine, storage: Steps
) -> None:
    """Its callers get the token that they asked for, and nobody after them."""
    await engine.install(left=0)

    async def remove_now() -> None:
        del storage.before["release"]
        await remove(engine)
        engine.tokens.forget(SITE)

    storage.before["release"] = remove_now
    value = await get(engine)
    error = await failure(lambda: get(engine))

    assert value
    assert isinstance(error, NotInstalled)


def test_rechecks_keep_the_promise_by_default() -> None:
    """The numbers add up: an overdue read, and the wait for it, end within a minute."""
    policy = RecheckPolicy()

    assert policy.pause < policy.overdue
    assert policy.overdue + policy.wait <= 60.0


@pytest.mark.parametrize("owes_on_install", [False, True])
async def test_a_recheck_finds_an_owed_on_install(engine: Engine, owes_on_install: bool) -> None:
    """A process that holds the token tells the app, should the one that was to have died."""
    owed: list[str] = []
    process = Engine(engine.fake, engine.storage, engine.clock, note_owed=owed.append)
    await process.install_by_credentials(owes_on_install=owes_on_install)
    await get(process)
    owed.clear()
    process.clock.advance(DUE)

    assert await is_served(process)
    assert [SITE] * owes_on_install == owed
