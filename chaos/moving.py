"""Installations that are moved to client credentials and back while all workers refresh."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from typing import Any, Final

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from chaos.figures import Figure, exactly, noted
from chaos.refreshing_load import RefreshingLoad
from chaos.refreshing_scene import Scene, scene
from chaos.stores import Stores
from chaos.workers import Crew
from tests.cli.commands import COMMAND
from tests.servers import environment
from wix_asgi.models import GrantType

__all__ = ["KINDS", "measure", "moved"]

logger = logging.getLogger(__name__)

KINDS: Final = ("sqlite", "postgresql")
_DELAY: Final = 0.1
"""Seconds of a refresh at Wix, so that rows are moved while their refresh tokens are there."""

_CALLS: Final = 10
"""Calls of a worker under way at one time, each of which costs a refresh, as long as there are any:
a load that this machine bears for a thousand sites, without a migration."""

_LONGEST_LINE: Final = 10_000
"""Bytes: a report of a site has about two hundred."""


async def moved(url: str, store: str, *, processes: int, sites: int) -> list[Figure]:
    """Move all sites by the command, which is killed and run again; and move them back.

    This Wix ends every token of a site whose refresh token is sent twice: losing one shows.
    """
    async with scene(url, sites=sites, rotating=True, delay=_DELAY) as at:
        await at.install()
        for site in at.sites:
            at.fake.mark_installed(site)
        async with Crew(at.options, [0] * processes) as crew:
            load, moved_load, back_load = (
                RefreshingLoad(at, crew, ends_at_wix=False, at_once=_CALLS) for _ in range(3)
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load.run)
                await load.begun.wait()
                cut_off = await _killed_after(at, url, sites // 3)
                half = (await _grants(at))[GrantType.CLIENT_CREDENTIALS]
                began = time.monotonic()
                status, reports = await _run(at, url, "--apply")
                took = time.monotonic() - began
                load.is_over = True
            everywhere = (await _grants(at))[GrantType.CLIENT_CREDENTIALS]
            await moved_load.round()
            back_status, back_reports = await _run(at, url, "--back", "--apply")
            back = (await _grants(at))[GrantType.REFRESH_TOKEN]
            await back_load.round()
        again = at.refreshed_again()
    name, callers = f"{sites} sites moved under {processes} workers", processes * sites
    for each in load, moved_load, back_load:
        if each.told.failed:
            logger.error("%s on %s: %s", name, store, dict(each.told.failed))
    return [
        Figure(f"{name}: rounds of calls meanwhile", store, load.rounds, least=1),
        exactly(f"{name}: failed calls", store, callers * load.rounds - load.told.served, 0),
        Figure(f"{name}: told by the killed run", store, cut_off, least=1, most=sites - 1),
        Figure(f"{name}: moved by the killed run", store, half, least=1, most=sites - 1),
        exactly(f"{name}: status of the second run", store, status, 0),
        exactly(f"{name}: sites told by the second run", store, len(reports), sites),
        exactly(f"{name}: moved in the end", store, everywhere, sites),
        noted(f"{name}: seconds of the second run", store, took),
        exactly(f"{name}: failed calls afterwards", store, callers - moved_load.told.served, 0),
        exactly(f"{name}: status of the way back", store, back_status, 0),
        exactly(f"{name}: sites told on the way back", store, len(back_reports), sites),
        exactly(f"{name}: moved back", store, back, sites),
        exactly(f"{name}: failed calls after it", store, callers - back_load.told.served, 0),
        exactly(f"{name}: refresh tokens sent twice", store, again, 0),
    ]


async def _grants(at: Scene) -> Counter[str | None]:
    """Return how many rows have each grant type."""
    return Counter([(await at.record(site)).grant_type for site in at.sites])


@contextlib.asynccontextmanager
async def _migrating(at: Scene, url: str, *options: str) -> AsyncIterator[Process]:
    """Run the command in a process of its own, which an error of the block kills."""
    command = [str(COMMAND), "migrate", "--json", *options]
    env = {**os.environ, **environment(at.fake, 1, url)}
    async with await anyio.open_process(command, env=env, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


async def _reports(process: Process) -> AsyncIterator[Mapping[str, Any]]:
    assert process.stdout is not None
    lines = BufferedByteReceiveStream(process.stdout)
    with contextlib.suppress(anyio.EndOfStream, anyio.IncompleteRead):
        while True:
            yield json.loads(await lines.receive_until(b"\n", _LONGEST_LINE))


async def _killed_after(at: Scene, url: str, sites: int) -> int:
    """Kill a run once it has told so many sites; return how many it has told."""
    told = 0
    async with _migrating(at, url, "--apply") as process:
        async for _ in _reports(process):
            told += 1
            if told == sites:
                process.kill()
    return told


async def _run(at: Scene, url: str, *options: str) -> tuple[int, dict[str, str]]:
    """Return the status of a whole run, and the outcome of each site that it told."""
    async with _migrating(at, url, *options) as process:
        reports = {told["instance_id"]: told["outcome"] async for told in _reports(process)}
        return await process.wait(), reports


def measure(stores: Stores) -> Iterator[Figure]:
    """Move a thousand sites beside two workers."""
    for kind in KINDS:
        with stores.empty(kind) as url:
            yield from anyio.run(partial(moved, url, kind, processes=2, sites=1000))
