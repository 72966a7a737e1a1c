"""The steps of an install whose code is spent: repeated while Wix or the storage is failing."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from wix_asgi.errors import (
    HandshakeRefused,
    Reason,
    StorageUnavailable,
    WixError,
    WixUnavailable,
)
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.reporting.line_limit import LineLimit

__all__ = ["Retrying"]

T = TypeVar("T")

logger = logging.getLogger("wix_asgi")


class Retrying:
    """Repeats steps for hours, with pauses that grow; shared by all callbacks.

    The code of the install is spent, and Wix shows the app as installed: to drop its grant would
    cost the site owner a reinstall. Only a killed process drops it.
    """

    def __init__(
        self,
        policy: CallbackPolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Keep on within `policy`; `clock` gives monotonic seconds, `jitter` 0 to 1."""
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._lines = LineLimit(policy.line_interval, clock=clock)

    async def run(self, attempt: Callable[[], Awaitable[T]], site: str, done: str) -> T:
        """Return the result of `attempt`; the log says that the install on `site` is not `done`.

        Raises:
            HandshakeRefused: It has failed for hours.
            Exception: Another error of `attempt` than that Wix or the storage is failing.
        """
        deadline = self._clock() + self._policy.keep_for
        pause = self._policy.retry_pause
        try:
            while True:
                try:
                    return await attempt()
                except (StorageUnavailable, WixUnavailable) as exc:
                    if self._clock() >= deadline:
                        # Not the error itself: it may promise a code which is still good.
                        raise HandshakeRefused(
                            Reason.INTERNAL, f"the installation was not {done} for hours"
                        ) from exc
                    self.log(site, done, exc)
                await self._sleep(pause * (0.5 + self._jitter()))
                pause = min(2 * pause, self._policy.max_retry_pause)
        except anyio.get_cancelled_exc_class():
            self._log_loss(site, done)
            raise

    def log(self, site: str, done: str, exc: WixError) -> None:
        """Log that the install on `site` is not `done` yet, because of `exc`."""
        left_out = self._lines.admit((site, done))
        if left_out is not None:
            logger.error(
                "the install on site %s is not %s yet, and is in memory only (%d failed tries): %s",
                site,
                done,
                left_out + 1,
                exc,
                extra={"instance_id": site},
            )

    def _log_loss(self, site: str, done: str) -> None:
        logger.error(
            "the process ends before the install on site %s is %s: its owner has to install the "
            "app again",
            site,
            done,
            extra={"instance_id": site},
        )
