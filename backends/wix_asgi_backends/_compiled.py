"""Statements of SQLAlchemy, compiled once for a dialect, with what a driver is given for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, cast

from sqlalchemy import Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

__all__ = ["Call", "Compiled", "Outcome"]

_Process = Callable[[Any], Any] | None


class Compiled:
    """One statement in the words of a dialect, whose parameters are given by position.

    Attributes:
        text: The statement for the driver.
        returns_rows: Whether the statement returns rows, or else a number of changed rows.
    """

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        """Compile `statement`, which takes about a millisecond."""
        compiled = cast("SQLCompiler", cast("Any", statement).compile(dialect=dialect))
        self.text: Final = str(compiled)
        self._columns: Final = tuple(cast("Any", statement).exported_columns.keys())
        self.returns_rows: Final = bool(self._columns)
        binds = compiled.binds
        self._fixed: Final = {name: bind.value for name, bind in binds.items() if not bind.required}
        self._parameters: Final[list[tuple[str, _Process]]] = [
            (name, binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """Return the parameters in their order; further `values` are left out."""
        given = {**self._fixed, **values} if self._fixed else values
        return [
            given[name] if process is None else process(given[name])
            for name, process in self._parameters
        ]

    def rows(self, found: Iterable[Iterable[Any]]) -> list[SimpleNamespace]:
        """Return the driver's rows with the columns as attributes."""
        columns = self._columns
        return [SimpleNamespace(**dict(zip(columns, row, strict=True))) for row in found]


@dataclass(frozen=True, slots=True)
class Call:
    """A compiled statement and its parameters, for one execution."""

    compiled: Compiled
    arguments: list[object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of statements that were executed together.

    Attributes:
        rows: The rows of the last statement.
        count: How many rows the first statement has changed or returned.
    """

    rows: Sequence[SimpleNamespace]
    count: int
