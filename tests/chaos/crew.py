"""Worker processes of one app, which begin what they are told at the same moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

import anyio

from tests.support import PUBLIC_URL
from wix_asgi import Wix, WixError

__all__ = ["Crew", "Outcome", "Worker"]

_PATIENCE: Final = 100.0
# Never a fork: threads and connections of this process would be copied.
_CONTEXT: Final[Any] = multiprocessing.get_context("forkserver")


@dataclass(slots=True)
class Outcome:
    """How the calls of a worker, or of all, went.

    Attributes:
        served: Calls that Wix took for the site they were made for.
        strangers: Calls that it took for another site.
        failed: What the others ended with.
        longest: Seconds of the longest call.
    """

    served: int = 0
    strangers: int = 0
    failed: list[str] = field(default_factory=list)
    longest: float = 0.0

    def add(self, other: Outcome) -> None:
        """Count in the calls of another worker."""
        self.served += other.served
        self.strangers += other.strangers
        self.failed += other.failed
        self.longest = max(self.longest, other.longest)


class Worker:
    """One process with a Wix of its own."""

    def __init__(self, settings: dict[str, Any], *, clock_off: float = 0.0) -> None:
        """Start it; its wall clock is off by so many seconds."""
        self._pipe, other = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(other, settings, clock_off))
        self._process.start()
        other.close()

    def call(self, sites: Sequence[str], tasks: int = 1) -> None:
        """Have it call Wix for every site from so many tasks at once."""
        self._pipe.send(("call", list(sites), tasks))

    def forget(self) -> None:
        """Have it forget its tokens, as if it had just been started."""
        self._pipe.send(("forget", [], 0))

    def outcome(self) -> Outcome:
        """Wait for what it was told last, and return how it went."""
        if not self._pipe.poll(_PATIENCE):
            raise TimeoutError("a worker does not answer")
        outcome: Outcome = self._pipe.recv()
        return outcome

    def send_signal(self, signum: signal.Signals) -> None:
        """Kill it, freeze it, or let it go on."""
        os.kill(self._process.pid, signum)

    def stop(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join(_PATIENCE)
        self._pipe.close()


class Crew:
    """Workers of one app, for as long as a block lasts."""

    def __init__(
        self, count: int, url: str, settings: dict[str, Any], *, clocks_off: Sequence[float] = ()
    ) -> None:
        """Begin `count` of them over the store at `url`; the clocks of the first are off."""
        settings = {"public_url": PUBLIC_URL, "storage": url, **settings}
        offs = [*clocks_off, *[0.0] * (count - len(clocks_off))]
        self.workers = [Worker(settings, clock_off=off) for off in offs]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            worker.stop()

    def call(self, sites: Sequence[str], tasks: int = 1) -> Outcome:
        """Have all of them call Wix at the same moment."""
        for worker in self.workers:
            worker.call(sites, tasks)
        return self.outcome()

    def forget(self) -> None:
        """Have all of them forget their tokens."""
        for worker in self.workers:
            worker.forget()
        self.outcome()

    def outcome(self) -> Outcome:
        """Wait for all, and return how it went."""
        total = Outcome()
        for worker in self.workers:
            total.add(worker.outcome())
        return total


def _work(pipe: Connection, settings: dict[str, Any], clock_off: float) -> None:
    """Do what comes through the pipe, in a process of its own, until it is killed."""
    now = time.time
    # A host whose clock is off.
    time.time = lambda: now() + clock_off
    # Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError):
        anyio.run(_obey, pipe, settings)


async def _obey(pipe: Connection, settings: dict[str, Any]) -> None:
    async with Wix(**settings) as wix:
        while True:
            told, sites, tasks = await anyio.to_thread.run_sync(pipe.recv)
            outcome = Outcome()
            if told == "forget":
                wix._tokens._local.here().cache.clear()
            else:
                await _call_all(wix, sites, tasks, outcome)
            pipe.send(outcome)


async def _call_all(wix: Wix, sites: Sequence[str], tasks: int, outcome: Outcome) -> None:
    async with anyio.create_task_group() as group:
        for site in sites:
            for _ in range(tasks):
                group.start_soon(_call, wix, site, outcome)


async def _call(wix: Wix, site: str, outcome: Outcome) -> None:
    began = time.monotonic()
    try:
        answer = await wix.client(site).get("/echo", timeout=60)
        if answer.status_code != 200:
            outcome.failed.append(str(answer.status_code))
        elif answer.json()["instanceId"] != site:
            outcome.strangers += 1
        else:
            outcome.served += 1
    except WixError as exc:
        outcome.failed.append(type(exc).__name__)
    outcome.longest = max(outcome.longest, time.monotonic() - began)
