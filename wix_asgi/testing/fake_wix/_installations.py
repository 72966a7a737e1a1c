"""The installations of the app: each has a history that outlasts its tokens."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from wix_asgi.testing.fake_wix.world import World

__all__ = ["Installation", "Installations"]


@dataclass(frozen=True, slots=True)
class Installation:
    """The app on one site; moments are seconds since the epoch.

    Attributes:
        instance_id: The installation; the same after an uninstall and a reinstall.
        is_installed: Whether the app is on the site now.
        was_uninstalled: Whether it was ever removed from the site.
        installed_at: The first install.
        updated_at: The last install or uninstall.
        revision: The number of installs and uninstalls.
    """

    instance_id: str
    is_installed: bool
    was_uninstalled: bool
    installed_at: float
    updated_at: float
    revision: int


class Installations:
    """The installations of a fake Wix; safe to be used from several threads."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        self._by_id: dict[str, Installation] = {}

    @property
    def installed(self) -> frozenset[str]:
        """The instance IDs of the sites that the app is installed on."""
        return frozenset(it.instance_id for it in self.all() if it.is_installed)

    def all(self) -> list[Installation]:
        """Return every installation, ended ones included, in order of first install."""
        with self._lock:
            return list(self._by_id.values())

    def add(self, instance_id: str) -> None:
        """Install the app on this site, unless it is there."""
        self._set(instance_id, is_installed=True)

    def remove(self, instance_id: str) -> None:
        """Uninstall the app from this site."""
        self._set(instance_id, is_installed=False)

    def get(self, instance_id: str) -> Installation | None:
        """Return the installation; None if the app was never on this site."""
        with self._lock:
            return self._by_id.get(instance_id)

    def _set(self, instance_id: str, *, is_installed: bool) -> None:
        now = self._world.clock.now()
        with self._lock:
            before = self._by_id.get(instance_id) or Installation(
                instance_id,
                is_installed=not is_installed,
                was_uninstalled=False,
                installed_at=now,
                updated_at=now,
                revision=0,
            )
            if before.is_installed is is_installed:
                return
            self._by_id[instance_id] = replace(
                before,
                is_installed=is_installed,
                was_uninstalled=before.was_uninstalled or not is_installed,
                updated_at=now,
                revision=before.revision + 1,
            )
