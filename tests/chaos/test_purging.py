"""Claims that ran out are purged while others claim, in a small way."""

from __future__ import annotations

import pytest

from chaos.figures import missed
from chaos.purging import KINDS, purged


@pytest.mark.processes
@pytest.mark.parametrize("store", KINDS, indirect=True)
@pytest.mark.parametrize("processes", [1, 2])
async def test_purged_beside_claims(store: tuple[str, str], processes: int) -> None:
    """All expired claims go in the end; the living stay, and none is refused meanwhile (R56)."""
    kind, url = store
    figures = await purged(url, kind, expired=3000, living=20, processes=processes)

    assert [] == missed(figures)
