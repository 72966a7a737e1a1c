"""A crew of worker processes, each with a `Wix` of its own over one store."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Final, Self, TypeVar

import anyio
from anyio.to_thread import run_sync

from tests.limits import PATIENCE
from tests.servers import ROOT
from wix_asgi import Wix
from wix_asgi._http import httpx
from wix_asgi.errors import WixError

__all__ = ["Crew", "Told", "Work", "Worker", "call", "obey", "outlive"]

T = TypeVar("T")
Work = Callable[[Wix], Awaitable[T]]
"""A function that a worker can be told to call: it is pickled, and so is its result."""

_READY: Final = "ready"


class Worker:
    """One process; `shift` seconds is how far its wall clock is off."""

    def __init__(self, options: Mapping[str, Any], *, shift: int = 0) -> None:
        """Start it, with these keywords for its `Wix`."""
        self._connection, theirs = Pipe()
        command = [sys.executable, "-m", "chaos.refreshing_worker"]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(shift)],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self._connection.send(options)

    async def prepare(self, work: Work[Any]) -> None:
        """Return once it only waits for `begin`."""
        self._connection.send(work)
        assert _READY == await self._told()

    def begin(self) -> None:
        """Have the worker begin the work that it was prepared for."""
        self._connection.send(None)

    async def outcome(self, work: Work[T]) -> T:
        """Return the outcome of `work`, which the worker has begun."""
        del work  # names the type
        outcome: T = await self._told()
        return outcome

    async def do(self, work: Work[T]) -> T:
        """Have the worker do `work` now; return the outcome."""
        await self.prepare(work)
        self.begin()
        return await self.outcome(work)

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(signum)

    async def end(self) -> None:
        """Have it close its `Wix` and end; the hard way, if that takes too long."""
        self.signal(signal.SIGCONT)
        self._connection.close()
        try:
            await run_sync(self._process.wait, PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()

    async def _told(self) -> Any:
        assert await run_sync(self._connection.poll, PATIENCE), "a worker does not answer"
        return self._connection.recv()


class Crew:
    """Worker processes that begin their work at the same moment, while a block runs.

    Attributes:
        workers: In the order of `shifts`, which are how far their clocks are off.
    """

    def __init__(self, options: Mapping[str, Any], shifts: Sequence[int]) -> None:
        self._options = options
        self._shifts = shifts
        self.workers: list[Worker] = []

    async def __aenter__(self) -> Self:
        self.workers = [Worker(self._options, shift=shift) for shift in self._shifts]
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for worker in self.workers:
                    tasks.start_soon(worker.end)

    async def do(self, work: Work[T], *, by: Sequence[Worker] | None = None) -> list[T]:
        """Have all of them, or some, do `work` from the same moment on; return the outcomes."""
        chosen = self.workers if by is None else by
        for worker in chosen:
            await worker.prepare(work)
        for worker in chosen:
            worker.begin()
        return [await worker.outcome(work) for worker in chosen]

    async def replace(self, worker: Worker) -> None:
        """Have a new worker in the place of this one, which ends."""
        await worker.end()
        self.workers[self.workers.index(worker)] = Worker(self._options)


@dataclass
class Told:
    """The outcome of many calls.

    Attributes:
        served: How many were answered, and as the site they were made for.
        failed: The reasons of the failed calls, and how often each occurred.
        longest: The seconds of the call that took the most.
        seconds: How long it took until the last one was answered.
    """

    served: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Told) -> Told:
        """Return the outcome of the calls of both, which were made at the same time."""
        return Told(
            self.served + other.served,
            self.failed + other.failed,
            max(self.longest, other.longest),
            max(self.seconds, other.seconds),
        )

    @property
    def strangers(self) -> int:
        """How many were answered as another site than they were made for."""
        return self.failed["answered as another site"]


async def call(
    wix: Wix, *, sites: Sequence[str], tasks: int = 1, at_once: float = math.inf
) -> Told:
    """Call Wix in `tasks` tasks for each of these sites, at most `at_once` calls at a time."""
    told, began = Told(), time.monotonic()
    limiter = anyio.CapacityLimiter(at_once)
    async with anyio.create_task_group() as group:
        for site in sites:
            for _ in range(tasks):
                group.start_soon(_call_once, wix, site, told, limiter)
    told.seconds = time.monotonic() - began
    return told


async def _call_once(wix: Wix, site: str, told: Told, limiter: anyio.CapacityLimiter) -> None:
    async with limiter:
        await _call(wix, site, told)


async def _call(wix: Wix, site: str, told: Told) -> None:
    began = time.monotonic()
    try:
        answer = await wix.client(site).get("/apps/v1/instance")
    except (WixError, httpx.HTTPError) as exc:
        told.failed[f"{type(exc).__name__}: {exc}"] += 1
    else:
        if answer.status_code != 200:
            told.failed[f"answered {answer.status_code}"] += 1
        elif answer.json()["instance"]["instanceId"] != site:
            told.failed["answered as another site"] += 1
        else:
            told.served += 1
    told.longest = max(told.longest, time.monotonic() - began)


async def outlive(wix: Wix) -> None:
    """Have the time of every token that this process has cached be over."""
    for entry in wix._tokens._loops.here().cache.values():
        entry.token = replace(entry.token, expires_at=time.monotonic() - 1)
        entry.advisory_at = entry.mandatory_at = -math.inf
        entry.plan()


def obey(connection: Connection) -> None:
    """Do the work that comes through `connection`, in a worker's process, until it is closed."""
    # Refusals are counted, so their log lines are not needed.
    logging.getLogger("wix_asgi").addHandler(logging.NullHandler())
    with suppress(EOFError, BrokenPipeError):
        asyncio.run(_obey(connection))


async def _obey(connection: Connection) -> None:
    async with Wix(**await run_sync(connection.recv)) as wix:
        while True:
            work = await run_sync(connection.recv)
            connection.send(_READY)
            await run_sync(connection.recv)
            connection.send(await work(wix))
