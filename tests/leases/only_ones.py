"""Workers that do work by turns, by the clock of their event loop."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.leases.only_one import OnlyOne, OnlyOnePolicy
from wix_asgi.storage import Storage

__all__ = ["QUICK", "make_worker"]

QUICK = OnlyOnePolicy(poll_pause=0.01)
"""Workers that soon see the end of another one's work."""


def make_worker(
    storage: Storage, app_id: str = "app", *, policy: OnlyOnePolicy | None = None
) -> OnlyOne:
    """Return a worker of the app."""
    return OnlyOne(
        storage, app_id, DetachedTasks(), ready=checkpoint, policy=policy, clock=anyio.current_time
    )
