"""Installations that get their access tokens by client credentials."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.engine import (
    CREDENTIALS,
    FAILING,
    MISCONFIGURED,
    NOT_FOUND,
    Engine,
    ManualClock,
    Steps,
    crowd,
    failure,
    get,
    refresh,
    refresh_failure,
)
from tests.support import SITE
from wix_asgi.errors import NotInstalled, WixError, WixMisconfigured, WixUnavailable
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.models import AccessToken, Grant, GrantType, InstallFlow
from wix_asgi.testing import FakeWix

HOURS = 4 * 3_600.0


async def test_a_token_is_got_by_the_credentials_of_the_app(engine: Engine) -> None:
    """The token lives for four hours, and there is still no refresh token."""
    await engine.install_by_credentials(left=0)
    token = await refresh(engine)
    stored = await engine.stored()

    assert (HOURS, engine.clock() + HOURS) == (token.lifetime, token.expires_at)
    assert (GrantType.CLIENT_CREDENTIALS, "") == (stored.grant_type, stored.refresh_token)
    assert [1, 0] == [engine.recoveries, engine.posts]


async def test_a_crowd_of_processes_asks_once(engine: Engine) -> None:
    """Over four processes and a thousand callers Wix is asked once."""
    await engine.install_by_credentials(left=0)
    values = await crowd(250, engine, *(engine.another() for _ in range(3)))

    assert (1_000, 1) == (len(values), len(set(values)))
    assert [1, 0] == [engine.recoveries, engine.posts]


async def test_a_restart_asks_nothing(engine: Engine) -> None:
    """The stored access token serves a process that has just begun (R32)."""
    await engine.install_by_credentials(left=0)
    token = await refresh(engine)
    record = await engine.storage.get(engine.fake.app_id, SITE)

    assert token.value == await get(engine.another())
    assert 1 == engine.recoveries
    assert record is not None
    assert token.value.encode() not in (record.access_token or b"")


@pytest.mark.parametrize(
    ("left", "expected"),
    [(90.1, (True, 0)), (89.9, (True, 1)), (20.1, (True, 1)), (20.0, (False, 1)), (0, (False, 1))],
)
async def test_a_token_of_four_hours_has_three_windows(
    engine: Engine, left: float, expected: tuple[bool, int]
) -> None:
    """It is refreshed in the background for 90 seconds, and waited for in the last 20 seconds."""
    token = await engine.install_by_credentials()
    await get(engine)
    engine.clock.advance(HOURS - left)
    value = await get(engine)
    await engine.settle()

    assert expected == (value == token.value, engine.recoveries)


@pytest.mark.parametrize(
    ("fault", "expected", "noted"),
    [
        (NOT_FOUND, NotInstalled, RefreshFailure.NOT_INSTALLED),
        (MISCONFIGURED, WixMisconfigured, RefreshFailure.MISCONFIGURED),
        (FAILING, WixUnavailable, RefreshFailure.UNAVAILABLE),
    ],
)
async def test_a_failure_is_a_verdict_for_all_processes(
    engine: Engine, fault: dict[str, Any], expected: type[WixError], noted: RefreshFailure
) -> None:
    """It is not asked again while the verdict stands, and the app hears of a refusal once."""
    await engine.install_by_credentials(left=0)
    engine.fake.fail(CREDENTIALS, times=None, **fault)
    errors = [await refresh_failure(process) for process in (engine, engine.another(), engine)]

    assert [expected] * 3 == [type(error) for error in errors]
    assert noted == (await engine.stored()).failure
    assert (3 if fault is FAILING else 1) == engine.recoveries


async def test_a_living_token_outlasts_a_failure(engine: Engine) -> None:
    """It is served to its last second."""
    token = await engine.install_by_credentials(left=10)
    engine.fake.fail(CREDENTIALS, times=None, **FAILING)

    assert token.value == await get(engine)


async def test_an_older_release_has_no_verdict_on_client_credentials(engine: Engine) -> None:
    """It sends the empty refresh token, and notes the refusal, which says nothing."""
    await engine.install_by_credentials(left=0)
    stored = await engine.stored()
    await engine.installations.note_failure(stored, RefreshFailure.REFUSED, 30.0)

    assert await get(engine)
    assert 1 == engine.recoveries


async def test_a_moved_installation_keeps_its_refresh_token_unused(engine: Engine) -> None:
    """The grant type counts, not whether there is a refresh token."""
    await engine.install(left=0)
    stored = await engine.stored()
    token = AccessToken("test-token-0123456789", HOURS, engine.clock())
    await engine.installations.replace(
        stored, Grant(token), grant_type=GrantType.CLIENT_CREDENTIALS
    )
    await refresh(engine)
    moved = await engine.stored()

    assert (stored.refresh_token, GrantType.CLIENT_CREDENTIALS) == (
        moved.refresh_token,
        moved.grant_type,
    )
    assert [1, 0] == [engine.recoveries, engine.posts]


@pytest.mark.parametrize("flow", InstallFlow)
async def test_both_grants_work_side_by_side(
    storage: Steps, clock: ManualClock, flow: InstallFlow
) -> None:
    """Each installation is refreshed by its own grant, in either flow."""
    engine = Engine(FakeWix(), storage, clock, flow=flow, recover=False)
    other = engine.fake.add_site("Other")
    await engine.install(left=0)
    await engine.install_by_credentials(other, left=0)

    assert await get(engine) != await get(engine, other)
    assert [1, 1] == [engine.recoveries, engine.posts]


async def test_a_lease_is_short_where_refresh_tokens_rotate(storage: Steps) -> None:
    """No token of client credentials ends another, so a killed holder costs two seconds (R40)."""
    clock = storage._clock
    assert isinstance(clock, ManualClock)
    engine = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock)
    other = engine.fake.add_site("Other")
    await engine.install(left=0)
    await engine.install_by_credentials(other, left=0)
    ends: list[float] = []

    async def note() -> None:
        leases = [end for name, (_, end) in storage._claims.items() if name.startswith("refresh:")]
        ends.extend(end - clock() for end in leases)

    await get(engine)
    await engine.install(left=0)
    storage.after["claim"] = note
    await refresh(engine)
    await get(engine, other)

    assert [20.0, 2.0] == ends


async def test_a_process_that_slept_through_its_lease_does_not_ask(
    engine: Engine, storage: Steps
) -> None:
    """Another process may have asked by then: the row is read again first."""
    await engine.install_by_credentials(left=0)
    slept: list[float] = []

    async def sleep() -> None:
        if storage.log.count("claim") and not slept:
            slept.append(3.0)
            engine.clock.advance(3.0)

    storage.after["get"] = sleep
    token = await refresh(engine)

    assert 2 == storage.log.count("claim")
    assert (token.value, 1) == ((await get(engine)), engine.recoveries)


@pytest.mark.parametrize("is_moved", [False, True])
async def test_a_storage_that_forgets_the_grant_type_works(
    storage: Steps, clock: ManualClock, is_moved: bool
) -> None:
    """In the flow of client credentials an installation needs no refresh token, also unmarked."""
    engine = Engine(
        FakeWix(), storage, clock, flow=InstallFlow.CLIENT_CREDENTIALS, recover=is_moved
    )
    await engine.install_by_credentials(left=0)
    storage.forget_grant_types()

    assert await get(engine)
    assert 1 == engine.recoveries


async def test_the_verdict_of_another_process_is_waited_for(engine: Engine) -> None:
    """All callers of all processes get one verdict."""
    await engine.install_by_credentials(left=0)
    engine.fake.fail(CREDENTIALS, times=None, **NOT_FOUND)
    errors: list[WixError] = []

    async def ask(process: Engine) -> None:
        errors.append(await failure(lambda: process.tokens.get(SITE)))

    async with anyio.create_task_group() as tasks:
        for process in (engine, engine.another()):
            for _ in range(20):
                tasks.start_soon(ask, process)

    assert [NotInstalled] * 40 == [type(error) for error in errors]
    assert 1 == engine.recoveries
