"""Installations that are not stored, and that Wix is asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import anyio
import pytest
import stamina

from tests.engine import (
    CREDENTIALS,
    FAILING,
    MISCONFIGURED,
    Engine,
    ManualClock,
    Steps,
    crowd,
    failure,
    get,
)
from tests.support import SITE
from wix_asgi.errors import NotInstalled, StorageUnavailable, WixMisconfigured, WixUnavailable
from wix_asgi.models import GrantType, InstallFlow
from wix_asgi.testing import FakeWix

INSTANCE = "/apps/v1/instance"
ORIGIN = "07864c16-3a6f-4dd2-9973-028705762b2c"

Owed = list[str]


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Do not pause between tries."""
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture(name="owed")
def _owed() -> Owed:
    return []


@pytest.fixture(name="engine")
def _engine(storage: Steps, clock: ManualClock, owed: Owed) -> Engine:
    return Engine(FakeWix(), storage, clock, note_owed=owed.append)


def tell_origin(engine: Engine, origin: str | None) -> None:
    """Have Wix tell of which installation the site is a copy."""
    instance = {"instanceId": SITE, "originInstanceId": origin}
    engine.fake.answer("GET", INSTANCE, json={"instance": instance, "site": {}})


async def test_an_installation_is_found_and_stored(engine: Engine, owed: Owed) -> None:
    """It is served, on_install is owed, and a restart asks nothing."""
    engine.fake.mark_installed(SITE)
    value = await get(engine)
    stored = await engine.stored()

    assert value == await get(engine.another())
    assert [SITE] == owed[:1]
    assert (GrantType.CLIENT_CREDENTIALS, True, None) == (
        stored.grant_type,
        stored.owes_on_install,
        stored.origin_instance_id,
    )
    assert [1, 0] == [engine.recoveries, engine.posts]


async def test_a_crowd_of_processes_finds_it_once(engine: Engine, owed: Owed) -> None:
    """One process asks Wix under the lease, and the others read its row."""
    engine.fake.mark_installed(SITE)
    values = await crowd(250, engine, *(engine.another() for _ in range(3)))

    assert (1_000, 1) == (len(values), len(set(values)))
    assert 1 == engine.recoveries
    assert {SITE} == set(owed)


async def test_an_installation_that_owes_on_install_is_told_of_again(
    engine: Engine, owed: Owed
) -> None:
    """The process that was to tell the app may have died; a row that owes nothing is quiet."""
    other = engine.fake.add_site("Other")
    await engine.install_by_credentials(owes_on_install=True)
    await engine.install_by_credentials(other)
    await get(engine)
    await get(engine, other)

    assert [SITE] == owed


@pytest.mark.parametrize(
    ("flow", "recover", "asked"),
    [
        (InstallFlow.ADVANCED, False, 0),
        (InstallFlow.ADVANCED, True, 1),
        (InstallFlow.CLIENT_CREDENTIALS, False, 1),
        (InstallFlow.CLIENT_CREDENTIALS, True, 1),
    ],
)
async def test_the_settings_say_whether_wix_is_asked(
    storage: Steps, clock: ManualClock, flow: InstallFlow, recover: bool, asked: int
) -> None:
    """Only an app of the advanced flow that is not to recover asks nothing."""
    engine = Engine(FakeWix(), storage, clock, flow=flow, recover=recover)
    error = await failure(lambda: engine.tokens.get(SITE))

    assert (NotInstalled, asked) == (type(error), engine.recoveries)
    assert asked == storage.log.count("claim")


async def test_a_no_is_remembered_for_a_minute(engine: Engine, owed: Owed) -> None:
    """Calls of a stranger cost Wix one question a minute, and write nothing meanwhile."""
    steps = engine.storage.log if isinstance(engine.storage, Steps) else []
    asked = []
    for seconds in (0.0, 59.9, 0.1, 0.0):
        engine.clock.advance(seconds)
        steps.clear()
        error = await failure(lambda: engine.tokens.get(SITE))
        asked.append((type(error), engine.recoveries, "claim" in steps))

    assert [
        (NotInstalled, 1, True),
        (NotInstalled, 1, False),
        (NotInstalled, 2, True),
        (NotInstalled, 2, False),
    ] == asked
    assert [] == owed
    assert None is await engine.installations.get(SITE)


