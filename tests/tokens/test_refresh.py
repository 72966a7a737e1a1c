from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tests.engine import (
    ACCESS,
    FAILING,
    MISCONFIGURED,
    REFUSED,
    Engine,
    ManualClock,
    Steps,
    refresh,
    refresh_failure,
)
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi.errors import (
    NotInstalled,
    StorageUnavailable,
    UnknownKey,
    WixError,
    WixMisconfigured,
    WixUnavailable,
)
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.sealing.vault import Vault
from wix_asgi.testing import FakeWix
from wix_asgi.tokens.policy import RefreshPolicy


def test_windows_scale_with_the_lifetime() -> None:
    """The windows are 90 and 20 seconds at most, and shorter for shorter lives."""
    policy = RefreshPolicy()
    windows = [
        (policy.advisory_window(lifetime), policy.mandatory_window(lifetime))
        for lifetime in (300, 14_400, 10)
    ]

    assert [(90.0, 20.0), (90.0, 20.0), pytest.approx((3.0, 0.7))] == windows


async def test_a_good_token_in_storage_needs_no_refresh(engine: Engine, storage: Steps) -> None:
    """A stored token that is not yet in its mandatory window is served, without a lease."""
    installed = await engine.install(left=20.1)
    storage.log.clear()

    assert installed == await refresh(engine)
    assert ["get"] == storage.log
    assert 0 == engine.posts


@pytest.mark.parametrize("left", [20.0, 1.0, 0.0, -100.0])
async def test_a_token_in_its_last_seconds_is_refreshed(engine: Engine, left: float) -> None:
    """One POST brings its successor, which is stored before it is handed out."""
    installed = await engine.install(left=left)
    token = await refresh(engine)
    stored = await engine.stored()

    assert token.value != installed.value
    assert token == stored.access_token
    assert 1 == engine.posts


async def test_an_unwanted_token_is_refreshed(engine: Engine) -> None:
    """However fresh it is: Wix answered it with a 401."""
    installed = await engine.install()

    assert installed.value != (await refresh(engine, installed.value)).value
    assert 1 == engine.posts


async def test_a_lease_is_held_for_the_refresh_alone(engine: Engine, storage: Steps) -> None:
    """It is claimed, the row read again and written by comparison, and the lease given back."""
    await engine.install(left=0)
    storage.log.clear()
    await refresh(engine)

    assert ["get", "claim", "get", "replace", "release"] == storage.log
    assert set() == storage.holders


async def test_no_installation_is_not_installed(engine: Engine) -> None:
    """Wix is asked once for a site that is not in storage, and says no."""
    assert isinstance(await refresh_failure(engine), NotInstalled)
    assert ["/oauth2/token"] == [call.path for call in engine.fake.calls]


@pytest.mark.parametrize(
    ("fault", "expected", "retry_in"),
    [
        (REFUSED, NotInstalled, 30.0),
        (MISCONFIGURED, WixMisconfigured, 30.0),
        (FAILING, WixUnavailable, 1.0),
    ],
)
async def test_a_failure_is_typed_and_left_for_other_processes(
    engine: Engine, fault: dict[str, Any], expected: type[WixError], retry_in: float
) -> None:
    """Its verdict stands for a while, in which all other processes fail at once, without a POST."""
    await engine.install(left=0)
    before = await engine.stored()
    engine.fail(fault)
    first = await refresh_failure(engine)
    posts = engine.posts
    others = [await refresh_failure(engine.another()) for _ in range(3)]
    after = await engine.stored()

    assert [expected] * 4 == [type(error) for error in (first, *others)]
    assert posts == engine.posts == (3 if fault is FAILING else 1)
    assert retry_in == after.retry_in
    assert (before.refresh_token, before.access_token) == (after.refresh_token, after.access_token)


@pytest.mark.parametrize("fault", [REFUSED, MISCONFIGURED, FAILING])
async def test_a_verdict_ends(engine: Engine, fault: dict[str, Any]) -> None:
    """After its pause a refresh is tried again, and may succeed."""
    await engine.install(left=0)
    engine.fail(fault)
    await refresh_failure(engine)
    engine.fake.heal()
    engine.clock.advance(30)
    token = await refresh(engine)

    assert token == (await engine.stored()).access_token
    assert (await engine.stored()).failure is None


@pytest.mark.parametrize(("asked", "expected"), [("7", 7.0), ("40", 40.0), ("999999999", 60.0)])
async def test_wix_may_ask_all_processes_to_wait(
    engine: Engine, asked: str, expected: float
) -> None:
    """Retry-After holds for all processes, up to a minute, and is passed on to callers."""
    await engine.install(left=0)
    engine.fake.fail(ACCESS, status=429, headers={"Retry-After": asked}, times=None)
    await refresh_failure(engine)
    engine.clock.advance(2)
    error = await refresh_failure(engine.another())

    assert isinstance(error, WixUnavailable)
    assert expected - 2 == error.retry_after
    assert 1 == engine.posts


@pytest.mark.parametrize("fault", [REFUSED, MISCONFIGURED, FAILING])
async def test_a_cold_process_serves_the_last_seconds(
    engine: Engine, fault: dict[str, Any]
) -> None:
    """Where a refresh fails, a stored token with seconds left is served."""
    installed = await engine.install(left=5)
    engine.fail(fault)
    first = await refresh(engine)
    posts = engine.posts
    second = await refresh(engine.another())

    assert installed == first == second
    assert posts == engine.posts


