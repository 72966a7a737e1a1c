"""Cases: functions that take a storage, and the values with which a case is repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

__all__ = ["PARAMETERS", "Function", "each"]

Function = Callable[..., Awaitable[None]]
F = TypeVar("F", bound=Function)

PARAMETERS: dict[Function, tuple[str, Mapping[str, Any]]] = {}
"""By function: the name of its argument, and the values for it, each with a name."""


def each(argument: str, values: Mapping[str, Any]) -> Callable[[F], F]:
    """Repeat a case with each of the named values."""

    def note(function: F) -> F:
        PARAMETERS[function] = argument, values
        return function

    return note
