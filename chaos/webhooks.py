"""Webhooks under load, duplicates, forgeries, kills and a database that restarts."""

from __future__ import annotations

import functools
import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import anyio

from chaos.figures import Figure, at_most, exactly, noted
from chaos.postgres_cluster import Cluster, open_cluster
from chaos.stores import Stores
from chaos.webhooks_load import WEBHOOK, Answers, Parcel, mixed, parcels, send
from chaos.webhooks_scene import WebhookScene, webhook_scene
from tests.limits import PATIENCE
from tests.processes.apps import App, at_once
from wix_asgi._http import httpx

__all__ = ["KINDS", "copied", "killed", "loaded", "measure", "restarted"]

logger = logging.getLogger(__name__)

KINDS: Final = ("sqlite", "postgresql")
_WANTED: Final = 0.3
"""Seconds of p99.9 of the answers (R44); Wix waits 1.25 s."""

_RATE: Final = 100.0
"""Events a second at full size."""


async def loaded(
    url: str,
    store: str,
    room: Path,
    *,
    workers: int,
    rate: float,
    count: int,
    seconds: Callable[[int], float],
    emptied_in: float,
) -> list[Figure]:
    """Send events with copies and forgeries; each is handled once, and no forgery is accepted."""
    async with webhook_scene(url, room, workers=workers) as at:
        genuine = parcels(at.fake, count, seconds)
        wanted = mixed(at.fake, genuine, copies=0.05, forgeries=0.10)
        before = at.memory()
        answers = await send(at.url, wanted, rate=rate, until_accepted=True)
        rest = await at.emptied(max(emptied_in, PATIENCE))
        after = at.memory()
        figures = await _told(at, store, f"{count} webhooks", answers, genuine)
    name = f"{count} webhooks, {rate:.0f} a second, load {os.getloadavg()[0]:.1f}"
    return [
        *figures,
        _on_time(f"{name}: answered 503 for want of time", store, answers.statuses[503]),
        exactly(
            f"{name}: answered 200 or 503",
            store,
            answers.statuses[200] + answers.statuses[503],
            answers.statuses.total(),
        ),
        at_most(
            f"{name}: p99.9 of the answer, s", store, answers.slowest(0.999), _WANTED, timed=True
        ),
        noted(f"{name}: median of the answer, s", store, answers.slowest(0.5)),
        at_most(f"{name}: inbox empty after, s", store, rest, emptied_in, timed=True),
        noted(f"{name}: memory of the workers before, MB", store, before),
        noted(f"{name}: memory of the workers after, MB", store, after),
    ]


async def killed(
    url: str,
    store: str,
    room: Path,
    *,
    workers: int,
    rate: float,
    count: int,
    handler: float,
    every: float,
) -> list[Figure]:
    """Kill any worker every few seconds, while Wix repeats events that had no answer."""
    async with webhook_scene(url, room, workers=workers) as at:
        genuine = parcels(at.fake, count, lambda _: handler)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(functools.partial(at.kill_every, every, workers))
            answers = await send(at.url, genuine, rate=rate, until_accepted=True)
            tasks.cancel_scope.cancel()
        rest = await at.emptied()
        name = f"{count} webhooks, workers killed"
        figures = await _told(at, store, name, answers, genuine)
        again = at.runs.again()
    return [
        Figure(f"{name}: kills", store, len(at.kills), least=1),
        *figures,
        noted(f"{name}: handled again after a kill", store, again),
        noted(f"{name}: inbox empty after, s", store, rest),
    ]


async def restarted(
    cluster: Cluster, room: Path, *, workers: int, rate: float, count: int, down: float
) -> list[Figure]:
    """Have no Postgres for a while: no event is answered 200 then, and none is lost."""
    store = cluster.kind
    async with webhook_scene(cluster.client_url, room, workers=workers) as at:
        genuine = parcels(at.fake, count, lambda _: 0.05)
        answers = Answers()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                functools.partial(
                    send, at.url, genuine, rate=rate, until_accepted=True, answers=answers
                )
            )
            await anyio.sleep(count / rate / 4)
            async with cluster.stopped():
                began = time.monotonic()
                await anyio.sleep(down)
                # Until an event was refused.
                with anyio.move_on_after(PATIENCE):
                    while not answers.within(began, time.monotonic()):  # noqa: ASYNC110
                        await anyio.sleep(0.1)
                ended = time.monotonic()
        await at.emptied()
        name = f"{count} webhooks, Postgres restarted"
        figures = await _told(at, store, name, answers, genuine, is_once=False)
        again = at.runs.again()
    meanwhile = answers.within(began, ended)
    return [
        *figures,
        exactly(f"{name}: answered 200 while it was down", store, meanwhile[200], 0),
        exactly(
            f"{name}: answered otherwise than 503 while it was down",
            store,
            meanwhile.total() - meanwhile[503] - meanwhile[200],
            0,
        ),
        Figure(f"{name}: answered 503 while it was down", store, meanwhile[503], least=1),
        noted(f"{name}: handled again", store, again),
    ]