async def test_a_token_that_wix_refused_is_not_served_in_need(engine: Engine) -> None:
    """A token that was answered with a 401 has no last seconds."""
    installed = await engine.install()
    engine.fake.fail(ACCESS, times=None, **FAILING)

    assert isinstance(await refresh_failure(engine, installed.value), WixUnavailable)
    assert isinstance(await refresh_failure(engine.another(), installed.value), WixUnavailable)


async def test_a_refusal_is_logged_without_the_token(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator learns what Wix said of which site, and the installation stays in storage."""
    await engine.install(left=0)
    engine.fail(REFUSED, times=1)
    with caplog.at_level(logging.DEBUG, "wix_asgi"):
        await refresh_failure(engine)
    token = (await engine.stored()).refresh_token

    assert "Wix refuses a refresh: not_installed (Wix answered 404 not_found" in caplog.text
    assert f", site {SITE})" in caplog.text
    assert token not in caplog.text


async def test_a_failure_that_cannot_be_noted_is_raised(engine: Engine, storage: Steps) -> None:
    """A storage that fails beside Wix neither hides the error nor takes the last seconds away."""
    installed = await engine.install(left=5)
    engine.fake.fail(ACCESS, times=None, **FAILING)
    storage.fail("replace", StorageUnavailable(), times=2)
    token = await refresh(engine)
    engine.clock.advance(5)
    error = await refresh_failure(engine)

    assert installed == token
    assert isinstance(error, WixUnavailable)
    assert "Wix answered 503" in str(error)


async def test_a_slow_storage_does_not_repeat_a_failure(engine: Engine, storage: Steps) -> None:
    """The leader raises its verdict at once, however soon it ends for other processes."""
    await engine.install(left=0)
    engine.fail(REFUSED)

    async def dawdle() -> None:
        engine.clock.advance(5)

    storage.before["replace"] = storage.before["release"] = dawdle
    storage.after["replace"] = storage.after["release"] = lambda: _pass(engine, 31)
    error = await refresh_failure(engine)

    assert isinstance(error, NotInstalled)
    assert 1 == engine.posts


async def _pass(engine: Engine, seconds: float) -> None:
    engine.clock.advance(seconds)


@pytest.mark.parametrize("rotate", [False, True])
async def test_a_refresh_token_is_kept_or_replaced(storage: Steps, rotate: bool) -> None:
    """Refreshing goes on and on, with the old refresh token or with each new one."""
    clock = storage._clock
    assert isinstance(clock, ManualClock)
    engine = Engine(FakeWix(rotate_refresh_tokens=rotate), storage, clock)
    engine.fake.answer_without_refresh_token = not rotate
    await engine.install(left=0)
    seen: set[str] = set()
    for _ in range(4):
        await refresh(engine)
        seen.add((await engine.stored()).refresh_token)
        clock.advance(300)

    assert 4 == engine.posts
    assert (4 if rotate else 1) == len(seen)


async def test_a_cancelled_refresh_gives_its_lease_back(engine: Engine, storage: Steps) -> None:
    """Another refresh may begin at once."""
    await engine.install(left=0)
    with engine.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refresh, engine)
            await gate.arrived()
            held = set(storage.holders)
            tasks.cancel_scope.cancel()

    assert {f"refresh:{engine.fake.app_id}:{SITE}"} == held
    assert set() == storage.holders
    assert (await refresh(engine)).value


@pytest.mark.parametrize("fault", [REFUSED, FAILING])
async def test_a_failed_refresh_gives_its_lease_back(
    engine: Engine, storage: Steps, fault: dict[str, Any]
) -> None:
    """The verdict is written first, so that no other process repeats the failure."""
    await engine.install(left=0)
    storage.log.clear()
    engine.fail(fault, times=3)
    await refresh_failure(engine)

    assert ["get", "claim", "get", "replace", "release"] == storage.log
    assert set() == storage.holders


@pytest.mark.parametrize("step", ["get", "claim", "replace"])
async def test_a_failing_storage_is_typed(engine: Engine, storage: Steps, step: str) -> None:
    """No token is handed out that was not stored, and the lease is given back."""
    await engine.install(left=0)
    storage.fail(step, StorageUnavailable())

    assert isinstance(await refresh_failure(engine), StorageUnavailable)
    assert set() == storage.holders


async def test_a_key_that_is_gone_is_named(engine: Engine) -> None:
    """Where nothing may recover, the error says which key is wanted; the row is kept (R33)."""
    engine = Engine(engine.fake, engine.storage, engine.clock, recover=False)
    await engine.install(left=0)
    foreign = InstallationRepository(
        engine.fake.app_id, engine.storage, Vault([b"n" * 32]), clock=engine.clock
    )
    engine.refresher._installations = foreign

    assert isinstance(await refresh_failure(engine), UnknownKey)
    assert (await engine.stored()).refresh_token


async def test_unwanted_tokens_may_grow_in_number(engine: Engine, storage: Steps) -> None:
    """A 401 that comes in while the refresh waits counts, too."""
    installed = await engine.install()
    unwanted: set[str] = set()

    async def hear() -> None:
        unwanted.add(installed.value)

    storage.after["get"] = hear
    with anyio.fail_after(PATIENCE):
        token = await engine.refresher.refresh(SITE, unwanted)

    assert installed.value != token.value
    assert 1 == engine.posts
