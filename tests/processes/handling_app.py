"""The app of `handling` as an object, for servers that take no factory."""

from __future__ import annotations

from tests.processes.handling import make_app

__all__ = ["app"]

app = make_app()
