"""One refresh of an installation over all processes, at any moment and in any state of them."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

import anyio

from chaos.figures import Figure, at_most, exactly, noted
from chaos.refreshing_holders import SIGNALS, gone, held_up, replaced, woken
from chaos.refreshing_scene import Scene, scene
from chaos.stores import KINDS, Stores
from chaos.workers import Crew, Told, Work, call, outlive
from wix_asgi import Wix
from wix_asgi.models import GrantType

__all__ = ["ENDS", "End", "clocks_off", "crowd", "many", "measure"]

logger = logging.getLogger(__name__)

End = Literal["its time is over", "Wix refuses it", "its row is gone"]
"""How an access token ends: so that everybody knows, so that only a 401 tells, or with all that is
stored, which client credentials alone bring back."""
ENDS: Final[tuple[End, ...]] = ("its time is over", "Wix refuses it")

_Scenario = Callable[[str, str], Awaitable[list[Figure]]]

_HOUR: Final = 3600
_SINGLES: Final = 5


@dataclass
class _Tally:
    """The counts of rounds at whose beginning every token has just ended."""

    told: Told = field(default_factory=Told)
    refreshes: int = 0
    again: int = 0
    refused: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, at: Scene, told: Told) -> None:
        """Count one round."""
        self.told += told
        self.refreshes += at.refreshes
        self.again += at.refreshed_again()
        self.refused += at.refused()
        self.seconds.append(told.seconds)

    def figures(
        self, what: str, store: str, *, refreshes: int, callers: int, refused: bool = False
    ) -> list[Figure]:
        """Return the counts and their bounds; `refused` says that Wix answers 401s."""
        if self.told.failed:
            logger.error("%s on %s: %s", what, store, dict(self.told.failed))
        figures = [
            exactly(f"{what}: token calls", store, self.refreshes, refreshes),
            exactly(f"{what}: sites refreshed twice in a round", store, self.again, 0),
            exactly(f"{what}: failed callers", store, callers - self.told.served, 0),
            exactly(f"{what}: calls as another site", store, self.told.strangers, 0),
        ]
        if not refused:
            figures.append(exactly(f"{what}: calls with a dead token", store, self.refused, 0))
        return figures


async def crowd(
    url: str,
    store: str,
    *,
    processes: int,
    tasks: int,
    rounds: int,
    end: End = "its time is over",
    rotating: bool = False,
    grant_type: GrantType = GrantType.REFRESH_TOKEN,
) -> list[Figure]:
    """Have `tasks` tasks of each process call for one site whose token has just ended.

    Where Wix rotates, a refresh token that is sent twice ends every token of the site.
    """
    tally = _Tally()
    async with scene(url, rotating=rotating, grant_type=grant_type) as at:
        await at.install()
        async with Crew(at.options, [0] * processes) as crew:
            work = partial(call, sites=at.sites, tasks=tasks)
            for _ in range(rounds):
                await _round(at, crew, work, tally, end)
    what = f"{processes} x {tasks} callers, {'rotating ' if rotating else ''}{grant_type}, {end}"
    callers = processes * tasks * rounds
    refused = end == "Wix refuses it"
    return tally.figures(what, store, refreshes=rounds, callers=callers, refused=refused)


async def many(
    url: str, store: str, *, processes: int, sites: int, rounds: int, delay: float
) -> list[Figure]:
    """Have each process call for many sites at once, with a Wix that takes `delay` to refresh."""
    tally, single = _Tally(), _Tally()
    async with scene(url, sites=sites, delay=delay) as at:
        await at.install()
        async with Crew(at.options, [0] * processes) as crew:
            for _ in range(rounds):
                await _round(at, crew, partial(call, sites=at.sites), tally)
            for _ in range(_SINGLES):
                await _round(at, crew, partial(call, sites=at.sites[:1]), single)
    what, one = f"{processes} x {sites} sites", statistics.mean(single.seconds)
    bound = 1.5 * one + 0.1
    return [
        *tally.figures(what, store, refreshes=sites * rounds, callers=processes * sites * rounds),
        noted(f"{what}: a single refresh, s", store, one),
        noted(f"{what}: a usual round, in single refreshes", store, _median(tally) / one),
        at_most(f"{what}: a usual round, s", store, _median(tally), bound, timed=True),
        at_most(f"{what}: the longest round, s", store, max(tally.seconds), bound, timed=True),
    ]


async def clocks_off(url: str, store: str, *, tasks: int, rounds: int) -> list[Figure]:
    """Have the wall clocks of two of four hosts be an hour off, one early and one late.

    Not for SQLite, whose processes are on one host and share its clock.
    """
    tally, shifts = _Tally(), [0, _HOUR, -_HOUR, 0]
    async with scene(url) as at:
        await at.install()
        async with Crew(at.options, shifts) as crew:
            now = time.time()
            off = [round((told - now) / _HOUR) for told in await crew.do(_wall_clock)]
            for _ in range(rounds):
                await _round(at, crew, partial(_call_twice, sites=at.sites, tasks=tasks), tally)
    what, callers = "clocks an hour off", 2 * len(shifts) * tasks * rounds
    return [
        exactly("hosts whose clock is an hour off", store, sum(map(abs, off)), 2),
        *tally.figures(what, store, refreshes=rounds, callers=callers),
    ]


async def _round(
    at: Scene, crew: Crew, work: Work[Told], tally: _Tally, end: End = "its time is over"
) -> None:
    """End every token, have the crew do `work` at once, and count the outcome."""
    if end == "its time is over":
        await at.end_tokens()
        await crew.do(outlive)
    elif end == "its row is gone":
        await at.lose_rows()
        await crew.do(outlive)
    else:
        # Each has a token in its cache that has time left.
        await crew.do(partial(call, sites=at.sites))
        at.fake.expire_access_tokens()
    at.fake.calls.clear()
    tally.add(at, sum(await crew.do(work), Told()))


async def _call_twice(wix: Wix, *, sites: list[str], tasks: int) -> Told:
    return await call(wix, sites=sites, tasks=tasks) + await call(wix, sites=sites, tasks=tasks)


async def _wall_clock(wix: Wix) -> float:
    del wix
    return time.time()


def _median(tally: _Tally) -> float:
    return statistics.median(tally.seconds)


def measure(stores: Stores) -> Iterator[Figure]:
    """Refresh at full size on every store."""
    for kind in KINDS:
        for scenario in _scenarios(kind):
            with stores.empty(kind) as url:
                yield from anyio.run(scenario, url, kind)


def _scenarios(kind: str) -> list[_Scenario]:
    everywhere: list[_Scenario] = [
        *(
            partial(crowd, processes=4, tasks=250, rounds=5, end=end, grant_type=grant_type)
            for grant_type in GrantType
            for end in ENDS
        ),
        partial(
            crowd,
            processes=4,
            tasks=250,
            rounds=5,
            end="its row is gone",
            grant_type=GrantType.CLIENT_CREDENTIALS,
        ),
        partial(crowd, processes=4, tasks=50, rounds=20, rotating=True),
        partial(many, processes=4, sites=100, rounds=20, delay=1.0),
        *(
            partial(gone, how=how, processes=4, tasks=10, rounds=10, grant_type=grant_type)
            for grant_type in GrantType
            for how in SIGNALS
        ),
        partial(woken, processes=4, tasks=10, rounds=10),
        partial(held_up, processes=4, tasks=10, rounds=10),
        partial(replaced, processes=4, tasks=10, rounds=3),
    ]
    return (
        everywhere if kind == "sqlite" else [*everywhere, partial(clocks_off, tasks=10, rounds=3)]
    )
