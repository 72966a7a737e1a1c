from __future__ import annotations

from traceback import TracebackException
from typing import Any

import anyio
import pytest

from tests.engine import (
    ACCESS,
    ADVISORY,
    EXPIRED,
    FAILING,
    MANDATORY,
    MISCONFIGURED,
    REFUSED,
    Engine,
    Steps,
    failure,
    get,
    warm,
)
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi.errors import (
    NotInstalled,
    StorageUnavailable,
    UnsealError,
    WixError,
    WixMisconfigured,
    WixUnavailable,
)


async def test_a_token_that_dies_during_the_wait_has_its_successor(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its last moments no caller is refused while the refresh is still under way."""
    token = await warm(engine, EXPIRED - 0.05)
    served: list[str] = []
    waited = anyio.Event()
    wait = engine.tokens._wait

    async def note_and_wait(*args: Any, **options: Any) -> Any:
        try:
            return await wait(*args, **options)
        finally:
            engine.clock.advance(1)
            waited.set()

    async def ask() -> None:
        served.append(await get(engine))

    monkeypatch.setattr(engine.tokens, "_wait", note_and_wait)
    async with anyio.create_task_group() as tasks:
        with engine.fake.hold(ACCESS):
            tasks.start_soon(ask)
            with anyio.fail_after(PATIENCE):
                await waited.wait()

    assert 1 == engine.posts
    assert token.value != served[0]


async def test_no_caller_waits_until_the_token_in_hand_is_dead(engine: Engine) -> None:
    """While a refresh hangs, callers wait for at most half of the time their token has left."""
    token = await warm(engine, EXPIRED - 0.2)
    with engine.fake.hold(ACCESS) as gate:
        served = await get(engine)
        await gate.arrived()
        is_alive = engine.clock() < token.expires_at
    await engine.settle()

    assert token.value == served
    assert is_alive


@pytest.mark.parametrize("fault", [REFUSED, MISCONFIGURED, FAILING])
@pytest.mark.parametrize("age", [ADVISORY, MANDATORY, EXPIRED - 0.1])
async def test_a_living_token_outlasts_a_failure(
    engine: Engine, age: float, fault: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is served to its end; site and failure are in the log, and it is not tried each time."""
    token = await warm(engine, age)
    engine.fail(fault)
    values = [await get(engine)]
    await engine.settle()
    posts = engine.posts
    values += [await get(engine) for _ in range(5)]
    await engine.settle()

    assert [token.value] * 6 == values
    assert posts == engine.posts == (3 if fault is FAILING else 1)
    assert engine.recoveries == (1 if fault is REFUSED else 0)
    assert "a refresh failed, the current token is served: " in caplog.text
    assert f" (site {SITE})" in caplog.text


async def test_a_failure_is_followed_by_another_try(engine: Engine) -> None:
    """A few seconds later, in the background, and then the token is a new one."""
    token = await warm(engine, ADVISORY)
    engine.fake.fail(ACCESS, times=3)
    await get(engine)
    await engine.settle()
    engine.clock.advance(5)
    again = await get(engine)
    await engine.settle()

    assert token.value == again
    assert token.value != await get(engine)
    assert 4 == engine.posts


@pytest.mark.parametrize("step", ["get", "claim", "replace"])
@pytest.mark.parametrize("age", [ADVISORY, MANDATORY])
async def test_a_living_token_outlasts_a_failing_storage(
    engine: Engine, storage: Steps, step: str, age: float
) -> None:
    """The token in memory is served while it lives."""
    token = await warm(engine, age)
    storage.fail(step, StorageUnavailable(), times=100)
    values = [await get(engine) for _ in range(3)]
    await engine.settle()

    assert [token.value] * 3 == values


async def test_a_living_token_outlasts_an_unreadable_row(engine: Engine, storage: Steps) -> None:
    """The same where the stored tokens can no longer be unsealed."""
    token = await warm(engine, MANDATORY)
    storage.fail("get", UnsealError(), times=2)

    assert token.value == await get(engine)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(REFUSED, NotInstalled), (MISCONFIGURED, WixMisconfigured), (FAILING, WixUnavailable)],
)
async def test_an_expired_token_and_a_failure_are_a_typed_error(
    engine: Engine, fault: dict[str, Any], expected: type[WixError]
) -> None:
    """All waiting callers get it, and later callers get it at once, in each process."""
    await warm(engine, EXPIRED)
    other = engine.another()
    engine.fail(fault)
    errors: list[WixError] = []

    async def ask(process: Engine) -> None:
        errors.append(await failure(lambda: process.tokens.get(SITE)))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask, engine)
            tasks.start_soon(ask, other)
    for process in (engine, other, engine.another()):
        await ask(process)

    assert {expected} == {type(error) for error in errors}
    assert 43 == len(errors)
    assert engine.posts == (3 if fault is FAILING else 1)
    assert engine.recoveries == (1 if fault is REFUSED else 0)
    assert (await engine.stored()).refresh_token


