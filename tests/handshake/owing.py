"""The storages that keep the mark of an owed `on_install`, for tests of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.handshake.handshaking import FlakyStorage
from wix_asgi.storage import Storage

__all__ = ["STORAGES", "make_storage"]

STORAGES: Final = ["memory", "sqlite", "postgres"]


def make_storage(request: pytest.FixtureRequest, room: Path) -> str | Storage:
    """Return the storage that `request` names: a URL, or memory that stands for one."""
    if request.param == "memory":
        return FlakyStorage()
    if request.param == "sqlite":
        return f"sqlite:///{room}/wix-asgi.db"
    url: str = request.getfixturevalue("postgres_url")
    return url
