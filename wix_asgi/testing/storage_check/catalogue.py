"""The list of all cases that are safe on a store in use, for pytest and for `check`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check import claims, keys, removals, round_trips, scanning, versions
from wix_asgi.testing.storage_check.cases import PARAMETERS, Function

__all__ = ["MODULES", "expand", "functions"]

MODULES: Final = (round_trips, keys, versions, removals, claims, scanning)
"""The modules of the cases, in the order of running."""


def functions() -> Iterator[Function]:
    """Yield the functions of all cases."""
    for module in MODULES:
        for name in module.__all__:
            yield getattr(module, name)


def expand(function: Function) -> Iterator[tuple[str, Callable[[Storage], Awaitable[None]]]]:
    """Yield a case once for each of its values, under the name that pytest would show."""
    name = function.__name__
    if function not in PARAMETERS:
        yield name, function
        return
    argument, values = PARAMETERS[function]
    for special, value in values.items():
        yield f"{name}[{special}]", partial(function, **{argument: value})
