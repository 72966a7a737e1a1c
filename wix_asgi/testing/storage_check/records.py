"""Records for the tests of a storage, and functions that read them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from wix_asgi.models import Record
from wix_asgi.storage import Storage

__all__ = [
    "APP",
    "CALLERS",
    "SITE",
    "full_record",
    "installed_at",
    "put_all",
    "read",
    "record",
    "timeless",
]

APP: Final = "5c1d2f0a-test-application"
SITE: Final = "1f0c7a52-test-site"
CALLERS: Final = [f"caller-{number}" for number in range(20)]
"""Callers that want the same at one time: enough for every pair of steps to interleave."""


def record(
    instance_id: str = SITE, version: str = "version-1", *, app_id: str = APP, **fields: Any
) -> Record:
    """Return a record with an access token for 300 seconds; `fields` replace its fields."""
    values: dict[str, Any] = {
        "refresh_token": b"sealed refresh token",
        "access_token": b"sealed access token",
        "lifetime": 300.0,
        "expires_in": 300.0,
    }
    return Record(app_id=app_id, instance_id=instance_id, version=version, **(values | fields))


def full_record(**fields: Any) -> Record:
    """Return a record that has a value in every field but its date."""
    return record(
        failure="refused",
        retry_in=30.0,
        grant_type="client_credentials",
        origin_instance_id="the copied site",
        owes_on_install=True,
        **fields,
    )


def timeless(stored: Record | None) -> Record | None:
    """Return a record without the fields that depend on the time of reading."""
    return stored and replace(stored, expires_in=0, retry_in=0, installed_at=None)


async def read(storage: Storage, instance_id: str = SITE, *, app_id: str = APP) -> Record:
    """Return the record of a site, which must exist."""
    stored = await storage.get(app_id, instance_id)
    assert stored is not None
    return stored


async def installed_at(storage: Storage, instance_id: str = SITE) -> datetime:
    """Return the moment of the installation by the store's clock."""
    moment = (await read(storage, instance_id)).installed_at
    assert moment is not None
    return moment


async def put_all(storage: Storage, *instance_ids: str) -> None:
    """Write a record for each of the ids, in their order."""
    for instance_id in instance_ids:
        await storage.put(record(instance_id))
