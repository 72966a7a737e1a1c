"""Records and keys for the tests of rotating and copying."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import AsyncIterator
from typing import Any

from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import AccessToken, Grant, Record
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import Storage

APP = "test-app"
SITE = "test-site"
OLD = bytes(range(32))
NEW = bytes(range(32, 64))
LOST = bytes(range(64, 96))


def token(value: str) -> AccessToken:
    """Return an access token that is expired: its seconds do not matter."""
    return AccessToken(value, 300.0, 0.0)


def installations(storage: Storage, *keys: bytes) -> InstallationRepository:
    """Return the installations in `storage`, sealed with the first of `keys`."""
    return InstallationRepository(APP, storage, Vault(keys))


async def install(storage: Storage, *sites: str, key: bytes = OLD) -> None:
    """Store installations whose tokens have the site's id in them."""
    for site in sites:
        grant = Grant(token(f"access-{site}"), f"refresh-{site}")
        await installations(storage, key).put(site, grant)


async def read(storage: Storage, site: str, *keys: bytes) -> StoredInstallation:
    """Return the stored installation of a site, unsealed with `keys`."""
    stored = await installations(storage, *keys).get(site)
    assert stored is not None
    return stored


async def refresh_token(storage: Storage, site: str, *keys: bytes) -> str:
    """Return the refresh token of a site, opened with `keys`."""
    return (await read(storage, site, *keys)).refresh_token


async def record_of(storage: Storage, site: str = SITE) -> Record:
    """Return the record of a site."""
    record = await storage.get(APP, site)
    assert record is not None
    return record


def record(site: str = SITE, **fields: Any) -> Record:
    """Return a record with random contents; `fields` replace its fields."""
    values: dict[str, Any] = {
        "version": secrets.token_hex(8),
        "refresh_token": secrets.token_bytes(40),
        "access_token": secrets.token_bytes(40),
        "lifetime": 300.0,
        "expires_in": 200.0,
    }
    return Record(app_id=APP, instance_id=site, **{**values, **fields})


async def rewrite(storage: Storage, site: str = SITE) -> Record:
    """Do as an app does that refreshes: write new contents by comparison; return them."""
    while True:
        new = record(site)
        if await storage.replace(new, expected=(await record_of(storage, site)).version):
            return new


async def all_of(storage: Storage) -> AsyncIterator[Record]:
    """Yield every record of the app."""
    after = ""
    while page := await storage.scan(APP, after=after):
        for found in page:
            yield found
        after = page[-1].instance_id


async def contents(storage: Storage) -> list[Record]:
    """Return every record without its times, and without the mark of a copy."""
    return [
        dataclasses.replace(
            found,
            version=found.version.removeprefix("copied:"),
            expires_in=0.0,
            retry_in=0.0,
            installed_at=None,
        )
        async for found in all_of(storage)
    ]