async def test_a_no_may_be_forgotten(engine: Engine) -> None:
    """An install of this process ends it; sites of which nothing is known are no error."""
    await failure(lambda: engine.tokens.get(SITE))
    engine.fake.mark_installed(SITE)
    error = await failure(lambda: engine.tokens.get(SITE))
    engine.refresher.forget(SITE)
    engine.refresher.forget("unknown")

    assert isinstance(error, NotInstalled)
    assert await get(engine)


async def test_a_no_does_not_outlive_an_install(engine: Engine) -> None:
    """Where there is a row it counts, though another process has stored it."""
    await failure(lambda: engine.tokens.get(SITE))
    token = await engine.install()

    assert token.value == await get(engine)
    assert 1 == engine.recoveries


async def test_only_so_many_are_remembered(engine: Engine) -> None:
    """The oldest no goes first, so that strangers cannot fill the memory."""
    engine = engine.another(max_missing=2)
    for site in ("one", "two", "three", "three", "two", "one"):
        await failure(partial(engine.tokens.get, site))

    assert 4 == engine.recoveries


async def test_a_failing_wix_says_no_no(engine: Engine) -> None:
    """The next caller asks again."""
    engine.fake.mark_installed(SITE)
    engine.fake.fail(CREDENTIALS, times=3, **FAILING)
    error = await failure(lambda: engine.tokens.get(SITE))

    assert isinstance(error, WixUnavailable)
    assert await get(engine)


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (InstallFlow.ADVANCED, NotInstalled),
        (InstallFlow.CLIENT_CREDENTIALS, WixMisconfigured),
    ],
)
async def test_a_wrong_secret_is_remembered_as_well(
    storage: Steps, clock: ManualClock, flow: InstallFlow, expected: type[Exception]
) -> None:
    """It is no wrong secret where client credentials are a remedy that Wix has not given."""
    engine = Engine(FakeWix(), storage, clock, flow=flow)
    engine.fake.fail(CREDENTIALS, times=None, **MISCONFIGURED)
    errors = [type(await failure(lambda: engine.tokens.get(SITE))) for _ in range(3)]

    assert ([expected] * 3, 1) == (errors, engine.recoveries)


async def test_a_site_that_is_a_copy_is_stored_as_one(engine: Engine) -> None:
    """Wix tells the origin before on_install is told, which carries the data over."""
    engine.fake.mark_installed(SITE)
    tell_origin(engine, ORIGIN)
    await get(engine)

    assert ORIGIN == (await engine.stored()).origin_instance_id
    assert ["/oauth2/token", INSTANCE] == [call.path for call in engine.fake.calls]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "Wix refuses Get App Instance, so that"),
        (403, "Wix refuses Get App Instance, so that"),
        (503, "Wix did not tell whether this site"),
    ],
)
async def test_an_origin_that_wix_does_not_tell_is_left_out(
    engine: Engine, caplog: pytest.LogCaptureFixture, status: int, expected: str
) -> None:
    """The token is served all the same; a refusal, as for a missing permission, is said once."""
    other = engine.fake.mark_installed(engine.fake.add_site("Other"))
    engine.fake.mark_installed(SITE)
    engine.fake.answer("GET", INSTANCE, status=status, json={})
    values = [await get(engine), await get(engine, other)]

    assert all(values)
    assert None is (await engine.stored()).origin_instance_id
    assert (2 if status == 503 else 1) == caplog.text.count(expected)


