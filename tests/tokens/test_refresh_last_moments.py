"""A refresh that fails while the token dies: what failed before that sends nobody away after it."""

from __future__ import annotations

from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from tests.engine import (
    ACCESS,
    FAILING,
    MISCONFIGURED,
    REFUSED,
    Engine,
    Steps,
    refresh,
    refresh_failure,
)
from wix_asgi._http import httpx
from wix_asgi.errors import NotInstalled, WixError, WixMisconfigured, WixUnavailable

TRIES = 3


@pytest.fixture(name="pauses", autouse=True)
def _pauses(engine: Engine) -> list[float]:
    """Have the pauses of a refresh pass at once, and Wix be well after them; list them."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 3))
        engine.clock.advance(seconds)
        engine.fake.heal()
        await checkpoint()

    engine.sleep = sleep
    return pauses


def asking_for(seconds: int) -> dict[str, Any]:
    """Return the fault of a Wix that asks for so many seconds of peace."""
    return {"status": 503, "headers": {"Retry-After": str(seconds)}}


@pytest.mark.parametrize(
    ("left", "fault", "expected"),
    [
        (2.0, asking_for(2), 2.0),
        (0.1, asking_for(2), 2.0),
        (4.9, asking_for(5), 5.0),
    ],
)
async def test_a_token_is_not_given_up_before_a_try_after_its_end(
    engine: Engine, pauses: list[float], left: float, fault: dict[str, Any], expected: float
) -> None:
    """Where the next try comes after the token's end, the lease holder waits for it."""
    installed = await engine.install(left=left)
    engine.fail(fault)
    token = await refresh(engine, installed.value)

    assert installed.value != token.value
    assert [expected] == pauses
    assert TRIES + 1 == engine.posts


async def test_a_token_that_died_during_a_try_is_not_given_up(
    engine: Engine, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try that hung through the token's end says nothing of the tries after it."""
    await engine.install(left=1)

    async def hang(_request: httpx.Request) -> httpx.Response:
        engine.clock.advance(1.5)
        monkeypatch.undo()
        raise httpx.ReadTimeout("no answer")

    engine.fake.fail(ACCESS, times=TRIES - 1)
    monkeypatch.setattr(engine.fake.transport, "handle_async_request", hang)
    token = await refresh(engine)

    assert engine.clock() < token.expires_at
    assert [0.0] == pauses


@pytest.mark.parametrize(
    ("left", "fault"),
    [
        (0.1, FAILING),
        (2.1, asking_for(2)),
        (0.0, FAILING),
        (0.0, asking_for(2)),
        (0.1, asking_for(6)),
    ],
)
async def test_the_verdict_is_stored_where_a_try_follows_in_time_or_none_can(
    engine: Engine, pauses: list[float], left: float, fault: dict[str, Any]
) -> None:
    """No lease is held where the pause ends before the token, or is long, or no token lived."""
    installed = await engine.install(left=left)
    engine.fail(fault)
    error = await refresh_failure(engine, installed.value)

    assert isinstance(error, WixUnavailable)
    assert "unavailable" == (await engine.stored()).failure
    assert [] == pauses


async def test_a_pause_ends_before_the_token_does_however_little_it_has_left(
    engine: Engine,
) -> None:
    """From the token's end on a refresh may be tried, in every process."""
    await engine.install(left=0.2)
    engine.fake.fail(ACCESS, times=None, **FAILING)
    await refresh(engine)
    noted = (await engine.stored()).retry_in
    engine.clock.advance(0.2)
    engine.fake.heal()

    assert 0.1 == pytest.approx(noted)
    assert engine.clock() < (await refresh(engine.another())).expires_at


@pytest.mark.parametrize(
    ("fault", "expected"), [(REFUSED, NotInstalled), (MISCONFIGURED, WixMisconfigured)]
)
async def test_a_refusal_for_good_is_not_tried_again(
    engine: Engine,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    expected: type[WixError],
) -> None:
    """Though the token died meanwhile: another try would be refused, too."""
    await engine.install(left=0.5)
    answer = engine.fake.transport.handle_async_request

    async def answer_late(request: httpx.Request) -> httpx.Response:
        engine.clock.advance(0.75)
        return await answer(request)

    engine.fail(fault)
    monkeypatch.setattr(engine.fake.transport, "handle_async_request", answer_late)

    assert type(await refresh_failure(engine)) is expected
    assert ([], 1) == (pauses, engine.posts)


async def test_the_lease_is_held_during_the_last_pause(engine: Engine, storage: Steps) -> None:
    """All other processes wait for the lease holder, which alone asks Wix again."""
    installed = await engine.install(left=0.1)
    engine.fake.fail(ACCESS, times=None, **asking_for(1))
    pause, held = engine.sleep, list[set[str]]()

    async def sleep(seconds: float) -> None:
        held.append(set(storage.holders))
        await pause(seconds)

    engine.sleep = sleep
    await refresh(engine, installed.value)

    assert [1] == [len(names) for names in held]
    assert set() == storage.holders
