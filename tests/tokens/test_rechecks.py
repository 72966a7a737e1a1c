"""Cached tokens of installations that another process has removed, or made anew."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from tests.engine import ACCESS, DUE, OVERDUE, QUIET, Engine, Steps, failure, get
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi.errors import NotInstalled, StorageUnavailable
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.models import AccessToken, Grant
from wix_asgi.sealing.vault import Vault
from wix_asgi.tokens.recheck import RecheckPolicy

HOURS = 14_400.0
"""The lifetime of a token of client credentials, in seconds."""
PATIENT = RecheckPolicy(wait=PATIENCE)
"""Calls wait for an overdue recheck to its end, on a busy machine, too."""


@pytest.fixture(name="engine")
def _engine(engine: Engine) -> Engine:
    """Give an engine whose calls wait for rechecks."""
    return another(engine, PATIENT)


def another(engine: Engine, policy: RecheckPolicy | None = None) -> Engine:
    """Return the engine of another process over the same storage.

    It asks Wix for no missing installation: the fake Wix knows nothing of the removals.
    """
    return Engine(engine.fake, engine.storage, engine.clock, rechecks=policy, recover=False)


async def install(engine: Engine, site: str = SITE, *, left: float = HOURS) -> str:
    """Install by client credentials; return the access token, with `left` seconds to live."""
    token = AccessToken(engine.fake.issue_access_token(), HOURS, engine.clock() + left)
    await engine.installations.put(site, Grant(token))
    return token.value


async def use(engine: Engine, site: str = SITE, *, age: float) -> str:
    """Have a token of this age in the cache; return it."""
    value = await install(engine, site)
    await get(engine, site)
    engine.clock.advance(age)
    return value


async def remove(engine: Engine, site: str = SITE) -> None:
    """Remove the installation as another process does."""
    assert await engine.storage.delete(engine.fake.app_id, site)


async def test_a_removed_site_is_served_no_more(engine: Engine) -> None:
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
async def test_no_removed_site_is_served_for_over_a_minute(
    engine: Engine, jitter: float, pause: float, lifetime: float
) -> None:
    """However often a site is called, and in whichever window of its token it is removed."""
    engine.recheck_jitter = jitter
    for moment in (0.0, 49.0, 205.0, 275.0):
        await (engine.install() if lifetime < HOURS else install(engine))
        began = engine.clock()
        while await _is_served(engine) and engine.clock() - began < moment:
            engine.clock.advance(pause)
        await remove(engine)
        removed_at = served_at = engine.clock()
        while await _is_served(engine):
            served_at = engine.clock()
            engine.clock.advance(pause)

        assert served_at - removed_at <= 60.0


async def _is_served(engine: Engine) -> bool:
    try:
        await get(engine)
    except NotInstalled:
        return False
    await anyio.wait_all_tasks_blocked()
    return True


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


@pytest.mark.parametrize("age", [DUE, OVERDUE])
@pytest.mark.parametrize("error", [StorageUnavailable("db.example is down"), LookupError("a bug")])
async def test_a_failing_storage_costs_no_call(
    engine: Engine,
    storage: Steps,
    caplog: pytest.LogCaptureFixture,
    age: float,
    error: Exception,
) -> None:
    """The token is served on, the log says so once a minute, and the row is read again soon."""
    value = await use(engine, age=age)
    await remove(engine)
    storage.log.clear()
    storage.fail("get", error, times=2)
    values = []
    for _ in range(2):
        for _ in range(10):
            values.append(await get(engine))
            await anyio.wait_all_tasks_blocked()
        engine.clock.advance(5.0)
    reads = storage.log.count("get")
    await _is_served(engine)
    after = await failure(lambda: get(engine))

    assert [value] * 20 == values
    assert 2 == reads
    assert 1 == sum("cannot be seen" in record.getMessage() for record in caplog.records)
    assert isinstance(after, NotInstalled)


async def test_a_row_of_an_unknown_key_ends_no_service(engine: Engine) -> None:
    """The installation is there; its tokens are read by the processes that have the key (R33)."""
    value = await use(engine, age=OVERDUE)
    vault = Vault([bytes(range(32))])
    strange = InstallationRepository(engine.fake.app_id, engine.storage, vault, clock=engine.clock)
    await strange.put(SITE, Grant(AccessToken("unread", HOURS, engine.clock() + HOURS)))
    values = [await get(engine) for _ in range(2)]

    assert [value] * 2 == values


async def test_a_storage_that_hangs_costs_one_short_wait(engine: Engine, storage: Steps) -> None:
    """After the first call that waited in vain none waits, until a read is answered in time."""
    engine = another(engine, RecheckPolicy(wait=0.01))
    value = await use(engine, age=OVERDUE)
    free = anyio.Event()
    storage.before["get"] = free.wait
    first = await get(engine)
    is_late = engine.rechecks.is_late
    with anyio.CancelScope() as scope:
        # Not a single checkpoint, at which this would end.
        scope.cancel()
        second = (await engine.tokens.get(SITE)).value
    free.set()
    await anyio.wait_all_tasks_blocked()

    assert [value] * 2 == [first, second]
    assert (True, False) == (is_late, engine.rechecks.is_late)


async def test_rechecks_are_few_at_one_time(engine: Engine, storage: Steps) -> None:
    """Two rows are read at once; the rest is read by later calls."""
    sites = [engine.fake.add_site(f"Site {number}") for number in range(5)]
    for site in sites:
        await use(engine, site, age=0)
    engine.clock.advance(DUE)
    free = anyio.Event()
    storage.log.clear()
    storage.before["get"] = free.wait
    for _ in range(2):
        for site in sites:
            await get(engine, site)
        await anyio.wait_all_tasks_blocked()
    at_once = storage.log.count("get")
    free.set()
    for _ in range(2):
        await anyio.wait_all_tasks_blocked()
        for site in sites:
            await get(engine, site)
    await anyio.wait_all_tasks_blocked()

    assert (2, 5) == (at_once, storage.log.count("get"))


async def test_overdue_rechecks_queue(engine: Engine, storage: Steps) -> None:
    """A burst of calls for sites that were idle waits, and serves none that was removed."""
    sites = [engine.fake.add_site(f"Site {number}") for number in range(20)]
    for site in sites:
        await use(engine, site, age=0)
    engine.clock.advance(HOURS / 2)
    for site in sites:
        await remove(engine, site)
    errors: list[Exception] = []

    async def ask(site: str) -> None:
        errors.append(await failure(lambda: get(engine, site)))

    async with anyio.create_task_group() as tasks:
        for site in sites:
            tasks.start_soon(ask, site)

    assert [NotInstalled] * 20 == [type(error) for error in errors]


async def test_a_recheck_without_a_turn_in_time_costs_no_call(
    engine: Engine, storage: Steps
) -> None:
    """It ends, its call is served, and the row is not read while the storage is late."""
    engine = another(engine, RecheckPolicy(wait=0.01, max_reads=1))
    sites = [SITE, engine.fake.add_site("Yoga")]
    tokens = [await use(engine, site, age=0) for site in sites]
    engine.clock.advance(OVERDUE)
    storage.log.clear()
    free = anyio.Event()
    storage.before["get"] = free.wait
    served: dict[str, str] = {}

    async def ask(site: str) -> None:
        served[site] = await get(engine, site)

    async with anyio.create_task_group() as tasks:
        for site in sites:
            tasks.start_soon(ask, site)
    with anyio.fail_after(PATIENCE):
        while len(engine.tokens._loops.here().rechecks) > 1:
            await anyio.lowlevel.checkpoint()
    free.set()
    await anyio.wait_all_tasks_blocked()

    assert tokens == [served[site] for site in sites]
    assert ["get"] == storage.log


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


async def test_closing_waits_for_no_recheck(engine: Engine, storage: Steps) -> None:
    """Nobody needs its answer any more."""
    await use(engine, age=DUE)
    storage.before["get"] = anyio.sleep_forever
    await get(engine)
    await anyio.wait_all_tasks_blocked()
    await engine.settle()

    assert {} == engine.tokens._loops.here().rechecks


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