async def test_an_origin_is_not_waited_for(
    storage: Steps, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A Wix that hangs costs the callers no more than the bound."""
    engine = Engine(FakeWix(), storage, clock).another(origin_wait=0.01)
    engine.fake.mark_installed(SITE)
    with engine.fake.hold(INSTANCE):
        value = await get(engine)

    assert value
    assert f"whether this site is a copy: no answer in time (site {SITE})" in caplog.text


async def test_an_install_of_the_same_moment_wins(
    engine: Engine, storage: Steps, owed: Owed
) -> None:
    """Its grant is stored and served, whichever comes first."""
    engine.fake.mark_installed(SITE)
    tokens: list[str] = []

    async def run() -> None:
        tokens.append(await get(engine))

    with engine.fake.hold(INSTANCE) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await gate.arrived()
            installed = await engine.install()
            gate.release()
    stored = await engine.stored()

    assert ([installed.value], []) == (tokens, owed)
    assert GrantType.REFRESH_TOKEN is stored.grant_type
    assert storage.holders == set()


async def test_an_install_after_it_was_found_wins(engine: Engine) -> None:
    """The row of the install takes the place of the row that was added."""
    engine.fake.mark_installed(SITE)
    await get(engine)
    installed = await engine.install()

    assert installed.value == await get(engine.another())
    assert GrantType.REFRESH_TOKEN is (await engine.stored()).grant_type


async def test_an_installation_that_cannot_be_stored_is_an_error(
    engine: Engine, storage: Steps, owed: Owed
) -> None:
    """No token is handed out that was not stored; the next caller finds it again."""
    engine.fake.mark_installed(SITE)
    storage.fail("add", StorageUnavailable())
    error = await failure(lambda: engine.tokens.get(SITE))
    told = list(owed)

    assert isinstance(error, StorageUnavailable)
    assert ([], set()) == (told, storage.holders)
    assert await get(engine)


async def test_a_process_that_slept_through_its_lease_does_not_ask(
    engine: Engine, storage: Steps
) -> None:
    """It looks again, and asks under a new lease."""
    engine.fake.mark_installed(SITE)
    slept: list[float] = []

    async def sleep() -> None:
        if storage.log.count("claim") and not slept:
            slept.append(3.0)
            engine.clock.advance(3.0)

    storage.after["get"] = sleep
    await get(engine)

    assert (2, 1) == (storage.log.count("claim"), engine.recoveries)


async def test_what_is_found_is_told_in_the_log(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """One line names the site."""
    engine.fake.mark_installed(SITE)
    with caplog.at_level(logging.INFO, "wix_asgi"):
        await get(engine)

    assert [f"found an installation at Wix that was not stored (site {SITE})"] == [
        record.message for record in caplog.records if record.name == "wix_asgi"
    ]


async def test_the_origin_is_a_callers_where_wix_tells_none(engine: Engine) -> None:
    """The app may not ask Get App Instance, and a verified caller has named the origin."""
    engine.fake.mark_installed(SITE)
    engine.fake.fail(INSTANCE, status=403)
    engine.tokens.note_origin(SITE, ORIGIN)
    await get(engine)

    assert ORIGIN == (await engine.stored()).origin_instance_id


async def test_only_so_many_origins_are_noted(engine: Engine) -> None:
    """The oldest goes first, so that strangers' sites cannot fill the memory."""
    engine = engine.another(max_missing=1)
    engine.fake.mark_installed(SITE)
    engine.fake.fail(INSTANCE, status=403, times=None)
    engine.tokens.note_origin(SITE, ORIGIN)
    engine.tokens.note_origin("another site", ORIGIN)
    await get(engine)

    assert None is (await engine.stored()).origin_instance_id


async def test_no_origin_is_noted_while_the_token_is_cached(engine: Engine) -> None:
    """The row is there, and has its own; each call comes this way."""
    engine.fake.mark_installed(SITE)
    await get(engine)
    engine.tokens.note_origin(SITE, ORIGIN)
    await engine.storage.delete(engine.fake.app_id, SITE)
    engine.tokens.forget(SITE)
    engine.fake.fail(INSTANCE, status=403)
    await get(engine)

    assert None is (await engine.stored()).origin_instance_id
