"""The cost of a refresh: 1,000 sites whose tokens are used up, while Wix takes 200 ms for each.

The statements and commits are those that reach the database: SQLite traces them, and Postgres logs
them, in a run of its own.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from uuid import uuid4

from benchmarks.ours import make_wix
from benchmarks.rounds import OURS, Comparison, Plan, alone, at_most, in_loop, meter, take_turns
from benchmarks.stores import servers
from benchmarks.tokens import store_sites
from benchmarks.upstream import upstream
from tests.daemons import running
from tests.postgres_process import PostgresServer
from wix_asgi import Wix
from wix_asgi.errors import StorageUnavailable, WixUnavailable

__all__ = ["measure"]

DELAY: Final = 200
IN_FLIGHT: Final = 16
"""Refreshes under way at one time: eighty a second at 200 ms."""

MAX_TRIES: Final = 30
RETRY_SECONDS: Final = 1.0

COUNTED: Final = 40
GOALS: Final = {"SQLite": 6.0, "Postgres": 5.0}
MAX_STATEMENTS: Final = 4
MAX_COMMITS: Final = 2

_LOGGED: Final = re.compile(r"LOG:  (?:execute [^:]+|statement): +(.*)")
_WRITES: Final = ("INSERT", "UPDATE", "DELETE", "WITH")
"""How statements begin that write; a `WITH` of ours has the writes of one step."""


async def prepare(wix: Wix, number: int) -> list[str]:
    """Store sites whose tokens are used up; return their ids."""
    sites = [str(uuid4()) for _ in range(number)]
    await store_sites(wix, sites, 0.001)
    return sites


async def get(wix: Wix, site: str) -> None:
    """Get a token as a caller does, who comes again after a 503 on a machine that is busy."""
    for _ in range(MAX_TRIES - 1):
        try:
            await wix.clients.tokens.get(site)
        except (StorageUnavailable, WixUnavailable):
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return
    await wix.clients.tokens.get(site)


async def refresh(wix: Wix, sites: list[str]) -> None:
    """Get a token for each site."""
    left = iter(sites)

    async def work() -> None:
        for site in left:
            await get(wix, site)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(work())


async def turn(wix: Wix, number: int) -> dict[str, float]:
    """Measure refreshes of so many sites."""
    sites = await prepare(wix, number)
    measured = meter()
    await refresh(wix, sites)
    return measured.read(number, 1e3)


async def costs(name: str, url: str, base: str, plan: Plan) -> AsyncIterator[Comparison]:
    """Measure the CPU on one store."""
    async with make_wix(url, api_url=base) as wix:
        await turn(wix, COUNTED)
        number = plan.count(full=1_000, quick=80)
        for found in await take_turns(
            {OURS: partial(turn, wix, number)},
            Plan(is_quick=plan.is_quick, rounds=3, repeats=0),
            label=f"a refresh, {name}",
            units={"cpu": "ms of CPU"},
            goals={OURS: at_most(GOALS[name])},
        ):
            yield found


async def of_server(server: PostgresServer, base: str, plan: Plan) -> Comparison:
    """Measure the CPU of a Postgres that serves nothing else."""
    async with make_wix(server.url, api_url=base) as wix:
        await turn(wix, COUNTED)
        sites = await prepare(wix, plan.count(full=1_000, quick=160))
        before = server.cpu_seconds()
        await refresh(wix, sites)
        cpu = (server.cpu_seconds() - before) / len(sites)
    return alone("a refresh, the server of Postgres", "ms of CPU", cpu * 1e3)


@contextmanager
def traced() -> Iterator[Callable[[], list[str]]]:
    """Trace the statements of each connection to SQLite that is made in the block."""
    told: list[str] = []
    connect = sqlite3.connect

    def connecting(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(told.append)
        return connection

    with (
        patch.object(sqlite3, "connect", connecting),
        patch.object(sqlite3.dbapi2, "connect", connecting),
    ):
        yield lambda: list(told)


@contextmanager
def logged(server: PostgresServer) -> Iterator[Callable[[], list[str]]]:
    """Read the statements from the log of a server that logs all of them."""
    yield lambda: _LOGGED.findall((server.room / "log").read_text())


async def count(name: str, url: str, base: str, told: Callable[[], list[str]]) -> list[Comparison]:
    """Count statements and commits of a refresh on one store."""
    async with make_wix(url, api_url=base) as wix:
        await turn(wix, COUNTED)
        sites = await prepare(wix, COUNTED)
        before = len(told())
        for site in sites:
            # One after another: of two at once the statements of two connections were mixed up.
            await get(wix, site)
        statements = [text.strip().upper() for text in told()[before:]]
    counted = [text for text in statements if not text.startswith(("BEGIN", "COMMIT", "PRAGMA"))]
    commits = _commits(statements)
    label = f"a refresh, {name}"
    return [
        alone(label, "statements", len(counted) / COUNTED, at_most(MAX_STATEMENTS)),
        alone(label, "commits", commits / COUNTED, at_most(MAX_COMMITS)),
    ]


def _commits(statements: list[str]) -> int:
    """Return how many commits these are: each transaction, and each write outside of one."""
    commits, is_open = 0, False
    for text in statements:
        if text.startswith("BEGIN"):
            is_open = True
        elif text.startswith("COMMIT"):
            commits, is_open = commits + 1, False
        elif text.startswith(_WRITES) and not is_open:
            commits += 1
    return commits


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    with upstream(DELAY) as base:
        with servers(OURS) as stores:
            for name, urls in stores.items():
                yield from in_loop(costs(name, urls[OURS], base, plan))
        with running(PostgresServer(fsync="on", full_page_writes="on")) as server:
            yield asyncio.run(of_server(server, base, plan))
        with tempfile.TemporaryDirectory() as room, traced() as told:
            url = f"sqlite:///{Path(room, 'store.db')}"
            yield from asyncio.run(count("SQLite", url, base, told))
        with running(PostgresServer(log_statement="all")) as server, logged(server) as told:
            yield from asyncio.run(count("Postgres", server.url, base, told))
