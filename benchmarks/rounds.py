"""Rounds that take turns, the ratios between those who took them, and the tables that show both.

Every ratio is made of pairs: what ours cost in a round, by what a peer cost in the same round, so
that other work of the machine changes both. The median of the pairs counts. Their spread is the
distance between the quartiles by the median; a ratio that spreads wider than `MAX_SPREAD` is
measured again, `Plan.repeats` times at most, and keeps a `~` where it still does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Final

__all__ = [
    "OURS",
    "Comparison",
    "Goal",
    "Plan",
    "Turn",
    "alone",
    "at_least",
    "at_most",
    "in_loop",
    "meter",
    "take_turns",
]

OURS: Final = "wix-asgi"

MAX_SPREAD: Final = 0.2
"""A difference of a fifth is none between rounds that spread by more than that."""

Turn = Callable[[], Awaitable[Mapping[str, float]]]
"""One turn of one round: what an operation cost in it, by the name of each measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of a run.

    Attributes:
        is_quick: Whether sizes are to be small, for a look; the tables of record are not quick.
        rounds: Turns of each, and as many again where a ratio spreads too wide.
        repeats: How many times a ratio that spreads too wide is measured again.
        seconds: How long one turn takes about.
    """

    is_quick: bool = False
    rounds: int = 7
    repeats: int = 2
    seconds: float = 0.4

    @classmethod
    def quick(cls) -> Plan:
        """Return the plan of `--quick`."""
        return cls(is_quick=True, rounds=3, repeats=1, seconds=0.1)

    def count(self, full: int, quick: int) -> int:
        """Return the size of a part by the size of the run."""
        return quick if self.is_quick else full


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound of a ratio or of a figure."""

    bound: float
    is_most: bool

    def is_met(self, figure: float) -> bool:
        """Whether this figure keeps the bound."""
        return figure <= self.bound if self.is_most else figure >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.is_most else '>='} {self.bound:g}"


def at_most(bound: float) -> Goal:
    """Return the goal of a figure that may not be larger."""
    return Goal(bound, is_most=True)


def at_least(bound: float) -> Goal:
    """Return the goal of a figure that may not be smaller."""
    return Goal(bound, is_most=False)


@dataclass(slots=True, kw_only=True)
class Comparison:
    """What one operation cost ours and its peers, in one unit.

    Attributes:
        label: The operation, as the first line of the table says it.
        costs: What each turn cost, by name; `ours` among them.
        ratios: The pairs of each peer: what ours cost by what the peer cost.
        goals: The goals of those ratios by peer; the goal under the name of ours is for its own
            cost.
        ours: The name of the one that is compared with all others.
    """

    label: str
    unit: str
    costs: dict[str, list[float]]
    ratios: dict[str, list[float]] = field(default_factory=dict)
    goals: Mapping[str, Goal] = field(default_factory=dict)
    ours: str = OURS

    def records(self) -> Iterator[dict[str, object]]:
        """Give the figures of each as they go into a file of JSON."""
        for name, costs in self.costs.items():
            found: dict[str, object] = {"label": self.label, "unit": self.unit, "name": name}
            found |= {"median": median(costs), "spread": spread(costs)}
            if name in self.ratios:
                ratios = self.ratios[name]
                found |= {"ratio": median(ratios), "ratio_spread": spread(ratios)}
            if name in self.goals:
                found |= {"goal": str(self.goals[name]), "met": self._is_met(name)}
            yield found

    def _is_met(self, name: str) -> bool:
        return self.goals[name].is_met(median(self.ratios.get(name, self.costs[name])))

    def lines(self) -> Iterator[str]:
        """Give the lines of the table."""
        yield f"{self.label}, {self.unit}"
        names = list(self.costs)
        rows = {
            "": names,
            "median": [figure(median(self.costs[name])) for name in names],
            "spread": [f"{spread(self.costs[name]):.0%}" for name in names],
            f"{self.ours} is": [self._ratio(name) for name in names],
            "goal": [self._goal(name) for name in names],
        }
        width = [
            max(10, *(len(row[place]) for row in rows.values())) for place in range(len(names))
        ]
        for title, row in rows.items():
            if any(row):
                cells = "".join(f"  {cell:>{wide}}" for cell, wide in zip(row, width, strict=True))
                yield f"  {title:14}{cells}".rstrip()

    def _ratio(self, name: str) -> str:
        if name not in self.ratios:
            return ""
        mark = "~" if spread(self.ratios[name]) > MAX_SPREAD else ""
        return f"{mark}{median(self.ratios[name]):.2f} x"

    def _goal(self, name: str) -> str:
        if name not in self.goals:
            return ""
        return f"{self.goals[name]} {'met' if self._is_met(name) else 'missed'}"


