"""The events that tell of an installation's beginning and end, in their two kinds.

`AppInstalled` and `AppRemoved` (Wix, "App Instance"), and the domain events of App Installations, a
Developer Preview: there an uninstall and a reinstall are updates, and the end of a site is the
deletion of its installation. For one install both kinds may come.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from wix_asgi.protocol.answers import parse_object, text_of
from wix_asgi.protocol.webhook_event import SignedEvent

__all__ = ["TYPES", "InstallationChange", "InstallationState", "read_change"]

_ENTITY: Final = "wix.app.installations.v1.app_installation"
_CREATED: Final = f"{_ENTITY}_created"
_UPDATED: Final = f"{_ENTITY}_updated"
_DELETED: Final = f"{_ENTITY}_deleted"

TYPES: Final = frozenset({"AppInstalled", "AppRemoved", _CREATED, _UPDATED, _DELETED})

_HOLDERS: Final = {
    _CREATED: ("createdEvent", "entity"),
    _UPDATED: ("updatedEvent", "currentEntity"),
    _DELETED: ("deletedEvent", "deletedEntity"),
}
"""Where the installation stands in the data of a domain event (Wix, "Domain Events")."""


class InstallationState(StrEnum):
    """The state of an installation after an event; its names are those of Wix's `status`."""

    INSTALLED = "INSTALLED"
    UNINSTALLED = "UNINSTALLED"
    UNKNOWN = "UNKNOWN"


_STATES: Final = frozenset({InstallationState.INSTALLED, InstallationState.UNINSTALLED})


@dataclass(frozen=True, slots=True)
class InstallationChange:
    """An event about an installation.

    Attributes:
        app_id: The app that the event names, of any type; None where it names none.
        instance_id: The installation.
        state: Its state after the event; unknown where an update does not tell it.
        origin_instance_id: The installation that it was copied from, or None.
    """

    app_id: object
    instance_id: str
    state: InstallationState
    origin_instance_id: str | None = None


def read_change(event: SignedEvent) -> InstallationChange:
    """Return the change of an installation that an event of `TYPES` tells.

    The installation of a domain event is that of its entity: the second layer names the
    installation to which the event was delivered, and the entity the changed installation. Where
    the event has no entity, or an entity without an instance id (Wix's guide has a `deletedEvent`
    of an id alone), it is the installation of the second layer.
    """
    data = event.data if isinstance(event.data, dict) else {}
    if event.event_type not in _HOLDERS:
        is_installed = event.event_type == "AppInstalled"
        return InstallationChange(
            data.get("appId"),
            event.instance_id,
            InstallationState.INSTALLED if is_installed else InstallationState.UNINSTALLED,
            text_of(data.get("originInstanceId")),
        )
    holder, name = _HOLDERS[event.event_type]
    held = _object(data.get(holder))
    entity = _object(held.get(name)) or _object(held.get(f"{name}AsJson"))
    return InstallationChange(
        entity.get("appId"),
        text_of(entity.get("instanceId")) or event.instance_id,
        _state(event.event_type, entity.get("status")),
    )


def _state(event_type: str, status: object) -> InstallationState:
    if event_type == _DELETED:
        return InstallationState.UNINSTALLED
    if isinstance(status, str) and status in _STATES:
        return InstallationState(status)
    return InstallationState.INSTALLED if event_type == _CREATED else InstallationState.UNKNOWN


def _object(value: object) -> dict[str, Any]:
    """Return an object, or that in a text of JSON; an empty one where there is none."""
    if isinstance(value, str):
        value = parse_object(value.encode(errors="replace"))
    return value if isinstance(value, dict) else {}
