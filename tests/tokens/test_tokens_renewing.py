from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tests.engine import (
    ACCESS,
    EXPIRED,
    FAILING,
    FRESH,
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
    WixError,
    WixUnavailable,
)
from wix_asgi.models import AccessToken, Grant


async def test_a_refused_token_is_renewed_once_for_all(engine: Engine) -> None:
    """Many 401s at once make one refresh, and all callers get its token."""
    token = await warm(engine, 0)
    values: list[str] = []

    async def renew() -> None:
        values.append((await engine.tokens.renew(SITE, token)).value)

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(renew)
    await renew()

    assert 101 == len(values)
    assert 1 == len(set(values))
    assert token.value not in values
    assert 1 == engine.posts


async def test_a_refused_token_may_be_unknown_here(engine: Engine) -> None:
    """A 401 for a token that left the cache is answered from storage, if another token is there."""
    await engine.install()
    old = AccessToken("forgotten", 300.0, engine.clock() + 300.0)
    renewed = await engine.tokens.renew(SITE, old)

    assert "forgotten" != renewed.value
    assert 0 == engine.posts


async def test_an_api_that_refuses_every_token_costs_no_refresh_for_each_call(
    engine: Engine,
) -> None:
    """A token that was renewed to no use is renewed again only after ten seconds."""
    token = await engine.tokens.renew(SITE, await warm(engine, 0))
    engine.tokens.note_useless(SITE, token)
    again = [await engine.tokens.renew(SITE, token) for _ in range(5)]
    posts = engine.posts
    engine.clock.advance(10)
    later = await engine.tokens.renew(SITE, token)

    assert [token] * 5 == again
    assert (1, 2) == (posts, engine.posts)
    assert token.value != later.value


async def test_a_token_that_was_of_use_is_renewed_as_often_as_wix_ends_it(engine: Engine) -> None:
    """Tokens that Wix ends one after the other are renewed one after the other."""
    first = await warm(engine, 0)
    second = await engine.tokens.renew(SITE, first)
    engine.tokens.note_useless(SITE, first)
    third = await engine.tokens.renew(SITE, second)

    assert 3 == len({first.value, second.value, third.value})
    assert 2 == engine.posts


async def test_a_token_that_another_process_renewed_is_served(engine: Engine) -> None:
    """A 401 in each of two processes makes one refresh."""
    token = await warm(engine, 0)
    other = engine.another()
    await get(other)
    first = await engine.tokens.renew(SITE, token)
    second = await other.tokens.renew(SITE, token)

    assert first == second
    assert 1 == engine.posts


@pytest.mark.parametrize("step", ["get", "release"])
async def test_a_401_during_a_refresh_is_not_lost(
    engine: Engine, storage: Steps, step: str
) -> None:
    """Where the refresh under way brings the refused token itself, another one follows."""
    await warm(engine, EXPIRED)
    token, paused, go_on = await engine.install(left=0), anyio.Event(), anyio.Event()

    async def overtake() -> None:
        del storage.before["claim"]
        storage.before[step] = pause
        await _bring(engine, token)

    async def pause() -> None:
        del storage.before[step]
        paused.set()
        await go_on.wait()

    values: list[str] = []

    async def renew() -> None:
        values.append((await engine.tokens.renew(SITE, token)).value)

    storage.before["claim"] = overtake
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.tokens.get, SITE)
        await paused.wait()
        tasks.start_soon(renew)
        await anyio.wait_all_tasks_blocked()
        go_on.set()

    assert 1 == len(values)
    assert token.value not in values
    assert values == [await get(engine)]
    assert 1 == engine.posts


async def _bring(engine: Engine, token: AccessToken) -> None:
    """Store `token` as a refresh of another process would."""
    token = AccessToken(token.value, 300.0, engine.clock() + 300.0)
    stored = await engine.stored()
    assert await engine.installations.replace(stored, Grant(token, None))


async def test_a_token_that_wix_grants_again_ends_the_renewals(engine: Engine) -> None:
    """Where Wix grants the refused token anew, the caller gets it after at most two refreshes."""
    token = await warm(engine, 0)
    again = {"access_token": token.value}
    engine.fake.fail(ACCESS, status=200, body=again, times=None)
    with anyio.fail_after(PATIENCE):
        renewed = await engine.tokens.renew(SITE, token)

    assert token.value == renewed.value
    assert engine.posts <= 2


@pytest.mark.parametrize(
    ("fault", "expected"), [(REFUSED, NotInstalled), (FAILING, WixUnavailable)]
)
async def test_a_refused_token_is_not_served_again(
    engine: Engine, fault: dict[str, Any], expected: type[WixError]
) -> None:
    """Where it cannot be renewed, callers get the error, now and later."""
    token = await warm(engine, 0)
    engine.fail(fault)
    error = await failure(lambda: engine.tokens.renew(SITE, token))

    assert type(error) is expected


async def test_a_new_installation_is_served_at_once(engine: Engine) -> None:
    """The token of the handshake replaces the token in the cache."""
    await warm(engine, 0)
    new = await engine.install()
    engine.tokens.adopt(SITE, new)

    assert new.value == await get(engine)


async def test_a_new_installation_wins_over_a_refresh_that_ends_later(
    engine: Engine, storage: Steps
) -> None:
    """A refresh that was stored just before the reinstall does not come into the cache after it."""
    await warm(engine, EXPIRED)
    stored, go_on = anyio.Event(), anyio.Event()

    async def pause() -> None:
        stored.set()
        await go_on.wait()

    storage.before["release"] = pause
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.tokens.get, SITE)
        await stored.wait()
        new = await engine.install()
        engine.tokens.adopt(SITE, new)
        go_on.set()

    assert new.value == await get(engine)


async def test_a_refresh_that_fails_after_a_new_installation_says_nothing(
    engine: Engine, storage: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure of the earlier installation does not touch the token of the new one."""
    await warm(engine, EXPIRED)
    engine.fake.fail(ACCESS, times=3)
    new: list[AccessToken] = []

    async def install() -> None:
        storage.before.clear()
        new.append(await engine.install())
        engine.tokens.adopt(SITE, new[0])

    storage.before["release"] = install
    with caplog.at_level(logging.WARNING):
        await failure(lambda: engine.tokens.get(SITE))
    engine.clock.advance(FRESH)

    assert new[0].value == await get(engine)
    assert "the current token is served" not in caplog.text