async def copied(url: str, store: str, room: Path, *, workers: int, copies: int) -> list[Figure]:
    """Send copies of one event over all workers at the same moment: all are accepted, one runs."""
    async with webhook_scene(url, room, workers=workers) as at:
        (parcel,) = parcels(at.fake, 1, lambda _: 0.05)
        app = App(at.server, at.url, at.fake)
        async with app.spread(-(-copies // workers), workers) as browsers:
            statuses = await at_once(
                [functools.partial(_post, http, parcel) for http in browsers[:copies]]
            )
        await send(at.url, [parcel], rate=1.0, until_accepted=True)
        await at.emptied()
        runs = at.runs
    name = f"{copies} copies at once over {workers} workers"
    answers = Counter(statuses)
    return [
        _on_time(f"{name}: answered 503 for want of time", store, answers[503]),
        exactly(f"{name}: answered 200 or 503", store, answers[200] + answers[503], copies),
        exactly(f"{name}: runs", store, len(runs.began[0]), 1),
    ]


async def _post(http: httpx.AsyncClient, parcel: Parcel) -> int:
    return (await http.post(WEBHOOK, content=parcel.body)).status_code


def _on_time(name: str, store: str, late: int) -> Figure:
    """Return how many events Wix has to send again since the storage took over a second."""
    return at_most(name, store, late, 0, timed=True)


async def _told(
    at: WebhookScene,
    store: str,
    name: str,
    answers: Answers,
    genuine: list[Parcel],
    *,
    is_once: bool = True,
) -> list[Figure]:
    """Return the counts that every scenario promises, once the inbox is empty."""
    runs, counts = at.runs, await at.counts()
    numbers = {parcel.number for parcel in genuine}
    wrong = runs.too_often(at.kills)
    if missing := runs.missing(answers.genuine):
        logger.error("%s on %s: not handled: %s", name, store, sorted(missing)[:10])
    figures = [
        exactly(f"{name}: accepted", store, len(answers.genuine), len(numbers)),
        exactly(f"{name}: accepted and not handled", store, len(missing), 0),
        exactly(f"{name}: forgeries accepted", store, answers.forged, 0),
        exactly(f"{name}: forgeries handled", store, len(runs.began.keys() - numbers), 0),
        exactly(f"{name}: waiting in the end", store, counts.waiting, 0),
        exactly(f"{name}: dead letters", store, counts.dead, 0),
    ]
    if is_once:
        figures.append(exactly(f"{name}: handled too often", store, len(wrong), 0))
    return figures


def measure(stores: Stores) -> Iterator[Figure]:
    """Send a hundred webhooks a second for a minute, on every store, and break things meanwhile."""
    for kind in KINDS:
        for scenario in (
            functools.partial(
                loaded,
                workers=2,
                rate=_RATE,
                count=round(_RATE * 60 * 0.85),
                seconds=lambda number: 0.05 if (number + 1) % 200 else 30.0,
                emptied_in=90.0,
            ),
            functools.partial(killed, workers=2, rate=20.0, count=1200, handler=1.0, every=5.0),
            functools.partial(copied, workers=4, copies=50),
        ):
            with stores.empty(kind) as url, tempfile.TemporaryDirectory() as room:
                yield from anyio.run(scenario, url, kind, Path(room))
    with open_cluster("postgresql") as cluster, tempfile.TemporaryDirectory() as room:
        restart = functools.partial(restarted, workers=2, rate=50.0, count=1500, down=5.0)
        yield from anyio.run(restart, cluster, Path(room))
