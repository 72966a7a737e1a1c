"""The CPU of a call through the client, and calls per second, beside other HTTP clients.

All clients talk to one upstream in another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from time import perf_counter

from benchmarks.clients import FAILURES, SETTLED, Get, opened
from benchmarks.rounds import (
    OURS,
    Comparison,
    Plan,
    Turn,
    alone,
    at_least,
    at_most,
    in_loop,
    meter,
    take_turns,
)
from benchmarks.upstream import upstream

__all__ = ["measure"]

IN_FLIGHT = (1, 10, 50, 200, 1_000)
DELAYS = (0, 20)
SETTLE_SECONDS = 6.0
"""A second more than the idle time after which the settled client closes a connection."""

UNITS = {"cpu": "us of CPU a call", "rate": "calls/s"}
MIN_CALLS = 20
"""Calls of one turn at least: the CPU of a few is not told apart from that of the event loop."""

FAR = (1_000, 100)
"""In flight, and milliseconds of the upstream, where connections are few and waits long."""


class Caller:
    """Makes calls by one client, and counts those that fail."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self.errors = 0

    async def run(self, url: str, calls: int, in_flight: int) -> dict[str, float]:
        """Make calls, so many at one time."""
        left = calls

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                try:
                    await self._get(url)
                except FAILURES:
                    self.errors += 1

        measured = meter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(in_flight, calls)):
                tasks.create_task(work())
        found = measured.read(calls)
        return found | {"rate": 1e6 / found["time"]}


async def turn_of(caller: Caller, url: str, in_flight: int, plan: Plan) -> Turn:
    """Warm the client up; return its turn, with as many calls as it makes in a turn's time."""
    await caller.run(url, in_flight, in_flight)
    pace = (await caller.run(url, in_flight, in_flight))["rate"]
    calls = max(in_flight, MIN_CALLS, round(pace * plan.seconds))
    return lambda: caller.run(url, calls, in_flight)


async def settle(caller: Caller, url: str, in_flight: int) -> None:
    """Call until connections that the pool does not need have expired."""
    until = perf_counter() + SETTLE_SECONDS
    while perf_counter() < until:
        await caller.run(url, 4 * in_flight, in_flight)


async def compare(
    callers: dict[str, Caller], base: str, in_flight: int, delay: int, plan: Plan
) -> list[Comparison]:
    """Measure one row: so many calls in flight, an upstream that answers after so long."""
    url = f"{base}/{delay}"
    if SETTLED in callers:
        await settle(callers[SETTLED], url, in_flight)
    found = await take_turns(
        {name: await turn_of(caller, url, in_flight, plan) for name, caller in callers.items()},
        plan,
        label=f"{in_flight:,} in flight, upstream {delay} ms",
        units=UNITS,
        goals={"httpx2": at_most(0.6)},
    )
    # The cost of a call that fails early is no cost of a call.
    if failed := {name: caller.errors for name, caller in callers.items() if caller.errors}:
        raise RuntimeError(f"calls failed: {failed}")
    return found


async def compare_far(callers: dict[str, Caller], base: str, plan: Plan) -> list[Comparison]:
    """Measure the rates where many calls wait long."""
    in_flight, delay = FAR
    few = {name: callers[name] for name in (OURS, "aiohttp")}
    label = f"{in_flight:,} in flight, upstream {delay} ms"
    turns = {
        name: await turn_of(caller, f"{base}/{delay}", in_flight, plan)
        for name, caller in few.items()
    }
    found = await take_turns(
        turns,
        plan,
        label=label,
        units={"rate": "calls/s"},
        goals={"aiohttp": at_least(0.75)},
        judged="rate",
    )
    return [*found, alone(label, "failed calls", few[OURS].errors, at_most(0))]


async def rows(base: str, plan: Plan) -> AsyncIterator[Comparison]:
    """Measure with one set of clients."""
    async with opened(base) as gets:
        callers = {name: Caller(get) for name, get in gets.items()}
        if plan.is_quick:
            # It settles for longer than the quick run takes.
            del callers[SETTLED]
        for delay in DELAYS:
            for in_flight in IN_FLIGHT:
                for found in await compare(callers, base, in_flight, delay, plan):
                    yield found
        for found in await compare_far(callers, base, plan):
            yield found


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    with upstream() as base:
        yield from in_loop(rows(base, plan))
