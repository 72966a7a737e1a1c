"""A Wix whose token endpoint fails for minutes, while a thousand installations need a token."""

from __future__ import annotations

import contextlib
import logging
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from time import monotonic
from typing import Any, Final

import anyio
from starlette.types import Receive, Scope, Send

from chaos.figures import Figure, at_most, exactly, noted
from chaos.installed import ACCESS, install, installations, many_sites
from tests.support import PUBLIC_URL
from wix_asgi import Wix
from wix_asgi._http import httpx
from wix_asgi.errors import StorageUnavailable, WixError, WixUnavailable
from wix_asgi.storage import open_storage
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix._serve import serve

__all__ = ["busiest_second", "crowd"]

MOST_A_SECOND: Final = 50
_RECOVERY: Final = 30.0
# It is counted how many were not served by then, and not waited for them any longer.
_PATIENCE: Final = 60.0


@dataclass
class _Provider:
    """A fake Wix that notes when it is asked for a token."""

    fake: FakeWix
    asked_at: list[float] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the fake Wix does."""
        if scope["type"] == "http" and scope["path"] == ACCESS:
            self.asked_at.append(monotonic())
        await self.fake(scope, receive, send)


@dataclass
class _Told:
    """The outcome of the calls of one process, or of all processes.

    Attributes:
        served_at: When each was served, by the clock that the processes of a host share.
        refused: How often they were told to come again, and why.
        failed: The errors of another call of each caller that had been served.
    """

    served_at: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, other: _Told) -> None:
        """Add the outcome of the calls of another process."""
        self.served_at += other.served_at
        self.refused += other.refused
        self.failed += other.failed


def crowd(kind: str, url: str, *, sites: int, outage: float, processes: int = 1) -> list[Figure]:
    """Have every installation be called through an outage of `outage` seconds, and after it.

    Each installation is called by a single process of the app; the processes share only the store.
    """
    with (
        _provider(sites) as (provider, settings),
        get_context("forkserver").Pool(processes) as pool,
    ):
        options = {**settings, "public_url": PUBLIC_URL, "storage": url}
        anyio.run(_install, provider.fake, options)
        provider.fake.fail(ACCESS, times=None)
        every = list(provider.fake.sites)
        shares = [(options, every[n::processes], outage + _PATIENCE) for n in range(processes)]
        calling = pool.starmap_async(_call_in_process, shares)
        # Nobody can be served before it is over: only an error ends this wait earlier.
        calling.wait(outage)
        provider.fake.heal()
        healed_at = monotonic()
        told = _Told()
        for one in calling.get(2 * _PATIENCE):
            told.add(one)
    what = f"{outage:.0f} s, {sites} installations, {processes} process{'es' * (processes > 1)}"
    back = max(told.served_at, default=healed_at + _PATIENCE) - healed_at
    asked = busiest_second(sorted(provider.asked_at))
    return [
        exactly(f"{what}: never served", kind, sites - len(told.served_at), 0),
        exactly(f"{what}: failed once they were served", kind, told.failed.total(), 0),
        exactly(f"{what}: refused as the store fails", kind, told.refused["StorageUnavailable"], 0),
        at_most(f"{what}: token calls in a second", kind, asked, MOST_A_SECOND, timed=True),
        noted(f"{what}: token calls in all", kind, len(provider.asked_at)),
        noted(f"{what}: calls refused as Wix fails", kind, told.refused["WixUnavailable"]),
        at_most(f"{what}: all served after the end, s", kind, back, _RECOVERY, timed=True),
    ]


def busiest_second(times: list[float]) -> int:
    """Return how many of these sorted moments lie within one second at most."""
    return max((bisect_left(times, at + 1.0) - n for n, at in enumerate(times)), default=0)


@contextlib.contextmanager
def _provider(sites: int) -> Iterator[tuple[_Provider, dict[str, Any]]]:
    provider = _Provider(FakeWix(sites=many_sites(sites)))
    with serve(provider, "127.0.0.1", 0) as url:
        yield provider, {**provider.fake.settings(), "api_url": url}


async def _install(fake: FakeWix, options: dict[str, Any]) -> None:
    """Store an installation on every site, with a token whose time is over."""
    async with open_storage(options["storage"]) as storage:
        stored = installations(fake, storage, options)
        for site in fake.sites:
            await install(fake, stored, site)


def _call_in_process(options: dict[str, Any], sites: Sequence[str], patience: float) -> _Told:
    """Call for these sites in a process of its own, until each was served."""
    # Refusals are counted, so their log lines are not needed.
    logging.disable()
    return anyio.run(_call_all, options, sites, patience)


async def _call_all(options: dict[str, Any], sites: Sequence[str], patience: float) -> _Told:
    told = _Told()
    async with Wix(**options) as wix:
        with anyio.move_on_after(patience):
            async with anyio.create_task_group() as tasks:
                for site in sites:
                    tasks.start_soon(_call_until_served, wix, site, told)
        async with anyio.create_task_group() as tasks:
            for site in sites:
                tasks.start_soon(_call_again, wix, site, told)
    return told


async def _call_until_served(wix: Wix, site: str, told: _Told) -> None:
    """Call again and again, with the pauses that are asked for."""
    while True:
        try:
            answer = await wix.client(site).get("/apps/v1/instance")
        except (WixUnavailable, StorageUnavailable) as exc:
            told.refused[type(exc).__name__] += 1
            asked = getattr(exc, "asked", None)
            await anyio.sleep(0.5 + random.random() if asked is None else asked)  # noqa: S311 - no secret
        else:
            answer.raise_for_status()
            told.served_at.append(monotonic())
            return


async def _call_again(wix: Wix, site: str, told: _Told) -> None:
    try:
        (await wix.client(site).get("/apps/v1/instance")).raise_for_status()
    except (WixError, httpx.HTTPError) as exc:
        told.failed[type(exc).__name__] += 1
