"""The cost of a token: from the cache, and read from the storage where the cache has it no more.

A cached token is compared with a cache that never reads the row again; a miss, and a call that
waits for a recheck, with the raw driver's read of the same row.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic
from typing import Final

from benchmarks.ours import make_wix
from benchmarks.rounds import (
    OURS,
    Comparison,
    Goal,
    Plan,
    Turn,
    at_most,
    in_loop,
    meter,
    take_turns,
)
from benchmarks.stores import RawStore, raw_store, servers
from benchmarks.upstream import APP, TOKEN
from wix_asgi import Wix
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.models import AccessToken, Grant
from wix_asgi.tokens.cache import TokenCache
from wix_asgi.tokens.recheck import RecheckPolicy, Rechecks

__all__ = ["measure", "store_sites"]

LIFETIME: Final = 14_400.0
"""Seconds that Wix's tokens by client credentials live: none is due while this measures."""

NEVER: Final = RecheckPolicy(pause=math.inf, overdue=math.inf)
ALWAYS: Final = RecheckPolicy(pause=0.0, overdue=0.0, wait=60.0)
MISS_GOAL: Final = 300.0


async def store_sites(wix: Wix, sites: list[str], lifetime: float) -> None:
    """Store an installation of each of these ids, whose token lives for so many seconds."""
    for site in sites:
        token = AccessToken(TOKEN, lifetime, monotonic() + lifetime)
        await wix._installations.put(site, Grant(token, f"OAUTH2.{site}.{'x' * 500}"))


def cache_of(wix: Wix, policy: RecheckPolicy) -> TokenCache:
    """Return a cache of tokens under this policy, beside that of `wix`."""
    rechecks = Rechecks(wix._installations, policy=policy)
    return TokenCache(wix._tokens._refresher, DetachedTasks(), rechecks)


async def cached(tokens: TokenCache, times: int) -> dict[str, float]:
    """Measure a token that is in the cache."""
    token = AccessToken(TOKEN, LIFETIME, monotonic() + LIFETIME)
    tokens.adopt("site", token)
    measured = meter()
    for _ in range(times):
        await tokens.get("site")
    return measured.read(times)


async def missed(wix: Wix, sites: list[str]) -> dict[str, float]:
    """Measure tokens that the cache has no more, as those beyond its bound."""
    for site in sites:
        wix.clients.tokens.forget(site)
    measured = meter()
    for site in sites:
        await wix.clients.tokens.get(site)
    return measured.read(len(sites))


async def rechecked(tokens: TokenCache, sites: list[str]) -> dict[str, float]:
    """Measure calls that wait until the row was read again."""
    for site in sites:
        tokens.adopt(site, AccessToken(TOKEN, LIFETIME, monotonic() + LIFETIME))
    measured = meter()
    for site in sites:
        await tokens.get(site)
    return measured.read(len(sites))


async def read(raw: RawStore, sites: list[str]) -> dict[str, float]:
    """Measure the reads of the same rows by the driver alone."""
    measured = meter()
    for site in sites:
        await raw.get(APP.encode(), site.encode())
    return measured.read(len(sites))


async def in_memory(plan: Plan) -> AsyncIterator[Comparison]:
    """Measure the cache."""
    times = plan.count(full=20_000, quick=5_000)
    async with make_wix("memory://") as wix:
        await store_sites(wix, ["site"], LIFETIME)
        never = cache_of(wix, NEVER)
        turns = {
            OURS: partial(cached, wix._tokens, times),
            "never rechecked": partial(cached, never, times),
        }
        for found in await take_turns(
            turns,
            plan,
            label="a cached token",
            units={"cpu": "us of CPU"},
            goals={"never rechecked": at_most(1.05)},
        ):
            yield found


async def in_store(name: str, url: str, plan: Plan) -> AsyncIterator[Comparison]:
    """Measure misses over one store."""
    sites = [f"site-{number}" for number in range(plan.count(full=500, quick=150))]
    async with AsyncExitStack() as stack:
        wix = await stack.enter_async_context(make_wix(url))
        raw = await stack.enter_async_context(raw_store(url))
        await store_sites(wix, sites, LIFETIME)
        again = cache_of(wix, ALWAYS)
        kinds: dict[str, tuple[Turn, dict[str, Goal]]] = {
            "a token that the cache has no more": (
                partial(missed, wix, sites),
                {OURS: at_most(MISS_GOAL)},
            ),
            "a recheck": (partial(rechecked, again, sites), {}),
        }
        for label, (turn, goals) in kinds.items():
            for found in await take_turns(
                {OURS: turn, "raw driver": partial(read, raw, sites)},
                plan,
                label=f"{label}, {name}",
                units={"cpu": "us of CPU", "time": "us of time"},
                goals=goals,
            ):
                yield found


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    yield from in_loop(in_memory(plan))
    with servers(OURS) as stores:
        for name, urls in stores.items():
            yield from in_loop(in_store(name, urls[OURS], plan))
