"""What a case is, and one that is gone through with several values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

from wix_asgi.storage import Storage

__all__ = ["PARAMETERS", "Function", "each", "expand", "functions"]

Function = Callable[..., Awaitable[None]]
F = TypeVar("F", bound=Function)

PARAMETERS: dict[Function, tuple[str, Mapping[str, Any]]] = {}
"""By function: the argument that it is called with, and the values, each with a name."""


def each(argument: str, values: Mapping[str, Any]) -> Callable[[F], F]:
    """Have a case called with each of the values; their names say what is special about them."""

    def note(function: F) -> F:
        PARAMETERS[function] = argument, values
        return function

    return note


def functions(*modules: ModuleType) -> Iterator[Function]:
    """Yield the cases of some modules."""
    for module in modules:
        for name in module.__all__:
            yield getattr(module, name)


def expand(function: Function) -> Iterator[tuple[str, Callable[[Storage], Awaitable[None]]]]:
    """Yield a case for each of its values, with its name as pytest would show it."""
    name = function.__name__
    if function not in PARAMETERS:
        yield name, function
        return
    argument, values = PARAMETERS[function]
    for special, value in values.items():
        yield f"{name}[{special}]", partial(function, **{argument: value})
