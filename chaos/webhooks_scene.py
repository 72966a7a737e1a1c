"""An app with webhooks under uvicorn, whose workers can be killed, and whose inbox is watched."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio
from anyio.to_thread import run_sync

from chaos.webhooks_runs import LOG, Runs
from tests.limits import PATIENCE
from tests.servers import Server, environment, free_port, serving, uvicorn
from wix_asgi.models import EventCounts
from wix_asgi.storage import EventStorage, open_storage
from wix_asgi.testing import FakeWix

__all__ = ["WebhookScene", "webhook_scene"]

_APP: Final = "chaos.webhooks_app:app"
_MANY: Final = 1_000_000
_LOOK: Final = 0.2
"""Seconds between two looks at the inbox."""

_PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass
class WebhookScene:
    """An app that runs, and its fake Wix.

    Attributes:
        url: The address of the app.
        kills: The moments at which workers were killed, by their process ids.
    """

    fake: FakeWix
    url: str
    server: Server
    storage_url: str
    log: Path
    kills: dict[int, float] = field(default_factory=dict)

    @property
    def runs(self) -> Runs:
        """The runs of handlers until now."""
        return Runs.read(self.log)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that were not killed."""
        return [process for process in self.runs.processes if process not in self.kills]

    def kill(self) -> None:
        """Kill any of the workers; the server starts another one."""
        process = random.choice(self.workers)  # noqa: S311 - no secret
        self.kills[process] = time.monotonic()
        os.kill(process, signal.SIGKILL)

    async def kill_every(self, seconds: float, least: int) -> None:
        """Kill a worker at this interval, once there are `least` of them, until cancelled."""
        while True:
            await anyio.sleep(seconds)
            with contextlib.suppress(TimeoutError):
                with anyio.fail_after(seconds):
                    while len(self.workers) < least:  # noqa: ASYNC110 - nobody tells of it
                        await anyio.sleep(_LOOK)
                self.kill()

    def memory(self) -> float:
        """Return the megabytes that the workers have in memory."""
        pages = 0
        for process in self.workers:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * _PAGE_SIZE / 1e6

    async def counts(self) -> EventCounts:
        """Return the counts of the inbox."""
        async with open_storage(self.storage_url) as storage:
            assert isinstance(storage, EventStorage)
            return await storage.count_events(self.fake.app_id, limit=_MANY)

    async def emptied(self, patience: float = PATIENCE) -> float:
        """Return after how many seconds no event waits any more, or `patience` if some do then."""
        began = time.monotonic()
        async with open_storage(self.storage_url) as storage:
            assert isinstance(storage, EventStorage)
            while (passed := time.monotonic() - began) < patience:
                counts = await storage.count_events(self.fake.app_id, limit=_MANY)
                if not counts.waiting:
                    return passed
                await anyio.sleep(_LOOK)
        return patience


@contextlib.asynccontextmanager
async def webhook_scene(
    storage_url: str, room: Path, *, workers: int, concurrency: int = 64
) -> AsyncIterator[WebhookScene]:
    """Run the app over a storage, with `concurrency` handlers at once in each of its workers."""
    fake, port = FakeWix(), free_port()
    log = room / "runs"
    command = uvicorn(_APP, port, "--workers", str(workers), "--no-access-log")
    # A machine that is busy answers no health check in five seconds, and need not be killed for it.
    command += ["--timeout-worker-healthcheck", str(round(PATIENCE)), "--backlog", "4096"]
    # A connection that is closed as a request comes would count as a kill.
    command += ["--timeout-keep-alive", str(round(PATIENCE))]
    with fake.serve():
        env = environment(fake, port, storage_url) | {
            "WIX_PUBLIC_KEY": fake.public_key,
            "WIX_WEBHOOK_CONCURRENCY": str(concurrency),
            LOG: str(log),
        }
        with serving(command, cwd=room, env=env) as server:
            await run_sync(server.printed, "Application startup complete", workers)
            yield WebhookScene(fake, f"http://127.0.0.1:{port}", server, storage_url, log)
