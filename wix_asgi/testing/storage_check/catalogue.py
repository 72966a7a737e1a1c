"""The list of all cases that are safe on a store in use, for pytest and for `check`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

from wix_asgi.storage import AddingStorage, ClaimReader, Storage
from wix_asgi.testing.storage_check import (
    adding,
    claim_owners,
    claims,
    keys,
    removals,
    round_trips,
    scanning,
    versions,
)
from wix_asgi.testing.storage_check.cases import PARAMETERS, Function

__all__ = ["MODULES", "expand", "functions"]

MODULES: Final = (round_trips, keys, versions, removals, claims, scanning)
"""The modules of the cases, in the order of running."""


def functions(storage: Storage | None = None) -> Iterator[Function]:
    """Yield the functions of all cases; also those of the capabilities that `storage` has."""
    capabilities = {claim_owners: ClaimReader, adding: AddingStorage}
    more = (cases for cases, kind in capabilities.items() if isinstance(storage, kind))
    for module in (*MODULES, *more):
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
