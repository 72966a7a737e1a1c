"""The end of an installation: its row is removed, and the app is told once over all processes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from wix_asgi.concurrency.detached import DetachedTasks, Interrupted
from wix_asgi.errors import WixUnavailable
from wix_asgi.hooks import Hooks
from wix_asgi.installations._bounds import believed
from wix_asgi.installations.repository import installation_of
from wix_asgi.storage import Storage

__all__ = ["Removal", "end_of_generation"]

logger = logging.getLogger("wix_asgi")

_TICK: Final = timedelta(milliseconds=1)
"""The resolution of the times of installations in SQLite and Postgres (`wix_asgi_backends`)."""

_LAST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
"""A later time of a store, to which no tick can be added in every time zone, counts as this one."""


class Removal:
    """Removes installations of one app; shared by all parts that learn of an end."""

    def __init__(
        self,
        app_id: str,
        storage: Storage,
        hooks: Hooks,
        *,
        detached: DetachedTasks,
        forget: Callable[[str], object],
    ) -> None:
        """Remove from `storage`; `forget` drops the cached token of an instance id."""
        self._app_id = app_id
        self._storage = storage
        self._hooks = hooks
        self._detached = detached
        self._forget = forget

    async def remove(self, instance_id: str, *, installed_before: datetime | None = None) -> bool:
        """Remove the installation that is there now, and call the `on_uninstall` hooks for it.

        A caller that is cancelled cuts off neither. No token is unsealed: a row with tokens of a
        lost key is removed as well. The claims of the site in storage expire by themselves.

        Returns:
            Whether this call removed it; of many callers one gets True. A reinstall wins: an
            installation that was made at or after `installed_before`, or since this call has read
            the row, stays.

        Raises:
            StorageUnavailable: The storage cannot be reached; whether it was removed is not known.
            WixUnavailable: The process is shutting down.
        """
        task = self._detached.start(lambda: self._remove(instance_id, installed_before))
        try:
            return await task.result()
        except Interrupted:
            raise WixUnavailable("The process is shutting down.") from None

    async def _remove(self, instance_id: str, installed_before: datetime | None) -> bool:
        try:
            record = await self._storage.get(self._app_id, instance_id)
            if record is None:
                return False
            installation = installation_of(believed(record))
            if record.installed_at is not None:
                end = end_of_generation(record.installed_at)
                installed_before = min(installed_before or end, end)
            is_removed = await self._storage.delete(
                self._app_id, instance_id, installed_before=installed_before
            )
        finally:
            # Also where it was not removed: a reinstall brought another token, which its row has.
            self._forget(instance_id)
        if is_removed:
            logger.info("removed from site %s", instance_id, extra={"instance_id": instance_id})
            await self._hooks.uninstalled(installation)
        return is_removed


def end_of_generation(installed_at: datetime) -> datetime:
    """Return the time before which an installation of `installed_at` was made, and no later one."""
    return min(installed_at, _LAST) + _TICK
