"""The columns that are not sealed, by another hand: one row ends neither a scan nor a refresh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.engine import ManualClock
from tests.support import StepByStep
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.models import AccessToken, Grant, Record
from wix_asgi.operations.copy_installations import copy_installations
from wix_asgi.operations.rotate_keys import rotate_keys
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import Storage
from wix_asgi_backends.memory import MemoryStorage

APP = "test-app"
SITES = ["site-1", "site-2", "site-3"]
OLD, NEW = b"o" * 32, b"n" * 32
EPOCH = datetime.fromtimestamp(0, UTC)


class Tampered(StepByStep):
    """Shows one site's record with other values than it was written with."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self._fields = fields

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        """Return the record, tampered with."""
        record = await super().get(app_id, instance_id)
        return record and self._show(record)

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        """Return a page, in which one record is tampered with."""
        return [self._show(r) for r in await super().scan(app_id, after=after, limit=limit)]

    def _show(self, record: Record) -> Record:
        return replace(record, **self._fields) if record.instance_id == "site-2" else record


def rows(
    storage: Storage, *keys: bytes, clock: ManualClock | None = None
) -> InstallationRepository:
    """Return the installations in `storage`."""
    return InstallationRepository(APP, storage, Vault(keys or [OLD]), clock=clock or ManualClock())


async def install(storage: Storage) -> None:
    """Install all sites, with tokens for 300 seconds, and a failed refresh."""
    clock = ManualClock()
    installations = rows(storage, clock=clock)
    for site in SITES:
        token = AccessToken("test-access-token", 300.0, clock() + 300.0)
        await installations.put(site, Grant(token, "test-refresh-token"))
        stored = await installations.require(site)
        await installations.note_failure(stored, RefreshFailure.REFUSED, 45.0)


FIELDS: dict[str, dict[str, Any]] = {
    "retry far ahead": {"retry_in": 1e15},
    "retry never": {"retry_in": math.inf},
    "retry at no number": {"retry_in": math.nan},
    "retry long ago": {"retry_in": -1e300},
    "end far ahead": {"expires_in": 1e300},
    "end long ago": {"expires_in": -math.inf},
    "end at no number": {"expires_in": math.nan},
    "lifetime without end": {"lifetime": math.inf, "expires_in": math.inf},
    "lifetime below nothing": {"lifetime": -5.0},
    "lifetime that is no number": {"lifetime": math.nan},
    "grant of no type": {"grant_type": 5},
    "origin that is no text": {"origin_instance_id": 5},
    "origin without end": {"origin_instance_id": "a" * 10**6},
    "origin in two lines": {"origin_instance_id": "a\nb"},
    "owed to some degree": {"owes_on_install": "x"},
    "installed at no time": {"installed_at": None},
    "installed before 1970": {"installed_at": datetime(1, 1, 1, tzinfo=UTC)},
    "installed at the end of time": {"installed_at": datetime.max.replace(tzinfo=UTC)},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
async def test_one_row_ends_nothing(fields: dict[str, Any]) -> None:
    """All sites are listed, their keys rotated, and their rows copied, past the senseless row."""
    storage, target = Tampered(**fields), MemoryStorage()
    await install(storage)
    listed = [installation.instance_id async for installation in rows(storage).all()]
    rotated = await rotate_keys(APP, storage, Vault([NEW, OLD]))
    copied = await copy_installations(APP, storage, target)

    assert SITES == listed
    assert 3 == rotated.resealed
    assert copied.is_complete
    assert SITES == [record.instance_id for record in await target.scan(APP)]


@pytest.mark.parametrize("retry_in", [60.5, 1e9, math.inf, math.nan])
async def test_a_verdict_from_far_ahead_does_not_stand(retry_in: float) -> None:
    """A refresh that is put off for longer than any refresh ever is may be tried at once."""
    storage = Tampered(retry_in=retry_in)
    await install(storage)
    stored = await rows(storage).require("site-2")

    assert RefreshFailure.REFUSED == stored.failure
    assert stored.standing_verdict() is None


@pytest.mark.parametrize("retry_in", [0.1, 45.0, 60.0])
async def test_a_verdict_that_we_write_stands(retry_in: float) -> None:
    """The pauses that refreshes write, of up to 60 seconds, hold for their time."""
    storage = Tampered(retry_in=retry_in)
    await install(storage)
    stored = await rows(storage).require("site-2")

    assert retry_in == stored.retry_in
    assert stored.standing_verdict() is not None


@pytest.mark.parametrize(
    ("lifetime", "expires_in", "left"),
    [
        (300.0, 299.0, 299.0),
        (300.0, 301.0, 300.0),
        (300.0, 1e12, 300.0),
        (14_400.0, 1e12, 14_400.0),
        (1e12, 1e12, 86_400.0),
        (-1.0, 300.0, 0.0),
        (math.nan, math.nan, -1e9),
        (300.0, -10.0, -10.0),
    ],
)
async def test_a_token_lives_no_longer_than_granted(
    lifetime: float, expires_in: float, left: float
) -> None:
    """A token is believed for its lifetime at most, and for a day at most."""
    storage, clock = Tampered(lifetime=lifetime, expires_in=expires_in), ManualClock()
    await install(storage)
    stored = await rows(storage, clock=clock).require("site-2")

    assert left == stored.seconds_left(clock())


async def test_an_unknown_time_of_installation() -> None:
    """An installation whose row tells no time counts as installed in 1970."""
    storage = Tampered(installed_at=datetime(1969, 1, 1, tzinfo=UTC))
    await install(storage)
    times = [installation.installed_at async for installation in rows(storage).all()]

    assert EPOCH == times[1]
    assert EPOCH not in {times[0], times[2]}


async def test_an_id_with_a_lone_surrogate_is_rotated() -> None:
    """An id that UTF-8 does not have ends no rotation of keys."""
    storage = MemoryStorage()
    token = AccessToken("test-access-token", 300.0, 300.0)
    await rows(storage).put("\ud800", Grant(token, "test-refresh-token"))
    await install(storage)

    assert 4 == (await rotate_keys(APP, storage, Vault([NEW, OLD]))).resealed
