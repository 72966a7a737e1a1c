"""Refreshes and installs while strangers load the callback, in a small way (R49)."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.anonymous import LOADS, crowded, flooded
from chaos.anonymous_load import Response
from chaos.figures import missed

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("kind", LOADS)
async def test_strangers_cost_no_install(store: tuple[str, str], kind: str) -> None:
    """Every refresh succeeds, and every install does so or may be loaded again (R49)."""
    name, url = store
    figures = await flooded(url, name, kind, rate=30, seconds=1.5)

    assert [] == missed(figures)


async def test_made_up_codes_refuse_no_install(tmp_path: Path) -> None:
    """Every install from another address succeeds beside the codes that strangers make up (R49)."""
    figures = await crowded(
        f"sqlite:///{tmp_path}/wix.db", "sqlite", apart=True, rate=20, seconds=2
    )

    assert [] == missed(figures)


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (b"", None),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n", None),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nx", None),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nxy", 403),
        (b"HTTP/1.1 303 See Other\r\n\r\n", 303),
    ],
)
def test_a_response_counts_once_it_is_whole(received: bytes, status: int | None) -> None:
    """A response is counted when its last byte has come."""
    assert status == Response(received).status