def figure(value: float) -> str:
    """Return a number with three digits that count, or all before the point."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def spread(values: Sequence[float]) -> float:
    """Return the distance between the quartiles by the median."""
    middle = median(values)
    if len(values) < 2 or not middle:
        return 0.0
    low, _, high = quantiles(values, n=4, method="inclusive")
    return (high - low) / middle


def alone(label: str, unit: str, value: float, goal: Goal | None = None) -> Comparison:
    """Return the row of a figure of ours that no peer has."""
    return Comparison(
        label=label, unit=unit, costs={OURS: [value]}, goals={OURS: goal} if goal else {}
    )


def in_loop(found: AsyncIterator[Comparison]) -> Iterator[Comparison]:
    """Give what is found in one event loop, each as soon as it is there."""

    async def following() -> Comparison | None:
        return await anext(found, None)

    with asyncio.Runner() as runner:
        while (comparison := runner.run(following())) is not None:
            yield comparison


@dataclass(slots=True)
class Meter:
    """The time and the CPU time of this process since it was made."""

    began: float = field(default_factory=perf_counter)
    began_cpu: float = field(default_factory=process_time)

    def read(self, operations: int, factor: float = 1e6) -> dict[str, float]:
        """Return both for each of so many operations, in microseconds by default.

        `cpu` is that of all threads of the process, the system's part included.
        """
        cpu, time = process_time() - self.began_cpu, perf_counter() - self.began
        return {"cpu": cpu / operations * factor, "time": time / operations * factor}


def meter() -> Meter:
    """Begin to measure."""
    return Meter()


async def take_turns(
    turns: Mapping[str, Turn],
    plan: Plan,
    *,
    label: str,
    units: Mapping[str, str],
    goals: Mapping[str, Goal] | None = None,
    ours: str = OURS,
    judged: str = "cpu",
) -> list[Comparison]:
    """Measure in rounds, and again what spreads too wide; a comparison for each of `units`.

    `turns` has one turn of each, which gives all measures that `units` name. `goals` are those of
    the measure `judged`, whose ratios are measured again where they spread too wide.
    """
    found = {
        measure: Comparison(
            label=label,
            unit=unit,
            costs={name: [] for name in turns},
            goals=(goals or {}) if measure == judged else {},
            ours=ours,
        )
        for measure, unit in units.items()
    }
    names = set(turns)
    for _ in range(1 + plan.repeats):
        for _ in range(plan.rounds):
            await _round({name: turn for name, turn in turns.items() if name in names}, found, ours)
        for comparison in found.values():
            _pair(comparison, names, plan.rounds)
        wide = {name for name, pairs in found[judged].ratios.items() if spread(pairs) > MAX_SPREAD}
        if not wide:
            break
        names = wide | {ours}
    return list(found.values())


async def _round(turns: Mapping[str, Turn], found: Mapping[str, Comparison], ours: str) -> None:
    # Ours in the middle: what changes slowly is the same before it and after it.
    others = [name for name in turns if name != ours]
    half = len(others) // 2
    for name in [*others[:half], *([ours] if ours in turns else []), *others[half:]]:
        cost = await turns[name]()
        for measure, comparison in found.items():
            comparison.costs[name].append(cost[measure])


def _pair(comparison: Comparison, names: set[str], rounds: int) -> None:
    own = comparison.costs[comparison.ours][-rounds:]
    for name in names - {comparison.ours}:
        peers = comparison.costs[name][-rounds:]
        comparison.ratios[name] = [one / other for one, other in zip(own, peers, strict=True)]
