"""Storages of another distribution, whose rows stay in this process: `kept://name`.

Without rows, and without `AddingStorage`, there is `forgetful://`; without `EventStorage`, `plain://`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

import pytest

from wix_asgi.storage import ENTRY_POINT_GROUP
from wix_asgi_backends.memory import MemoryStorage

__all__ = ["install_backend", "open_forgetful", "open_kept", "open_plain"]

_STORES: Final[dict[str, MemoryStorage]] = {}


class _Kept(MemoryStorage):
    """A storage that outlives the command that opens and closes it."""

    async def aclose(self) -> None:
        """Keep all rows."""


def open_kept(url: str) -> MemoryStorage:
    """Return the storage of this URL, always the same."""
    return _STORES.setdefault(url, _Kept())


class _Forgetful(_Kept):
    # None stands for a method that is not there, where a Protocol is checked (typing, PEP 544).
    add = None  # type: ignore[assignment]
    restore = None  # type: ignore[assignment] # as `add`


def open_forgetful(_url: str) -> MemoryStorage:
    """Return an empty storage that keeps no more than the first release's fields."""
    return _Forgetful()


class _Plain(MemoryStorage):
    add_event = None  # type: ignore[assignment] # as if it were not there


def open_plain(_url: str) -> MemoryStorage:
    """Return an empty storage that has no inbox."""
    return _Plain()


def install_backend(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Python find the backend as a distribution that was installed."""
    metadata = room / "site" / "kept-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.4\nName: kept\nVersion: 1.0\n")
    opened = {"kept": open_kept, "forgetful": open_forgetful, "plain": open_plain}
    lines = [f"{scheme} = {__name__}:{each.__name__}" for scheme, each in opened.items()]
    text = "\n".join([f"[{ENTRY_POINT_GROUP}]", *lines])
    (metadata / "entry_points.txt").write_text(text)
    monkeypatch.setattr(sys, "path", [*sys.path, str(metadata.parent)])
    importlib.invalidate_caches()
