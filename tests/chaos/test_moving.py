"""Installations that are moved to client credentials under refreshes, in a small way."""

from __future__ import annotations

import pytest

from chaos.figures import missed
from chaos.moving import KINDS, moved

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("store", KINDS, indirect=True)
async def test_sites_move_under_refreshes(store: tuple[str, str]) -> None:
    """No call fails while a killed run and a second one move all sites, and while they go back."""
    kind, url = store
    figures = await moved(url, kind, processes=2, sites=24)

    assert [] == missed(figures)
