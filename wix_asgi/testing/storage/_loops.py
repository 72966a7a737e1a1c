"""Runs functions on event loops of the kind that the fixture `anyio_backend` names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

__all__ = ["Loop", "run"]

T = TypeVar("T")

Loop = str | tuple[str, dict[str, Any]]
"""A value of the fixture `anyio_backend`: a name, alone or with options."""


def run(function: Callable[[], Awaitable[T]], loop: Loop) -> T:
    """Run a function on a new event loop."""
    name, options = (loop, {}) if isinstance(loop, str) else loop
    return anyio.run(function, backend=name, backend_options=options)
