"""Keys that are rotated under refreshes, in a small way (R33)."""

from __future__ import annotations

import pytest

from chaos.figures import missed
from chaos.rotating import KINDS, lazily, rotated

pytestmark = [
    pytest.mark.processes,
    pytest.mark.parametrize("store", KINDS, indirect=True),
]


async def test_keys_rotate_under_refreshes(store: tuple[str, str]) -> None:
    """No caller fails, and the new key alone opens good refresh tokens (R33)."""
    kind, url = store
    figures = await rotated(url, kind, processes=2, sites=10, rounds=4)

    assert [] == missed(figures)


async def test_refreshing_rotates_keys(store: tuple[str, str]) -> None:
    """A worker seals refreshed tokens with the new key, and the old key may go (R33)."""
    kind, url = store
    figures = await lazily(url, kind, processes=2, sites=10)

    assert [] == missed(figures)
