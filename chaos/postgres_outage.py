"""Outages in the middle of installs: codes stay unspent, and no success is on paper only."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from chaos.figures import Figure, at_most, exactly, noted
from chaos.postgres_cluster import USUAL, Cluster
from chaos.postgres_installs import TOKEN_INFO, Installs, installing
from tests.limits import PATIENCE
from wix_asgi.handshake.policy import CallbackPolicy

__all__ = ["MOMENTS", "Moment", "long_outage", "short_outage"]

_SUCCESS: Final = "303"
_COME_AGAIN: Final = "503 storage_unavailable Retry-After"
_BEING_FINISHED: Final = "202"

_PATIENT: Final = CallbackPolicy(claim_wait=PATIENCE)
"""All installs claim their states, however many there are at once."""


@contextlib.asynccontextmanager
async def _before_the_claim(_cluster: Cluster, installs: Installs) -> AsyncIterator[None]:
    yield
    installs.start()


@contextlib.asynccontextmanager
async def _claim_unanswered(cluster: Cluster, installs: Installs) -> AsyncIterator[None]:
    async with cluster.sessions_with("synchronous_commit", "on"):
        installs.start()
        await cluster.commits_unanswered(min(len(installs), CallbackPolicy().max_claims))
    yield


@contextlib.asynccontextmanager
async def _before_the_put(_cluster: Cluster, installs: Installs) -> AsyncIterator[None]:
    with installs.fake.hold(TOKEN_INFO) as gate:
        installs.start()
        await gate.arrived(len(installs), timeout=PATIENCE)
        yield


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of an install at which an outage may begin.

    Attributes:
        reached: A block at whose begin all installs have come so far, and at whose end they go on.
        refused: The answer where the outage takes longer than the storage tries.
        later: The answer to the same address when the server is back.
        is_spent: Whether the code is spent by then.
        away: A block during which the server does not answer.
    """

    reached: Callable[[Cluster, Installs], AbstractAsyncContextManager[None]]
    refused: str = _COME_AGAIN
    later: str = _SUCCESS
    is_spent: bool = False
    away: Callable[[Cluster], AbstractAsyncContextManager[None]] = Cluster.stopped


MOMENTS: Final = {
    "before the claim": Moment(_before_the_claim),
    "before the claim, paused": Moment(_before_the_claim, away=Cluster.paused),
    "claim unanswered": Moment(_claim_unanswered),
    "before the put": Moment(_before_the_put, _BEING_FINISHED, is_spent=True),
}


async def long_outage(
    cluster: Cluster,
    name: str,
    *,
    sites: int,
    total: float,
    least: float,
    patience: float = USUAL,
) -> list[Figure]:
    """Have the server away for `least` seconds, and for longer than the storage tries.

    It tries for `total` seconds while the server is away, and before and after it for `patience`.
    """
    moment = MOMENTS[name]
    policy = CallbackPolicy()
    if moment.is_spent:
        policy = dataclasses.replace(_PATIENT, answer_wait=total)
    async with installing(cluster.client_url, sites, patience, policy) as installs:
        await installs.begin()
        async with contextlib.AsyncExitStack() as away:
            async with moment.reached(cluster, installs):
                await away.enter_async_context(moment.away(cluster))
                began = time.monotonic()
                installs.storage.give_up_after(total)
            refused = await installs.answers()
            spent = installs.exchanges
            await asyncio.sleep(began + least - time.monotonic())
        await cluster.answers_clients()
        installs.storage.give_up_after(patience)
        if not moment.is_spent:
            await cluster.claims_freed()
        later = await installs.load()
        on_paper = await installs.on_paper()
    store, what = cluster.kind, f"outage {name}"
    return [
        exactly(f"{what}: answers '{moment.refused}'", store, refused[moment.refused], sites),
        exactly(f"{what}: codes exchanged meanwhile", store, spent, sites * moment.is_spent),
        exactly(f"{what}: then '{moment.later}'", store, later[moment.later], sites),
        exactly(f"{what}: codes exchanged", store, installs.exchanges, sites),
        exactly(f"{what}: successes without a row", store, on_paper, 0),
        exactly(f"{what}: connections not given back", store, installs.left, 0),
        at_most(f"{what}: longest answer, s", store, installs.longest, 30, timed=True),
    ]


async def short_outage(
    cluster: Cluster, name: str, *, sites: int, lasts: float, total: float = USUAL
) -> list[Figure]:
    """Have the server away for `lasts` seconds, fewer than the `total` that the storage tries."""
    moment = MOMENTS[name]
    policy = dataclasses.replace(_PATIENT, answer_wait=PATIENCE)
    async with installing(cluster.client_url, sites, total, policy) as installs:
        await installs.begin()
        async with contextlib.AsyncExitStack() as away:
            async with moment.reached(cluster, installs):
                await away.enter_async_context(moment.away(cluster))
            await asyncio.sleep(lasts)
        began = time.monotonic()
        answers = await installs.answers()
        recovery = time.monotonic() - began
        rows = len(await installs.rows())
    store, what = cluster.kind, f"short outage {name}"
    return [
        exactly(f"{what}: successes", store, answers[_SUCCESS], sites),
        exactly(f"{what}: codes exchanged", store, installs.exchanges, sites),
        exactly(f"{what}: rows", store, rows, sites),
        exactly(f"{what}: connections not given back", store, installs.left, 0),
        at_most(f"{what}: longest answer, s", store, installs.longest, 30, timed=True),
        noted(f"{what}: from the server's return to the last success, s", store, recovery),
    ]
