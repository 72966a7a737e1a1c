"""Marks of pytest on the cases of `storage_check`, which know nothing of pytest."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from wix_asgi.testing.storage_check.cases import PARAMETERS, Function

__all__ = ["mark"]


def mark(cases: Iterable[Function]) -> None:
    """Have pytest run the cases on an event loop, each with all of its values."""
    for case in cases:
        pytest.mark.anyio(case)
        if case in PARAMETERS:
            argument, values = PARAMETERS[case]
            given = [pytest.param(value, id=name) for name, value in values.items()]
            pytest.mark.parametrize(argument, given)(case)
