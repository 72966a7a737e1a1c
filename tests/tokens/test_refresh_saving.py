"""A refresh whose outcome the storage does not take: what nobody could get again is kept."""

from __future__ import annotations

import pytest

from tests.engine import (
    ACCESS,
    FAILING,
    Engine,
    ManualClock,
    Steps,
    refresh,
    refresh_failure,
)
from tests.support import SITE
from wix_asgi.errors import StorageUnavailable, WixUnavailable
from wix_asgi.testing import FakeWix
from wix_asgi.tokens.policy import RefreshPolicy


@pytest.fixture(name="rotating")
def _rotating(engine: Engine, storage: Steps, clock: ManualClock) -> Engine:
    """Give an engine beside a Wix that takes every refresh token once."""
    del engine  # only its tries without pauses are wanted
    policy = RefreshPolicy(save_pause=0.0)
    return Engine(FakeWix(rotate_refresh_tokens=True), storage, clock, policy=policy)


async def test_a_rotated_token_is_stored_when_the_storage_is_back(
    rotating: Engine, storage: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one is dead, so the new one is kept in memory, and no second one requested."""
    before = await rotating.install(left=0)
    old = (await rotating.stored()).refresh_token
    storage.fail("replace", StorageUnavailable("down"), times=5)
    token = await refresh(rotating, before.value)
    stored = await rotating.stored()

    assert 1 == rotating.posts
    assert stored.access_token is not None
    assert token.value == stored.access_token.value
    assert old != stored.refresh_token
    assert [
        f"a new refresh token could not be stored yet, and is in memory only (site {SITE})"
    ] * 5 == caplog.messages


async def test_a_rotated_token_outlives_the_access_token_that_came_with_it(
    rotating: Engine, storage: Steps
) -> None:
    """When the storage is back, the refresh token is stored, and brings a living access token."""
    waits = [100.0] * 5

    async def be_down_for_a_while() -> None:
        if waits:
            rotating.clock.advance(waits.pop())
            raise StorageUnavailable("down")

    await rotating.install(left=0)
    storage.before["replace"] = be_down_for_a_while
    # It was away for longer than a refresh may take: whoever asks next gets the token.
    assert isinstance(await refresh_failure(rotating), WixUnavailable)
    token = await refresh(rotating)

    assert 2 == rotating.posts
    assert rotating.clock() < token.expires_at


async def test_a_rotated_token_is_given_up_after_hours(rotating: Engine, storage: Steps) -> None:
    """A refresh token that Wix grants to nobody again is kept in memory for six hours."""

    async def be_down() -> None:
        rotating.clock.advance(3 * 3600)
        raise StorageUnavailable("down")

    await rotating.install(left=0)
    storage.before["replace"] = be_down

    assert isinstance(await refresh_failure(rotating), StorageUnavailable)
    assert 2 == storage.log.count("replace")


async def test_an_unchanged_refresh_token_is_not_kept_in_memory(
    engine: Engine, storage: Steps
) -> None:
    """Where the refresh token stays the same, a storage that is down is an error at once."""
    await engine.install(left=0)
    storage.fail("replace", StorageUnavailable("down"))

    assert isinstance(await refresh_failure(engine), StorageUnavailable)
    assert 1 == storage.log.count("replace")


async def test_a_pause_ends_before_the_token_does(engine: Engine) -> None:
    """A failure is not held against a token's last moments: there is time for one more try."""
    installed = await engine.install(left=1.2)
    engine.fake.fail(ACCESS, times=None, **FAILING)
    await refresh(engine)
    noted = (await engine.stored()).retry_in
    engine.clock.advance(1.2)
    error = await refresh_failure(engine, installed.value)

    assert 0.7 == pytest.approx(noted)
    assert isinstance(error, WixUnavailable)
    assert 1.0 == pytest.approx((await engine.stored()).retry_in)
