"""The slots at Wix: how many callbacks of a process may ask Wix at one time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from starlette.types import Scope

from wix_asgi.asgi.client_network import client_network
from wix_asgi.concurrency.fair_slots import FairSlots
from wix_asgi.errors import WixUnavailable

__all__ = ["WixSlots"]

_MAX_WAIT: Final = 0.75
"""Seconds that a callback waits for its turn at Wix.

Enough for a rush: fifty slots serve over a hundred installs in it, where Wix takes 0.3 s for each
question. And short, so that a browser that has to come again is told within a second.
"""

_MAX_QUEUE: Final = 200
"""Callbacks of a process that wait for their turn, each with its request in memory.

Fifty slots serve 190 in 0.75 s where Wix takes 0.2 s; a longer queue would wait in vain.
"""


class WixSlots:
    """A number of slots for a whole process; shared by all callbacks and event loops.

    Not `concurrency.slots`, which bounds each event loop by itself: anybody's made-up codes reach
    Wix from all loops of a process, and it is the process that Wix sees.
    """

    def __init__(self, count: int, *, max_wait: float = _MAX_WAIT) -> None:
        """Offer `count` slots; a further callback waits for its turn, up to `max_wait` seconds."""
        self._slots = FairSlots(count, max_queue=_MAX_QUEUE, max_wait=max_wait)

    @contextlib.asynccontextmanager
    async def slot(self, scope: Scope) -> AsyncIterator[None]:
        """Hold a slot while Wix is asked; the queue for it goes round over the clients' networks.

        Raises:
            WixUnavailable: The queue was too long. Nothing is spent (`unsent`).
        """
        if not await self._slots.acquire(client_network(scope)):
            raise WixUnavailable("too many installs are at Wix already", unsent=True)
        try:
            yield
        finally:
            self._slots.release()
