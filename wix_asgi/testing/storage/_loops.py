"""Event loops of the kind that a backend's tests run on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

__all__ = ["Loop", "run"]

T = TypeVar("T")

Loop = str | tuple[str, dict[str, Any]]
"""What the fixture `anyio_backend` gives: a name, alone or with options."""


def run(function: Callable[[], Awaitable[T]], loop: Loop) -> T:
    """Run a function on a loop of its own."""
    name, options = (loop, {}) if isinstance(loop, str) else loop
    return anyio.run(function, backend=name, backend_options=options)
