"""Servers that are killed in the middle of an install (R24, R47)."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.killing import MOMENTS, killed

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("held", MOMENTS.values(), ids=MOMENTS)
async def test_no_promise_is_broken(
    store: tuple[str, str], held: str | None, tmp_path: Path
) -> None:
    """The code is not exchanged again, a success is kept, and the site can be installed on."""
    assert [] == await killed(store[1], held, tmp_path)
