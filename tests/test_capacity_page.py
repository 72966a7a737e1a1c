from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

PAGE: Final = Path(__file__).parent.parent / "docs" / "capacity.md"
NAMED: Final = re.compile(r"^\| `(\w+)` \| ([\d.]+) \|", re.MULTILINE)
DERIVED: Final = re.compile(r"^\| ([^|`]+) \| `([^`]+)` \| ([\d.]+) \|$", re.MULTILINE)
OPERATORS: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(node: ast.expr, figures: dict[str, float]) -> float:
    """Return the value of a formula of whole numbers, names of figures, `+`, `*` and `/`."""
    if isinstance(node, ast.BinOp):
        left, right = evaluate(node.left, figures), evaluate(node.right, figures)
        return OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Name):
        return figures[node.id]
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int)
    return float(node.value)


def figures_of(page: str) -> dict[str, float]:
    """Return the figures of the first two tables by name."""
    return {name: float(figure) for name, figure in NAMED.findall(page)}


@pytest.mark.parametrize("row", DERIVED.findall(PAGE.read_text()), ids=lambda row: row[0])
def test_derived_figure(row: tuple[str, str, str]) -> None:
    """Each derived figure of the page follows from the measured ones, to two digits."""
    _, formula, figure = row

    value = evaluate(ast.parse(formula, mode="eval").body, figures_of(PAGE.read_text()))

    assert f"{float(figure):.1e}" == f"{value:.1e}"


def test_every_row_is_computed() -> None:
    """No row of the table of derived figures is left out by its form."""
    section = PAGE.read_text().partition("## What follows")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]

    assert len(rows) - 1 == len(DERIVED.findall(section))


def test_every_figure_is_named_once() -> None:
    """A figure has one name, and a name one figure: a new measurement changes one row."""
    names = [name for name, _ in NAMED.findall(PAGE.read_text())]

    assert sorted(set(names)) == sorted(names)
