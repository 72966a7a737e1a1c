"""The process that refreshes for all is killed or frozen while Wix is asked."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import anyio

from chaos.figures import Figure, at_most, exactly, noted
from chaos.refreshing_scene import Scene, scene
from chaos.workers import Crew, Told, Work, Worker, call, outlive
from tests.limits import PATIENCE
from wix_asgi import Wix
from wix_asgi.models import GrantType
from wix_asgi.testing.fake_wix.faults import Gate

__all__ = ["SIGNALS", "gone", "held_up", "replaced", "woken"]

SIGNALS: Final = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP}
_LEASE: Final = 2.0
_LONG_LEASE: Final = 20.0
_HELD_UP: Final = 4.0
"""Seconds: more than a short lease lasts."""
_CALLER_WAIT: Final = 10.0
_SLACK: Final = 1.0
_REFUSED: Final[dict[str, Any]] = {"status": 400, "body": {"error": "invalid_grant"}, "times": None}


async def gone(
    url: str,
    store: str,
    how: str,
    *,
    processes: int,
    tasks: int,
    rounds: int,
    grant_type: GrantType = GrantType.REFRESH_TOKEN,
) -> list[Figure]:
    """Kill or freeze the holder in mid-refresh; a frozen holder goes on once the rest is served."""
    others, holder, refreshes, late = Told(), Told(), 0, 0
    async with scene(url, grant_type=grant_type) as at:
        await at.install()
        work = partial(call, sites=at.sites, tasks=tasks)
        async with Crew(at.options, [0] * processes) as crew:
            await crew.do(work)
            await _end_tokens(at, crew)
            single = sum(await crew.do(work), Told()).longest
            for _ in range(rounds):
                await _end_tokens(at, crew)
                others += await _struck(at, crew, work, SIGNALS[how])
                holder += await _go_on(crew, work, SIGNALS[how])
                refreshes += at.refreshes
                late += await _refreshes_of_a_newcomer(at)
    name, bound = f"holder {how}, {grant_type}", _LEASE + single + _SLACK
    callers = (processes - 1) * tasks * rounds
    figures = [
        exactly(f"{name}: failed callers elsewhere", store, callers - others.served, 0),
        exactly(f"{name}: token calls", store, refreshes, 2 * rounds),
        exactly(f"{name}: failed calls and refreshes of who comes next", store, late, 0),
        noted(f"{name}: a single refresh, s", store, single),
        at_most(f"{name}: the longest wait elsewhere, s", store, others.longest, bound, timed=True),
    ]
    if how == "frozen":
        failed = tasks * rounds - holder.served
        figures.append(exactly(f"{name}: failed callers when it wakes", store, failed, 0))
    return figures


async def woken(url: str, store: str, *, processes: int, tasks: int, rounds: int) -> list[Figure]:
    """Freeze the holder once Wix has given it the only refresh token that is good from now on.

    The refresh tokens that other workers send are refused, which they note in the store. This Wix
    ends no tokens for that: where it does, no token is left that could be saved. The app does not
    recover sites by client credentials, or the others would need no refresh token.
    """
    refused, served, refreshes = 0, 0, 0
    async with scene(url, rotating=True) as at:
        at.options["recover"] = False
        await at.install()
        work = partial(call, sites=at.sites, tasks=tasks)
        async with Crew(at.options, [0] * processes) as crew:
            for _ in range(rounds):
                await _end_tokens(at, crew)
                told = await _struck(at, crew, work, signal.SIGSTOP, refuse=True)
                refused += told.failed.total()
                served += (await _go_on(crew, work, signal.SIGSTOP)).served
                served += sum(await crew.do(work), Told()).served
                refreshes += at.refreshes
                await _end_tokens(at, crew)
                served += sum(await crew.do(work), Told()).served
                refreshes += at.refreshes
    name, every = "holder woken with the only token", processes * tasks * rounds
    callers = tasks * rounds + 2 * every
    return [
        exactly(f"{name}: refused before it wakes", store, refused, every - tasks * rounds),
        exactly(f"{name}: failed callers from then on", store, callers - served, 0),
        exactly(f"{name}: token calls", store, refreshes, 3 * rounds),
    ]


async def held_up(url: str, store: str, *, processes: int, tasks: int, rounds: int) -> list[Figure]:
    """Freeze the holder for longer than a short lease, where a second sending ends every token."""
    served, refreshes, again = 0, 0, 0
    async with scene(url, rotating=True) as at:
        await at.install()
        work = partial(call, sites=at.sites, tasks=tasks)
        async with Crew(at.options, [0] * processes) as crew:
            await crew.do(work)
            for _ in range(rounds):
                await _end_tokens(at, crew)
                served += (await _held_up_once(at, crew, work)).served
                refreshes += at.refreshes
                again += at.refreshed_again()
    name, callers = "holder frozen, rotating", processes * tasks * rounds
    return [
        exactly(f"{name}: failed callers", store, callers - served, 0),
        exactly(f"{name}: token calls", store, refreshes, rounds),
        exactly(f"{name}: refresh tokens sent twice", store, again, 0),
    ]


async def replaced(
    url: str, store: str, *, processes: int, tasks: int, rounds: int
) -> list[Figure]:
    """Kill a holder whose lease is long, since Wix has rotated a refresh token before.

    This Wix rotates no more then: else the token of the killed process would be lost. The other
    processes call until they are served, since their callers give up earlier than the lease ends.
    """
    waits: list[float] = []
    async with scene(url, rotating=True) as at:
        await at.install()
        work = partial(call, sites=at.sites, tasks=tasks)
        async with Crew(at.options, [0] * processes) as crew:
            await crew.do(work)
            at.fake.rotate_refresh_tokens = False
            for _ in range(rounds):
                await _end_tokens(at, crew)
                waits.append(await _seconds_until_served(at, crew, work))
                await crew.replace(crew.workers[0])
    name, bound = "holder killed, rotating", _LONG_LEASE + _CALLER_WAIT + _SLACK
    return [
        exactly(f"{name}: rounds", store, len(waits), rounds),
        at_most(f"{name}: the longest wait elsewhere, s", store, max(waits), bound, timed=True),
    ]


async def _seconds_until_served(at: Scene, crew: Crew, work: Work[Told]) -> float:
    holder, *others = crew.workers
    async with _signalled(at, holder, work, signal.SIGKILL) as gate:
        gate.release()
    began = time.monotonic()
    while sum(await crew.do(work, by=others), Told()).failed:
        pass
    return time.monotonic() - began


async def _held_up_once(at: Scene, crew: Crew, work: Work[Told]) -> Told:
    holder = crew.workers[0]
    async with (
        _signalled(at, holder, work, signal.SIGSTOP) as gate,
        _goes_on_elsewhere(crew, work) as told,
    ):
        await anyio.sleep(_HELD_UP)
        gate.release()
        holder.signal(signal.SIGCONT)
    return sum([*told, await holder.outcome(work)], Told())


async def _end_tokens(at: Scene, crew: Crew) -> None:
    await at.end_tokens()
    await crew.do(outlive)
    at.fake.calls.clear()


async def _struck(
    at: Scene, crew: Crew, work: Work[Told], signum: signal.Signals, *, refuse: bool = False
) -> Told:
    """Signal the holder once Wix has its answer ready; return the outcome of the work elsewhere."""
    async with _signalled(at, crew.workers[0], work, signum) as gate:
        if refuse:
            at.fake.fail(**{**at.request, **_REFUSED})
        async with _goes_on_elsewhere(crew, work) as told:
            await gate.arrived(2, timeout=PATIENCE)
            gate.release()
    at.fake.heal()
    return sum(told, Told())


@asynccontextmanager
async def _signalled(
    at: Scene, holder: Worker, work: Work[Told], signum: signal.Signals
) -> AsyncIterator[Gate]:
    """Have a worker refresh, and signal it once Wix has its answer ready, which is held back."""
    with at.fake.hold(**at.request) as gate:
        await holder.prepare(work)
        holder.begin()
        await gate.arrived(timeout=PATIENCE)
        holder.signal(signum)
        yield gate


@asynccontextmanager
async def _goes_on_elsewhere(crew: Crew, work: Work[Told]) -> AsyncIterator[list[Told]]:
    """Have all workers but the first do the work, and fill in its outcome before the block ends."""
    told: list[Told] = []

    async def go_on() -> None:
        told.extend(await crew.do(work, by=crew.workers[1:]))

    async with anyio.create_task_group() as group:
        group.start_soon(go_on)
        yield told


async def _go_on(crew: Crew, work: Work[Told], signum: signal.Signals) -> Told:
    """Have a frozen holder go on, and a new worker be there for a killed one."""
    holder = crew.workers[0]
    if signum == signal.SIGKILL:
        await crew.replace(holder)
        return Told()
    holder.signal(signal.SIGCONT)
    return await holder.outcome(work)


async def _refreshes_of_a_newcomer(at: Scene) -> int:
    """Return how many refreshes and failures a call of a new process costs."""
    before = at.refreshes
    async with Wix(**at.options) as wix:
        told = await call(wix, sites=at.sites)
    return at.refreshes - before + told.failed.total()
