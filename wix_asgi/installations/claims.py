"""The names under which an app's installations are claimed in storage, each in one place."""

from __future__ import annotations

__all__ = [
    "on_install_lease",
    "on_uninstall_debt",
    "refresh_lease",
    "removal_lease",
    "rotation_mark",
]


def on_install_lease(app_id: str, instance_id: str) -> str:
    """Return the name that a process holds while it tells `on_install` of this installation."""
    return f"on_install:{app_id}:{instance_id}"


def removal_lease(app_id: str, instance_id: str) -> str:
    """Return the name that a process holds while it removes this installation, and tells of it."""
    return f"removal:{app_id}:{instance_id}"


def on_uninstall_debt(app_id: str, instance_id: str) -> str:
    """Return the name whose owner is the removed installation that `on_uninstall` is owed for."""
    return f"on_uninstall:{app_id}:{instance_id}"


def refresh_lease(app_id: str, instance_id: str) -> str:
    """Return the name that a process holds while it refreshes this installation."""
    return f"refresh:{app_id}:{instance_id}"


def rotation_mark(app_id: str) -> str:
    """Return the name that is held where Wix was seen to rotate this app's refresh tokens."""
    return f"rotates:{app_id}"
