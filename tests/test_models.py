"""The values: frozen, and without secrets in their repr."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from wix_asgi import models
from wix_asgi.models import (
    AccessToken,
    EventCounts,
    EventRecord,
    Finding,
    FindingLevel,
    Grant,
    Identity,
    Installation,
    Record,
)

CANARY = "test-canary-token-value"
VALUES: list[Any] = [
    Record(
        app_id="app-1",
        instance_id="site-1",
        version="v1",
        refresh_token=CANARY.encode(),
        access_token=CANARY.encode(),
    ),
    AccessToken(value=CANARY, lifetime=300.0, expires_at=1000.0),
    Grant(AccessToken(value=CANARY, lifetime=300.0, expires_at=1000.0), CANARY),
    Installation(app_id="app-1", instance_id="site-1", installed_at=datetime.now(UTC)),
    Identity("site-1", {"uid": CANARY}),
    Finding(FindingLevel.OK, "storage", "It can be opened."),
    EventRecord(
        app_id="app-1",
        event_id="event-1",
        event_type="AppInstalled",
        instance_id="site-1",
        payload=CANARY.encode(),
        issued_at=datetime.now(UTC),
    ),
    EventCounts(),
]
ENUMERATIONS = {"EventState", "FindingLevel", "GrantType", "InstallFlow"}


def named(value: object) -> str:
    """Return the name of a value's class, for the names of tests."""
    return type(value).__name__


@pytest.mark.parametrize("value", VALUES, ids=named)
def test_repr_shows_no_secret(value: object) -> None:
    """No token, sealed or not, and no claim is in a repr (R35)."""
    assert CANARY not in repr(value)
    assert CANARY not in f"{value}"


@pytest.mark.parametrize("value", VALUES, ids=named)
def test_value_is_frozen(value: Any) -> None:
    """A value cannot be changed, nor get more attributes."""
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")

    assert not hasattr(value, "__dict__")


def test_all_is_sorted_and_complete() -> None:
    """`__all__` names every value and enumeration, in order."""
    assert sorted(ENUMERATIONS.union(map(named, VALUES))) == models.__all__


def test_record_without_a_token() -> None:
    """A record of an installation that was never granted an access token has none left."""
    record = Record(app_id="a", instance_id="i", version="v", refresh_token=b"sealed")

    assert (None, 0.0, 0.0) == (record.access_token, record.lifetime, record.expires_in)
    assert (None, 0.0, None) == (record.failure, record.retry_in, record.installed_at)


CALLERS = [
    ({}, None, False),
    ({"uid": "user-1"}, "user-1", False),
    ({"uid": "user-1", "permissions": "OWNER"}, "user-1", True),
    ({"uid": None, "permissions": None}, None, False),
    ({"uid": 7, "permissions": ["OWNER"]}, None, False),
    ({"permissions": "owner"}, None, False),
    ({"permissions": "OWNERS"}, None, False),
]


@pytest.mark.parametrize(("claims", "user_id", "is_owner"), CALLERS)
def test_identity_reads_claims_strictly(
    claims: dict[str, Any], user_id: str | None, is_owner: bool
) -> None:
    """A user ID must be a text, an owner's permissions exactly `OWNER`; else there is none."""
    identity = Identity("site-1", claims)

    assert user_id == identity.user_id
    assert is_owner is identity.is_owner


def test_identity_without_claims() -> None:
    """An identity needs no claims: by default it has none."""
    assert Identity("site-1", {}) == Identity("site-1")
