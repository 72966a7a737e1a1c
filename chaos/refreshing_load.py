"""Workers that refresh all sites without a pause, while something else is done to the storage."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio

from chaos.refreshing_scene import Scene
from chaos.workers import Crew, Told, call, outlive

__all__ = ["RefreshingLoad"]


_SITES: Final = 100
"""Sites of one piece of work, so that a worker tells of its outcome again and again."""


@dataclass
class RefreshingLoad:
    """Workers that refresh every site, again and again, until it is over.

    Attributes:
        ends_at_wix: Whether tokens end at Wix, which answers with a 401. Else they end by the
            workers' clocks, so that a token which was granted in between is good.
        at_once: How many calls of a worker are under way at one time.
        told: The outcome of all calls.
        rounds: How many times each worker has called for all sites.
    """

    at: Scene
    crew: Crew
    ends_at_wix: bool = True
    at_once: float = math.inf
    told: Told = field(default_factory=Told)
    rounds: int = 0
    is_over: bool = False
    begun: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        """Have each worker call for all sites, whose tokens have just ended."""
        while not self.is_over:
            await self.round()

    async def round(self) -> None:
        """Have each worker call once for all sites, whose tokens have just ended."""
        if self.ends_at_wix:
            self.at.fake.expire_access_tokens()
        else:
            await self.crew.do(outlive)
        sites = self.at.sites
        for start in range(0, len(sites), _SITES):
            some = sites[start : start + _SITES]
            work = partial(call, sites=some, at_once=self.at_once)
            self.told += sum(await self.crew.do(work), Told())
        self.rounds += 1
        self.begun.set()
