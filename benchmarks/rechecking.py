"""The cost of rechecks: of the comparison in each call for a token, and of a read of the row.

    python -m benchmarks rechecking

A token is got from the cache in rounds that take turns: as it is served between two rechecks, and
from a cache that never rechecks. The result is their ratio within one run. A recheck is measured
from the call that begins it to its end, on SQLite in a file and on a Postgres of its own.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter

from tests.daemons import running
from tests.postgres_server import PostgresServer
from wix_asgi import Wix
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.models import AccessToken, Grant
from wix_asgi.tokens.cache import TokenCache
from wix_asgi.tokens.recheck import RecheckPolicy, Rechecks

__all__ = ["measure", "report"]

GETS, ROUNDS = 20_000, 25
READS = 300
LIFETIME = 14_400.0
NEVER = RecheckPolicy(pause=math.inf, overdue=math.inf)
ALWAYS = RecheckPolicy(pause=0.0, overdue=0.0, wait=60.0)


def make_wix(storage: str) -> Wix:
    """Return a Wix over this storage."""
    return Wix(
        app_id="benchmark-app",
        app_secret="benchmark-secret-0123456789",  # noqa: S106 - of no app
        public_url="https://app.example.com",
        storage=storage,
    )


async def install(wix: Wix) -> AccessToken:
    """Store an installation; return its access token."""
    token = AccessToken("token", LIFETIME, monotonic() + LIFETIME)
    await wix._installations.put("site", Grant(token))
    return token


def cache_of(wix: Wix, policy: RecheckPolicy | None) -> TokenCache:
    """Return a cache of tokens under this policy, beside that of `wix`."""
    rechecks = Rechecks(wix._installations, policy=policy)
    return TokenCache(wix._tokens._refresher, DetachedTasks(), rechecks)


async def seconds_of_get(tokens: TokenCache) -> float:
    """Return the seconds of one cached token."""
    began = perf_counter()
    for _ in range(GETS):
        await tokens.get("site")
    return (perf_counter() - began) / GETS


async def measure_gets() -> dict[str, float]:
    """Return the seconds of a cached token with rechecks and without, and their ratio."""
    async with make_wix("memory://") as wix:
        token = await install(wix)
        caches = {"rechecked": cache_of(wix, None), "never": cache_of(wix, NEVER)}
        times: dict[str, list[float]] = {name: [] for name in caches}
        for _ in range(ROUNDS):
            for name, tokens in caches.items():
                tokens.adopt("site", token)
                times[name].append(await seconds_of_get(tokens))
        found = {f"get_{name}": median(rounds) for name, rounds in times.items()}
        return found | {"get_ratio": found["get_rechecked"] / found["get_never"]}


async def measure_recheck(url: str) -> float:
    """Return the seconds of a call that waits for a recheck."""
    async with make_wix(url) as wix:
        tokens = cache_of(wix, ALWAYS)
        tokens.adopt("site", await install(wix))
        times = []
        for _ in range(READS):
            began = perf_counter()
            await tokens.get("site")
            times.append(perf_counter() - began)
        return median(times)


@contextmanager
def stores() -> Iterator[dict[str, str]]:
    """Give the URL of an empty store of each kind with a database."""
    with running(PostgresServer()) as server, tempfile.TemporaryDirectory() as room:
        yield {"sqlite": f"sqlite:///{Path(room, 'store.db')}", "postgres": server.url}


def measure() -> dict[str, float]:
    """Measure all; seconds, and a ratio."""
    figures = asyncio.run(measure_gets())
    with stores() as urls:
        for name, url in urls.items():
            figures[name] = asyncio.run(measure_recheck(url))
    return figures


def report(figures: dict[str, float]) -> str:
    """Return the lines that `python -m benchmarks` prints."""
    policy = RecheckPolicy()
    gets = (
        f"a cached token {figures['get_rechecked'] * 1e9:.0f} ns, without rechecks "
        f"{figures['get_never'] * 1e9:.0f} ns: {figures['get_ratio']:.2f} x (goal <= 1.05)"
    )
    rechecks = [
        f"a recheck on {name} {figures[name] * 1e3:.2f} ms: with 1,000 sites in use "
        f"{1_000 / (0.9 * policy.pause) * figures[name]:.1%} of a process's time"
        for name in ("sqlite", "postgres")
    ]
    return "\n".join([gets, *rechecks])


if __name__ == "__main__":
    print(report(measure()))
