"""Rechecks in a storage that fails, hangs or is busy, and with a row of an unknown key."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from tests.engine import DUE, OVERDUE, Engine, Steps, failure, get
from tests.limits import PATIENCE
from tests.support import SITE
from tests.tokens.rechecking import HOURS, PATIENT, another, is_served, remove, use
from wix_asgi.errors import NotInstalled, StorageUnavailable
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.models import AccessToken, Grant
from wix_asgi.sealing.vault import Vault
from wix_asgi.tokens.recheck import RecheckPolicy


@pytest.fixture(name="engine")
def _engine(engine: Engine) -> Engine:
    """Give an engine whose calls wait for rechecks."""
    return another(engine, PATIENT)


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
    await is_served(engine)
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


async def test_closing_waits_for_no_recheck(engine: Engine, storage: Steps) -> None:
    """Nobody needs its answer any more."""
    await use(engine, age=DUE)
    storage.before["get"] = anyio.sleep_forever
    await get(engine)
    await anyio.wait_all_tasks_blocked()
    await engine.settle()

    assert {} == engine.tokens._loops.here().rechecks
