"""How long a test waits before it gives up, in one place for all tests.

A test waits for a condition and goes on as soon as it holds, so a generous limit costs nothing but
where the test fails. A limit that is merely enough fails wherever other programs use the machine,
too. The limits of the product itself are handed in where a test could reach them by being slow:
generous ones where they must not be reached, and small ones where they must.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PATIENCE"]

PATIENCE: Final = 120.0
"""Seconds that a test waits for one condition.

The slowest condition, the start of a server, took 7 s on two cores at a load of 8. The limit is
below `timeout` in pyproject.toml, since a limit of the test tells which condition was not met.
"""
