"""Calls per second through the client, with plain httpx and aiohttp beside it.

    python -m benchmarks.calls

All clients talk to one upstream in another process, in rounds that take turns; the
result is the ratios of one run (the medians over its rounds).

httpx's own pool has two states, so it is here twice, both times with limits of 100/100. `httpx`
keeps idle connections for 30 s, as the pool here does: it stays slow while it is busy.
`httpx_settled` has the default of 5 s, and ran until then: the many connections that it never
uses again have expired, a dozen are left, and those it finds faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import median
from time import monotonic, perf_counter

import aiohttp

from benchmarks.upstream import upstream
from wix_asgi import Wix
from wix_asgi._http import httpx
from wix_asgi.models import AccessToken

__all__ = ["measure"]

Get = Callable[[str], Awaitable[object]]

FAST_IN_FLIGHT, FAST_ROUNDS = 50, 5
SLOW_IN_FLIGHT, SLOW_ROUNDS, SLOW_CALLS = 1_000, 3, 2_000
FAST_CALLS = {"client": 1_500, "httpx": 250, "httpx_settled": 600, "aiohttp": 3_000}
SETTLE_SECONDS = 7.0
TIMEOUT = httpx.Timeout(5.0, pool=30.0)


async def _rate(get: Get, url: str, calls: int, in_flight: int) -> tuple[float, int]:
    """Calls per second, and how many failed."""
    left, errors = calls, 0

    async def work() -> None:
        nonlocal left, errors
        while left:
            left -= 1
            try:
                await get(url)
            except (httpx.HTTPError, aiohttp.ClientError, TimeoutError):
                errors += 1

    began = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(work())
    return calls / (perf_counter() - began), errors


async def _clients(stack: AsyncExitStack, base: str) -> dict[str, Get]:
    wix = Wix(
        app_id="benchmark",
        app_secret="benchmark-app-secret",  # noqa: S106 - of nothing
        public_url="http://127.0.0.1",
        storage="memory://",
        api_url=base,
    )
    await stack.enter_async_context(wix)
    wix.clients.tokens.adopt("site", AccessToken("token", 3600, monotonic() + 3600))
    alike, settled = _plain(keepalive_expiry=30.0), _plain(keepalive_expiry=5.0)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100))
    for client in (alike, settled, session):
        await stack.enter_async_context(client)

    async def get(url: str) -> bytes:
        async with session.get(url) as response:
            return await response.read()

    return {
        "client": wix.client("site").get,
        "httpx": alike.get,
        "httpx_settled": settled.get,
        "aiohttp": get,
    }


def _plain(keepalive_expiry: float) -> httpx.AsyncClient:
    limits = httpx.Limits(
        max_connections=100, max_keepalive_connections=100, keepalive_expiry=keepalive_expiry
    )
    return httpx.AsyncClient(limits=limits, timeout=TIMEOUT, trust_env=False)


async def _settle(get: Get, url: str) -> None:
    until = perf_counter() + SETTLE_SECONDS
    while perf_counter() < until:
        await _rate(get, url, FAST_IN_FLIGHT * 4, FAST_IN_FLIGHT)


async def _run(base: str) -> dict[str, float]:
    fast: dict[str, list[float]] = {name: [] for name in FAST_CALLS}
    slow: dict[str, list[float]] = {"client": [], "aiohttp": []}
    failed = dict.fromkeys(slow, 0)
    async with AsyncExitStack() as stack:
        gets = await _clients(stack, base)
        for get in gets.values():
            await _rate(get, base, FAST_IN_FLIGHT, FAST_IN_FLIGHT)
        await _settle(gets["httpx_settled"], base)
        for _ in range(FAST_ROUNDS):
            for name, rates in fast.items():
                rate, _ = await _rate(gets[name], base, FAST_CALLS[name], FAST_IN_FLIGHT)
                rates.append(rate)
        for _ in range(SLOW_ROUNDS):
            for name, rates in slow.items():
                url = f"{base}/100"
                rate, errors = await _rate(gets[name], url, SLOW_CALLS, SLOW_IN_FLIGHT)
                rates.append(rate)
                failed[name] += errors
    return _figures(fast, slow, failed)


def _figures(
    fast: dict[str, list[float]], slow: dict[str, list[float]], failed: dict[str, int]
) -> dict[str, float]:
    figures = {f"fast_{name}_per_second": median(rates) for name, rates in fast.items()}
    figures |= {f"slow_{name}_per_second": median(rates) for name, rates in slow.items()}
    figures |= {f"slow_{name}_errors": float(errors) for name, errors in failed.items()}
    client = figures["fast_client_per_second"]
    for name in ("httpx", "httpx_settled", "aiohttp"):
        figures[f"fast_client_to_{name}"] = client / figures[f"fast_{name}_per_second"]
    figures["slow_client_to_aiohttp"] = (
        figures["slow_client_per_second"] / figures["slow_aiohttp_per_second"]
    )
    return figures


def measure() -> dict[str, float]:
    """Run all rounds, some 40 s; rates, errors and ratios by name."""
    with upstream() as base:
        return asyncio.run(_run(base))


def report(figures: dict[str, float]) -> str:
    """The table that `python -m benchmarks.calls` prints."""
    rows = [
        ("", "calls/s", "client is", "goal", "errors", "goal"),
        (f"{FAST_IN_FLIGHT} in flight, upstream 0 ms", "", "", "", "", ""),
        _row(figures, "fast", "client"),
        _row(figures, "fast", "httpx", ">= 8x"),
        _row(figures, "fast", "httpx_settled"),
        _row(figures, "fast", "aiohttp"),
        (f"{SLOW_IN_FLIGHT} in flight, upstream 100 ms", "", "", "", "", ""),
        _row(figures, "slow", "client", errors_goal="0"),
        _row(figures, "slow", "aiohttp", ">= 0.75x"),
    ]
    return "\n".join("{:34}{:>9}{:>9}{:>10}{:>8}{:>6}".format(*row).rstrip() for row in rows)


def _row(
    figures: dict[str, float], part: str, name: str, goal: str = "", errors_goal: str = ""
) -> tuple[str, ...]:
    ratio = figures.get(f"{part}_client_to_{name}")
    errors = figures.get(f"{part}_{name}_errors")
    return (
        f"  {name}",
        f"{figures[f'{part}_{name}_per_second']:.0f}",
        "" if ratio is None else f"{ratio:.2f}x",
        goal,
        "" if errors is None else f"{errors:.0f}",
        errors_goal,
    )


if __name__ == "__main__":
    print(report(measure()))
