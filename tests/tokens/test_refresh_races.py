from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.engine import (
    ACCESS,
    FAILING,
    REFUSED,
    Engine,
    ManualClock,
    Steps,
    refresh,
    refresh_failure,
)
from tests.support import SITE
from wix_asgi.errors import (
    NotInstalled,
    WixError,
    WixUnavailable,
)
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.models import AccessToken, Grant
from wix_asgi.testing import FakeWix


async def reinstall(engine: Engine) -> str:
    """Install again; return the access token that came of it."""
    return (await engine.install()).value


async def test_a_token_that_another_process_stored_meanwhile_is_served(
    engine: Engine, storage: Steps
) -> None:
    """Between the first look and the claim another process may have refreshed."""
    await engine.install(left=0)
    brought: list[str] = []

    async def overtake() -> None:
        del storage.before["claim"]
        brought.append((await refresh(engine.another())).value)

    storage.before["claim"] = overtake
    token = await refresh(engine)

    assert brought == [token.value]
    assert 1 == engine.posts
    assert set() == storage.holders


async def test_a_process_without_the_lease_waits_for_the_holder(engine: Engine) -> None:
    """It looks again until the holder has stored its token, and asks nothing of Wix."""
    await engine.install(left=0)
    tokens: list[str] = []

    async def run(process: Engine) -> None:
        tokens.append((await refresh(process)).value)

    with engine.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, engine)
            await gate.arrived()
            for _ in range(3):
                tasks.start_soon(run, engine.another())
            await anyio.wait_all_tasks_blocked()
            gate.release()

    assert 4 == len(tokens)
    assert 1 == len(set(tokens))
    assert 1 == engine.posts


async def test_a_lease_that_is_never_given_back_is_an_error(engine: Engine, storage: Steps) -> None:
    """A holder that goes on renewing for 30 seconds is not waited for any longer."""
    await engine.install(left=0)

    async def hold() -> None:
        engine.clock.advance(10)
        storage._claims[f"refresh:{engine.fake.app_id}:{SITE}"] = ("another", engine.clock() + 2)

    storage.before["claim"] = hold
    error = await refresh_failure(engine)

    assert isinstance(error, WixUnavailable)
    assert "Another process" in str(error)
    assert 3 == storage.log.count("claim")


async def test_a_killed_holder_costs_two_seconds(engine: Engine, storage: Steps) -> None:
    """Its lease runs out, and another process refreshes."""
    await engine.install(left=0)
    await storage.claim(f"refresh:{engine.fake.app_id}:{SITE}", "killed", 2.0)

    async def wait() -> None:
        engine.clock.advance(1.0)

    storage.before["claim"] = wait
    await refresh(engine)

    assert 1 + 2 == storage.log.count("claim")


@pytest.mark.parametrize("fault", [None, REFUSED, FAILING])
async def test_a_reinstall_wins_over_a_refresh_under_way(
    engine: Engine, fault: dict[str, Any] | None
) -> None:
    """The grant of the new installation is stored and handed out, however the refresh ends."""
    await engine.install(left=5)
    new = await _while_refreshing(engine, fault, reinstall)
    stored = await engine.stored()

    assert stored.access_token is not None
    assert [new[0]] == new[1:] == [stored.access_token.value]
    assert stored.failure is None


@pytest.mark.parametrize("fault", [None, REFUSED, FAILING])
async def test_an_uninstall_wins_over_a_refresh_under_way(
    engine: Engine, fault: dict[str, Any] | None
) -> None:
    """However the refresh ends, the site is not installed, and no row comes back."""
    await engine.install(left=5)

    async def uninstall(_: Engine) -> str:
        engine.fake.uninstall(SITE)
        await engine.storage.delete(engine.fake.app_id, SITE)
        return ""

    with pytest.raises(NotInstalled):
        await _while_refreshing(engine, fault, uninstall)

    assert await engine.installations.get(SITE) is None


async def _while_refreshing(
    engine: Engine, fault: dict[str, Any] | None, happen: Callable[[Engine], Any]
) -> list[str]:
    """Let something happen during a refresh; return what came of it, and the token."""
    if fault is not None:
        engine.fail(fault, times=3 if fault is FAILING else 1)
    values: list[str] = []
    errors: list[WixError] = []

    async def run() -> None:
        try:
            values.append((await refresh(engine)).value)
        except WixError as exc:
            errors.append(exc)

    with engine.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await gate.arrived()
            values.insert(0, await happen(engine))
            gate.release()
    if errors:
        raise errors[0]
    return values


async def test_another_refresh_that_came_first_is_adopted(engine: Engine) -> None:
    """A holder that was overtaken serves the token that the overtaker stored, and drops its own."""
    await engine.install(left=0)

    async def overtake(engine: Engine) -> str:
        return await _store(engine, "overtaking-token", None)

    first, second = await _while_refreshing(engine, None, overtake)

    assert "overtaking-token" == first == second


async def test_another_refresh_that_then_failed_is_not_undone(engine: Engine) -> None:
    """A failure noted on the overtaker's token does not make the late holder's the newer one."""
    await engine.install(left=0)

    async def overtake(engine: Engine) -> str:
        value = await _store(engine, "overtaking-token", "overtaking-refresh-token")
        stored = await engine.stored()
        await engine.installations.note_failure(stored, RefreshFailure.UNAVAILABLE, 30.0)
        return value

    first, second = await _while_refreshing(engine, None, overtake)

    assert "overtaking-token" == first == second
    assert "overtaking-refresh-token" == (await engine.stored()).refresh_token


async def _store(engine: Engine, value: str, refresh_token: str | None) -> str:
    token = AccessToken(value, 300.0, engine.clock() + 300.0)
    grant = Grant(token, refresh_token)
    assert await engine.installations.replace(await engine.stored(), grant)
    return value


async def test_a_frozen_holder_saves_the_only_good_token(storage: Steps) -> None:
    """Other processes failed with the rotated token meanwhile: the holder's grant is newer."""
    clock = storage._clock
    assert isinstance(clock, ManualClock)
    engine = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock)
    await engine.install(left=0)
    before = await engine.stored()

    async def fail_twice(engine: Engine) -> str:
        for _ in range(2):
            stored = await engine.stored()
            assert await engine.installations.note_failure(stored, RefreshFailure.REFUSED, 30.0)
        return ""

    _, value = await _while_refreshing(engine, None, fail_twice)
    after = await engine.stored()

    assert after.access_token is not None
    assert (value, None) == (after.access_token.value, after.failure)
    assert before.refresh_token != after.refresh_token
