"""What is counted and timed while things break, and what is wanted of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Figure", "at_most", "exactly", "missed", "noted", "table"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that was seen, where, and between what it has to be.

    Attributes:
        what: What was counted or timed, with its unit.
        place: On which storage.
        timed: Whether it is a time, which the table tells and no test asserts.
    """

    what: str
    place: str
    seen: float
    least: float = -math.inf
    most: float = math.inf
    timed: bool = False

    @property
    def held(self) -> bool:
        """Whether it is what is wanted."""
        return self.least <= self.seen <= self.most

    def __str__(self) -> str:
        return f"{self.what} on {self.place}: {_number(self.seen)}, wanted {_wanted(self)}"


def exactly(what: str, place: str, seen: float, wanted: float) -> Figure:
    """Return a count that has to be `wanted`."""
    return Figure(what, place, seen, least=wanted, most=wanted)


def at_most(what: str, place: str, seen: float, most: float, *, timed: bool = False) -> Figure:
    """Return a number that must not be more than `most`."""
    return Figure(what, place, seen, most=most, timed=timed)


def noted(what: str, place: str, seen: float) -> Figure:
    """Return a time of which nothing is wanted."""
    return Figure(what, place, seen, timed=True)


def missed(figures: Iterable[Figure]) -> list[str]:
    """Return the counts that are not what is wanted; times depend on the machine."""
    return [str(figure) for figure in figures if not figure.timed and not figure.held]


def table(figures: Iterable[Figure]) -> str:
    """Return the lines that `python -m chaos` prints."""
    rows = [("what", "storage", "seen", "wanted", "")] + [
        (
            figure.what,
            figure.place,
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
