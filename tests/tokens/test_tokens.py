from __future__ import annotations

import anyio
import pytest

from tests.engine import (
    ACCESS,
    ADVISORY,
    EXPIRED,
    FRESH,
    MANDATORY,
    Engine,
    ManualClock,
    Steps,
    crowd,
    failure,
    get,
    warm,
)
from tests.support import SITE, make_wix
from wix_asgi._http import httpx
from wix_asgi.errors import NotInstalled
from wix_asgi.models import AccessToken
from wix_asgi.testing import FakeWix
from wix_asgi.tokens.cache import TokenCache


async def test_a_fresh_token_costs_no_call(engine: Engine, storage: Steps) -> None:
    """It comes from memory: neither Wix nor the storage is asked."""
    token = await warm(engine, FRESH)
    storage.log.clear()
    values = [await get(engine) for _ in range(3)]

    assert [token.value] * 3 == values
    assert [] == storage.log
    assert [] == engine.fake.calls


async def test_a_token_is_refreshed_ahead_in_the_background(engine: Engine) -> None:
    """In the advisory window every caller is served at once, and exactly one refresh is begun."""
    token = await warm(engine, ADVISORY)
    with engine.fake.hold(ACCESS) as gate:
        values = [await get(engine) for _ in range(3)] + await crowd(50, engine)
        await gate.arrived()
        values += [await get(engine) for _ in range(3)]
        gate.release()
        await engine.settle()
    after = await get(engine)

    assert [token.value] * 56 == values
    assert after != token.value
    assert 1 == engine.posts


async def test_callers_wait_for_the_successor_of_a_token_in_its_last_seconds(
    engine: Engine,
) -> None:
    """In the mandatory window they get the next token, of one refresh."""
    token = await warm(engine, MANDATORY)
    values = await crowd(50, engine)

    assert 1 == len(set(values))
    assert token.value not in values
    assert 1 == engine.posts


@pytest.mark.parametrize(
    ("jitter", "last_fresh", "first_advisory"), [(0.0, 224.9, 225.1), (1.0, 194.9, 195.1)]
)
async def test_the_advisory_window_is_jittered(
    engine: Engine, jitter: float, last_fresh: float, first_advisory: float
) -> None:
    """It begins 75 to 105 seconds before the end, so that many sites do not move together."""
    engine.tokens = TokenCache(
        engine.refresher, engine.detached, clock=engine.clock, jitter=lambda: jitter
    )
    await warm(engine, last_fresh)
    await get(engine)
    await engine.settle()
    before = engine.posts
    engine.clock.advance(first_advisory - last_fresh)
    await get(engine)
    await engine.settle()

    assert (0, 1) == (before, engine.posts)


async def test_a_thousand_tasks_make_one_post(engine: Engine) -> None:
    """However many tasks want a token that has expired, one refresh is made for all of them."""
    await warm(engine, EXPIRED)
    values = await crowd(1_000, engine)

    assert 1_000 == len(values)
    assert 1 == len(set(values))
    assert 1 == engine.posts


@pytest.mark.parametrize("rotate", [False, True])
async def test_processes_make_one_post_together(rotate: bool) -> None:
    """Of two processes over one storage one refreshes, and both serve the token that it stored."""
    clock = ManualClock()
    engine = Engine(FakeWix(rotate_refresh_tokens=rotate), Steps(clock), clock)
    other = engine.another()
    await warm(engine, 0)
    await get(other)
    clock.advance(EXPIRED)
    values = await crowd(250, engine, other)

    assert 500 == len(values)
    assert 1 == len(set(values))
    assert 1 == engine.posts


async def test_a_leader_may_be_cancelled(engine: Engine) -> None:
    """The caller that began the refresh takes no other caller down when it is cancelled."""
    await warm(engine, EXPIRED)
    values: list[str] = []

    async def ask() -> None:
        values.append(await get(engine))

    with engine.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as others:
            async with anyio.create_task_group() as leader:
                leader.start_soon(engine.tokens.get, SITE)
                await gate.arrived()
                for _ in range(10):
                    others.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                leader.cancel_scope.cancel()
            gate.release()

    assert 10 == len(values)
    assert 1 == len(set(values))
    assert 1 == engine.posts


async def test_the_cache_is_bounded(engine: Engine, storage: Steps) -> None:
    """The sites that were used longest ago are forgotten first."""
    engine = engine.another(max_cached_tokens=3)
    sites = [engine.fake.add_site(name) for name in "abcd"]
    for site in sites:
        await engine.install(site)
    for site in [*sites[:3], sites[0], sites[3]]:
        await get(engine, site)
    storage.log.clear()
    for site in (sites[0], sites[2], sites[3]):
        await get(engine, site)
    before = list(storage.log)
    await get(engine, sites[1])

    assert [] == before
    assert ["get"] == storage.log


async def test_ten_thousand_tokens_are_cached(engine: Engine, storage: Steps) -> None:
    """By default the cache takes some 16 MB, however many sites an app has."""
    for number in range(10_001):
        engine.tokens.adopt(str(number), AccessToken("test-token", 300.0, engine.clock() + 300.0))
    kept = await get(engine, "1")
    error = await failure(lambda: engine.tokens.get("0"))

    assert "test-token" == kept
    assert isinstance(error, NotInstalled)
    assert 2 == storage.log.count("get")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_event_loops_may_follow_one_another(backend: str) -> None:
    """One object serves one loop after the other, though the first was left in mid-refresh."""
    clock = ManualClock()
    engine = Engine(FakeWix(), Steps(clock), clock)

    async def leave_in_the_middle() -> str:
        value = (await warm(engine, ADVISORY)).value
        with engine.fake.hold(ACCESS) as gate:
            await get(engine)
            await gate.arrived()
            return value

    async def ask() -> str:
        clock.advance(EXPIRED)
        return await get(engine)

    first = anyio.run(leave_in_the_middle, backend=backend)
    second = anyio.run(ask, backend=backend)
    third = anyio.run(ask, backend=backend)

    assert 3 == len({first, second, third})


async def test_nothing_is_held_while_a_call_is_sent(engine: Engine, storage: Steps) -> None:
    """A refresh is over, its lease given back and the storage left alone, before Wix is called."""
    await engine.install(left=0)
    held: list[set[str]] = []

    class Noting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            storage.log.append(f"begin {request.url.path}")
            if request.url.path == "/echo":
                held.append(set(storage.holders))
            await anyio.wait_all_tasks_blocked()
            response = await engine.fake.transport.handle_async_request(request)
            storage.log.append(f"end {request.url.path}")
            return response

    wix = make_wix(engine.fake, storage=storage, transport=Noting())
    storage.log.clear()
    async with wix:
        answer = await wix.client(SITE).get("/echo")

    assert 200 == answer.status_code
    assert [set()] == held
    assert [
        *("get", "claim", "get"),
        *(f"begin {ACCESS}", f"end {ACCESS}"),
        *("replace", "release"),
        *("begin /echo", "end /echo"),
    ] == storage.log
