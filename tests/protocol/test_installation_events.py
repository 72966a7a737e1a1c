"""Events of installations in their kinds and forms, and what they tell."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support import SITE
from wix_asgi.protocol.installation_events import (
    TYPES,
    InstallationChange,
    InstallationState,
    read_change,
)
from wix_asgi.protocol.webhook_event import SignedEvent

ENTITY = "wix.app.installations.v1.app_installation"
OTHER = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"
INSTALLED, UNINSTALLED, UNKNOWN = InstallationState
OURS = {"appId": "ours", "instanceId": OTHER, "status": "INSTALLED"}
ENDED = {**OURS, "status": "UNINSTALLED"}


def change_of(event_type: str, data: Any) -> InstallationChange:
    """Return what an event tells whose second layer names the first site."""
    issued_at = datetime(2026, 11, 1, tzinfo=UTC)
    return read_change(
        SignedEvent(
            event_type=event_type, instance_id=SITE, data=data, issued_at=issued_at, text=""
        )
    )


@pytest.mark.parametrize(
    ("event_type", "data", "expected"),
    [
        ("AppInstalled", {"appId": "ours"}, InstallationChange("ours", SITE, INSTALLED)),
        (
            "AppInstalled",
            {"appId": "ours", "originInstanceId": OTHER},
            InstallationChange("ours", SITE, INSTALLED, OTHER),
        ),
        (
            "AppInstalled",
            {"appId": "ours", "originInstanceId": ""},
            InstallationChange("ours", SITE, INSTALLED),
        ),
        ("AppInstalled", "no JSON", InstallationChange(None, SITE, INSTALLED)),
        ("AppRemoved", {"appId": 7}, InstallationChange(7, SITE, UNINSTALLED)),
        ("AppRemoved", None, InstallationChange(None, SITE, UNINSTALLED)),
    ],
    ids=["installed", "copied", "not_copied", "text", "other_type", "empty"],
)
def test_events_of_app_instance(event_type: str, data: Any, expected: InstallationChange) -> None:
    """The second layer names the installation, and the data the app and the origin of a copy."""
    assert expected == change_of(event_type, data)


@pytest.mark.parametrize("form", ["object", "text", "as_json", "as_json_object", "held_in_text"])
@pytest.mark.parametrize(
    ("slug", "holder", "name", "entity", "state"),
    [
        ("created", "createdEvent", "entity", OURS, INSTALLED),
        ("updated", "updatedEvent", "currentEntity", OURS, INSTALLED),
        ("updated", "updatedEvent", "currentEntity", ENDED, UNINSTALLED),
        ("deleted", "deletedEvent", "deletedEntity", OURS, UNINSTALLED),
    ],
)
def test_domain_events(
    *, form: str, slug: str, holder: str, name: str, entity: Any, state: InstallationState
) -> None:
    """The entity names app, installation and status, in each of the forms that Wix documents."""
    held: Any = {
        "object": {name: entity},
        "text": {name: json.dumps(entity)},
        "as_json": {f"{name}AsJson": json.dumps(entity)},
        "as_json_object": {f"{name}AsJson": entity},
        "held_in_text": json.dumps({name: entity}),
    }[form]
    data = {"slug": "nonsense", "entityId": "other", holder: held}

    assert InstallationChange("ours", OTHER, state) == change_of(f"{ENTITY}_{slug}", data)


@pytest.mark.parametrize("held", [{}, None, "an id", [], {"entity": "an id"}, "\ud800"])
@pytest.mark.parametrize(
    ("slug", "state"), [("created", INSTALLED), ("updated", UNKNOWN), ("deleted", UNINSTALLED)]
)
def test_domain_events_without_an_entity(held: Any, slug: str, state: InstallationState) -> None:
    """The second layer names the installation; an update may be anything."""
    data = {f"{slug}Event": held, "entityId": "other"}

    assert InstallationChange(None, SITE, state) == change_of(f"{ENTITY}_{slug}", data)


@pytest.mark.parametrize("status", [None, [], "PENDING", 1, "UNKNOWN"])
def test_updates_without_a_known_status(status: Any) -> None:
    """They may be anything."""
    data = {"updatedEvent": {"currentEntity": {**OURS, "status": status}}}

    assert InstallationChange("ours", OTHER, UNKNOWN) == change_of(f"{ENTITY}_updated", data)


def test_types() -> None:
    """These are the events that change an installation."""
    assert {
        "AppInstalled",
        "AppRemoved",
        f"{ENTITY}_created",
        f"{ENTITY}_updated",
        f"{ENTITY}_deleted",
    } == TYPES
