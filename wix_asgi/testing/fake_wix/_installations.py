"""The installations of the app: each has a history that outlasts its tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from wix_asgi.testing.fake_wix.world import World

__all__ = ["Installation", "Installations", "Watch"]


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
        is_deleted: Whether its site is gone.
    """

    instance_id: str
    is_installed: bool
    was_uninstalled: bool
    installed_at: float
    updated_at: float
    revision: int
    is_deleted: bool = False


Watch: TypeAlias = Callable[[Installation | None, Installation], None]
"""Is told of an installation before and after a change; None before its first."""


class Installations:
    """The installations of a fake Wix; safe to be used from several threads."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        self._by_id: dict[str, Installation] = {}
        self._watch: Watch | None = None

    def watch(self, watch: Watch) -> None:
        """Tell of each change from now on."""
        self._watch = watch

    @property
    def installed(self) -> frozenset[str]:
        """The instance IDs of the sites that the app is installed on."""
        return frozenset(it.instance_id for it in self.all() if it.is_installed)

    def all(self) -> list[Installation]:
        """Return every installation, ended ones included, in order of first install."""
        with self._lock:
            return list(self._by_id.values())

    def add(self, instance_id: str, *, is_told: bool = True) -> None:
        """Install the app on this site, unless it is there.

        It is no news (`is_told`) where an earlier fake Wix has installed it.
        """
        self._set(instance_id, is_installed=True, is_told=is_told)

    def remove(self, instance_id: str) -> None:
        """Uninstall the app from this site."""
        self._set(instance_id, is_installed=False, is_told=True)

    def forget(self, instance_id: str) -> None:
        """End the installation with its history, as the end of its site does."""
        with self._lock:
            before = self._by_id.pop(instance_id, None)
        if before is not None and self._watch is not None:
            self._watch(before, replace(before, is_installed=False, is_deleted=True))

    def shown(self, instance_id: str) -> Installation:
        """Return the installation, or a new one if the app was never on this site."""
        now = self._world.clock.now()
        return self.get(instance_id) or Installation(
            instance_id,
            is_installed=True,
            was_uninstalled=False,
            installed_at=now,
            updated_at=now,
            revision=1,
        )

    def get(self, instance_id: str) -> Installation | None:
        """Return the installation; None if the app was never on this site."""
        with self._lock:
            return self._by_id.get(instance_id)

    def _set(self, instance_id: str, *, is_installed: bool, is_told: bool) -> None:
        now = self._world.clock.now()
        with self._lock:
            known = self._by_id.get(instance_id)
            before = known or Installation(
                instance_id,
                is_installed=not is_installed,
                was_uninstalled=False,
                installed_at=now,
                updated_at=now,
                revision=0,
            )
            if before.is_installed is is_installed:
                return
            after = self._by_id[instance_id] = replace(
                before,
                is_installed=is_installed,
                was_uninstalled=before.was_uninstalled or not is_installed,
                updated_at=now,
                revision=before.revision + 1,
            )
        if is_told and self._watch is not None:
            self._watch(known, after)