async def test_an_error_tells_when_to_come_again(engine: Engine) -> None:
    """Wix's Retry-After is in the error, and in the header that frameworks answer with."""
    await warm(engine, EXPIRED)
    engine.fake.fail(ACCESS, status=429, headers={"Retry-After": "17"})
    error = await failure(lambda: engine.tokens.get(SITE))

    assert isinstance(error, WixUnavailable)
    assert (17.0, {"Retry-After": "17"}) == (error.retry_after, error.headers)


@pytest.mark.parametrize("error", [StorageUnavailable(), UnsealError()])
async def test_errors_of_the_storage_come_through(
    engine: Engine, storage: Steps, error: WixError
) -> None:
    """Where there is no token to serve, they are raised as they are."""
    await engine.install()
    storage.fail("get", error)

    assert error is await failure(lambda: engine.tokens.get(SITE))
    assert (await get(engine)) != ""


async def test_a_site_that_is_not_installed_is_an_error(engine: Engine) -> None:
    """Wix is asked once, however many callers there are."""
    for _ in range(3):
        assert isinstance(await failure(lambda: engine.tokens.get("nobody")), NotInstalled)
    assert [1, 0] == [engine.recoveries, engine.posts]


async def test_a_caller_waits_for_a_bounded_time(engine: Engine) -> None:
    """A refresh that takes too long goes on without the caller, who gets an error."""
    engine = engine.another(caller_wait=0.05)
    token = await warm(engine, EXPIRED)
    with engine.fake.hold(ACCESS) as gate:
        engine.tokens._join(engine.tokens._loops.here(), SITE)
        await gate.arrived()
        error = await failure(lambda: engine.tokens.get(SITE))
        gate.release()
        await engine.settle()

    assert isinstance(error, WixUnavailable)
    assert token.value != await get(engine)
    assert 1 == engine.posts


async def test_a_caller_whose_wait_ends_gets_the_token_that_still_lives(engine: Engine) -> None:
    """In its last seconds the token in hand is served then."""
    engine = engine.another(caller_wait=0.05)
    token = await warm(engine, MANDATORY)
    with engine.fake.hold(ACCESS) as gate:
        value = await get(engine)
        gate.release()
        await engine.settle()

    assert token.value == value


async def test_a_shutdown_is_a_typed_error(engine: Engine) -> None:
    """A caller whose refresh is cut off gets an error, and the lease is given back."""
    await warm(engine, EXPIRED)
    errors: list[WixError] = []

    async def ask() -> None:
        errors.append(await failure(lambda: engine.tokens.get(SITE)))

    with engine.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await gate.arrived()
            await engine.detached.aclose(0)
            holders = engine.storage.holders if isinstance(engine.storage, Steps) else None

    assert [WixUnavailable] * 3 == [type(error) for error in errors]
    assert set() == holders


async def test_a_living_token_outlasts_a_shutdown(engine: Engine) -> None:
    """In its last seconds it is served, rather than an error."""
    token = await warm(engine, MANDATORY)
    values: list[str] = []

    async def ask() -> None:
        values.append(await get(engine))

    with engine.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await gate.arrived()
            await engine.detached.aclose(0)

    assert [token.value] == values


async def test_errors_show_no_token(engine: Engine) -> None:
    """Neither do the locals of their frames, for tokens that were refused included (R35)."""
    token = await warm(engine, 0)
    refresh_token = (await engine.stored()).refresh_token
    engine.fail(REFUSED)
    error = await failure(lambda: engine.tokens.renew(SITE, token))
    trace = "".join(TracebackException.from_exception(error, capture_locals=True).format())

    assert token.value not in trace
    assert refresh_token not in trace
    assert engine.fake.app_secret not in trace
