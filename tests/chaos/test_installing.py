"""Installs while connections fail (R24, R25, R26, R47)."""

from __future__ import annotations

from chaos.installing import cases, moments_of, night
from tests.limits import PATIENCE


async def test_no_promise_is_broken(store: tuple[str, str]) -> None:
    """Every fault, once and lasting: nothing is exchanged twice, lost, logged or left hanging."""
    kind, url = store
    every = cases(moments_of(kind), seed=1)
    async with night(url, len(every), patience=PATIENCE, tries_for=PATIENCE) as tonight:
        assert [] == await tonight.broken(every)
