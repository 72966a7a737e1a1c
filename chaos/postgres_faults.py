"""The faults of a Postgres in a bad night, under load: nothing is lost, no caller waits long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final

import asyncpg

from chaos.figures import Figure, at_most, exactly, noted
from chaos.postgres_answers import answers_lost
from chaos.postgres_cluster import CONNECTIONS, END_SESSIONS, USUAL, Cluster, open_cluster
from chaos.postgres_load import Load
from chaos.postgres_outage import MOMENTS, long_outage, short_outage
from chaos.postgres_waiting import silence
from chaos.stores import Stores
from tests.backends.support import connections_in_use
from tests.daemons import connected
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage

__all__ = ["FAULTS", "Fault", "measure", "under_load"]

_POOL: Final = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that passes within ten seconds.

    Attributes:
        happens: A block after which the servers are as before.
        lasts: How many seconds the block takes.
        is_felt: Whether attempts fail because of it for certain.
        pool_size: How many connections the storage has.
        crowd: The factor by which the number of tasks is multiplied.
        kinds: Where it can happen.
    """

    happens: Callable[[Cluster], AbstractAsyncContextManager[None]]
    lasts: float = 0.0
    is_felt: bool = True
    pool_size: int = _POOL
    crowd: int = 1
    kinds: tuple[str, ...] = ("postgresql", "pgbouncer")


@contextlib.asynccontextmanager
async def _connections_ended(cluster: Cluster) -> AsyncIterator[None]:
    assert await cluster.hang_up()
    yield


@contextlib.asynccontextmanager
async def _answers_lost(cluster: Cluster) -> AsyncIterator[None]:
    """Cut connections whose commits are done, before their clients know it."""
    async with cluster.sessions_with("synchronous_commit", "on"):
        await cluster.commits_unanswered(_POOL)
    yield
    await cluster.hang_up()


@contextlib.asynccontextmanager
async def _all_connections_taken(cluster: Cluster) -> AsyncIterator[None]:
    """Hold every connection that the server takes while a block runs."""
    async with contextlib.AsyncExitStack() as stack:
        held: list[asyncpg.Connection] = []
        while len(held) < CONNECTIONS:
            try:
                held.append(await stack.enter_async_context(connected(cluster.server.url)))
            except asyncpg.TooManyConnectionsError:
                await held[0].execute(END_SESSIONS, cluster.database)
        yield


_LEFT_BEHIND: Final = partial(
    Cluster.sessions_with, name="default_transaction_read_only", value="on"
)

FAULTS: Final = {
    "restart fast": Fault(Cluster.stopped),
    "restart immediate": Fault(partial(Cluster.stopped, how=signal.SIGQUIT)),
    "connections ended": Fault(_connections_ended, is_felt=False),
    "paused": Fault(Cluster.paused, lasts=3.0, is_felt=False),
    "paused for longer than a command may take": Fault(Cluster.paused, lasts=6.0, is_felt=False),
    "full pool": Fault(_connections_ended, is_felt=False, pool_size=2, crowd=4),
    # PgBouncer would be quicker than the test at taking the connections again.
    "too many connections": Fault(_all_connections_taken, lasts=2.0, kinds=("postgresql",)),
    "standby promoted": Fault(Cluster.read_only, lasts=2.0),
    # PgBouncer stays with a server until it is told of another.
    "standby left behind": Fault(_LEFT_BEHIND, lasts=2.0, kinds=("postgresql",)),
    "answers of commits lost": Fault(_answers_lost),
    "PgBouncer killed": Fault(Cluster.without_bouncer, kinds=("pgbouncer",)),
}


async def under_load(
    cluster: Cluster,
    name: str,
    *,
    tasks: int,
    rounds: int,
    speed: float = 1.0,
    total: float = USUAL,
) -> list[Figure]:
    """Have a fault happen in every round while tasks use one storage, which tries for `total` s."""
    fault = FAULTS[name]
    repeated = 0

    async def pause(seconds: float) -> None:
        nonlocal repeated
        repeated += 1
        await asyncio.sleep(seconds)

    target = parse_url(f"{cluster.client_url}&pool_size={fault.pool_size}")
    recoveries = []
    async with PostgresStorage(target, retry=Retry(total=total, sleep=pause)) as storage:
        load = Load(storage, tasks * fault.crowd)
        async with load.running():
            for _ in range(rounds):
                await load.goes_on()
                async with fault.happens(cluster):
                    await asyncio.sleep(fault.lasts / speed)
                recoveries.append(await load.goes_on())
        left = connections_in_use(storage)
    store = cluster.kind
    return [
        exactly(f"{name}: failed operations", store, load.failed, 0),
        exactly(f"{name}: wrong answers or rows", store, len(load.wrong), 0),
        exactly(f"{name}: connections not given back", store, left, 0),
        Figure(f"{name}: attempts repeated", store, repeated, least=int(fault.is_felt)),
        at_most(f"{name}: longest operation, s", store, load.longest, 30, timed=True),
        noted(f"{name}: from its end until all tasks went on, s", store, max(recoveries)),
        noted(f"{name}: removals repeated with nothing left to remove", store, load.unsure),
    ]


def measure(_stores: Stores) -> Iterator[Figure]:
    """Measure at full size, on servers that nothing else uses."""
    # Refusals are counted, so their log lines are not needed.
    logging.getLogger("wix_asgi").addHandler(logging.NullHandler())
    for kind in ("postgresql", "pgbouncer"):
        with open_cluster(kind) as cluster:
            for name, fault in FAULTS.items():
                if kind in fault.kinds:
                    with cluster.emptied():
                        yield from asyncio.run(under_load(cluster, name, tasks=50, rounds=5))
            with cluster.emptied():
                yield from asyncio.run(answers_lost(cluster))
            for name in MOMENTS:
                with cluster.emptied():
                    yield from asyncio.run(
                        long_outage(cluster, name, sites=20, total=10.0, least=13.0)
                    )
                with cluster.emptied():
                    yield from asyncio.run(short_outage(cluster, name, sites=20, lasts=5.0))
            with cluster.emptied():
                yield from asyncio.run(silence(cluster, callers=200, total=10.0, least=13.0))
