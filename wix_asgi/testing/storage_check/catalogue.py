"""The list of all cases that are safe on a store in use, for pytest and for `check`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Final

from wix_asgi.storage import (
    AddingStorage,
    ClaimReader,
    CombiningStorage,
    EventStorage,
    RestoringStorage,
    Storage,
)
from wix_asgi.testing.storage_check import (
    adding,
    claim_owners,
    claims,
    combining,
    events_counted,
    events_ended,
    events_kept,
    events_known,
    events_listed,
    events_operated,
    events_owned,
    events_taken,
    keys,
    removals,
    restoring,
    round_trips,
    scanning,
    versions,
)
from wix_asgi.testing.storage_check.cases import PARAMETERS, Function

__all__ = ["CAPABILITIES", "EVENTS", "MODULES", "capability", "expand", "functions"]

MODULES: Final = (round_trips, keys, versions, removals, claims, scanning)
"""The modules of the cases, in the order of running."""

EVENTS: Final = (
    events_kept,
    events_known,
    events_taken,
    events_owned,
    events_ended,
    events_operated,
    events_listed,
    events_counted,
)
"""The modules of the cases of an inbox, in the order of running."""

CAPABILITIES: Final[Mapping[type, Sequence[ModuleType]]] = {
    ClaimReader: (claim_owners,),
    AddingStorage: (adding,),
    CombiningStorage: (combining,),
    RestoringStorage: (restoring,),
    EventStorage: EVENTS,
}
"""By capability: the modules of its cases."""


def functions(storage: Storage | None = None) -> Iterator[Function]:
    """Yield the functions of all cases; also those of the capabilities that `storage` has."""
    more = (
        module
        for kind, modules in CAPABILITIES.items()
        if isinstance(storage, kind)
        for module in modules
    )
    for module in (*MODULES, *more):
        for name in module.__all__:
            yield getattr(module, name)


def capability(function: Function) -> str:
    """Return the name of the protocol whose rule a case checks."""
    for kind, modules in CAPABILITIES.items():
        if any(function.__module__ == module.__name__ for module in modules):
            return kind.__name__
    return Storage.__name__


def expand(function: Function) -> Iterator[tuple[str, Callable[[Storage], Awaitable[None]]]]:
    """Yield a case once for each of its values, under the name that pytest would show."""
    name = function.__name__
    if function not in PARAMETERS:
        yield name, function
        return
    argument, values = PARAMETERS[function]
    for special, value in values.items():
        yield f"{name}[{special}]", partial(function, **{argument: value})
