"""Records for tests of a storage, and what to look at in those that are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from wix_asgi.models import Record
from wix_asgi.storage import Storage

__all__ = ["APP", "SITE", "installed_at", "put_all", "read", "record", "timeless"]

APP: Final = "5c1d2f0a-test-application"
SITE: Final = "1f0c7a52-test-site"


def record(
    instance_id: str = SITE, version: str = "version-1", *, app_id: str = APP, **fields: Any
) -> Record:
    """Return a record that has an access token for 300 seconds, or what `fields` say."""
    values: dict[str, Any] = {
        "refresh_token": b"sealed refresh token",
        "access_token": b"sealed access token",
        "lifetime": 300.0,
        "expires_in": 300.0,
    }
    return Record(app_id=app_id, instance_id=instance_id, version=version, **(values | fields))


def timeless(stored: Record | None) -> Record | None:
    """Return a record without what changes as time goes by."""
    return stored and replace(stored, expires_in=0, retry_in=0, installed_at=None)


async def read(storage: Storage, instance_id: str = SITE, *, app_id: str = APP) -> Record:
    """Return a record that is there."""
    stored = await storage.get(app_id, instance_id)
    assert stored is not None
    return stored


async def installed_at(storage: Storage, instance_id: str = SITE) -> datetime:
    """Return when the site was installed by the store's clock."""
    moment = (await read(storage, instance_id)).installed_at
    assert moment is not None
    return moment


async def put_all(storage: Storage, *instance_ids: str) -> None:
    """Write a record for each of the ids, one after the other."""
    for instance_id in instance_ids:
        await storage.put(record(instance_id))
