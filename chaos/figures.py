"""The counts and times of a scenario, and the bounds that each of them has to keep."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Figure", "at_most", "exactly", "missed", "noted", "table"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that was seen on a store, and the bounds between which it has to be.

    Attributes:
        name: The name of the count or time, with its unit.
        store: The kind of the store, as in `chaos.stores.KINDS`.
        timed: Whether it is a time, which the table tells and no test asserts.
    """

    name: str
    store: str
    seen: float
    least: float = -math.inf
    most: float = math.inf
    timed: bool = False

    @property
    def held(self) -> bool:
        """Whether the number is within its bounds."""
        return self.least <= self.seen <= self.most

    def __str__(self) -> str:
        return f"{self.name} on {self.store}: {_number(self.seen)}, wanted {_wanted(self)}"


def exactly(name: str, store: str, seen: float, wanted: float) -> Figure:
    """Return a count that has to be `wanted`."""
    return Figure(name, store, seen, least=wanted, most=wanted)


def at_most(name: str, store: str, seen: float, most: float, *, timed: bool = False) -> Figure:
    """Return a number that must not be more than `most`."""
    return Figure(name, store, seen, most=most, timed=timed)


def noted(name: str, store: str, seen: float) -> Figure:
    """Return a time without bounds."""
    return Figure(name, store, seen, timed=True)


def missed(figures: Iterable[Figure]) -> list[str]:
    """Return the counts outside of their bounds; times depend on the machine, and are left out."""
    return [str(figure) for figure in figures if not figure.timed and not figure.held]


def table(figures: Iterable[Figure]) -> str:
    """Return the lines that `python -m chaos` prints."""
    rows = [("what", "storage", "seen", "wanted", "")] + [
        (
            figure.name,
            figure.store,
            _number(figure.seen),
            _wanted(figure),
            "" if figure.held else "MISSED",
        )
        for figure in figures
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}"


def _wanted(figure: Figure) -> str:
    if figure.least == figure.most:
        return _number(figure.most)
    if figure.most < math.inf:
        return f"<= {_number(figure.most)}"
    return f">= {_number(figure.least)}" if figure.least > -math.inf else "-"
