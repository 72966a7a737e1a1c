"""Sealing everything that is stored anew, with the newest key, so that older keys may go."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wix_asgi.errors import UnknownKey, UnsealError
from wix_asgi.installations.scan import DatedRecord, RecordScan
from wix_asgi.models import Record
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import Storage

__all__ = ["Rotation", "rotate_keys"]


@dataclass(slots=True)
class Rotation:
    """How far a rotation is: each installation is counted once, as what it was found to be.

    Attributes:
        resealed: Sealed with another key of the ring, and now with the newest.
        current: Sealed with the newest key already.
        unknown: How many are sealed with a key that is not in the ring, by that key's id.
        damaged: How many cannot be opened although their key is in the ring.
    """

    resealed: int = 0
    current: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    damaged: int = 0

    @property
    def unreadable(self) -> int:
        """How many could not be read; their rows are as they were."""
        return sum(self.unknown.values()) + self.damaged

    @property
    def seen(self) -> int:
        """How many there were."""
        return self.resealed + self.current + self.unreadable


async def rotate_keys(
    app_id: str,
    storage: Storage,
    vault: Vault,
    *,
    report: Callable[[Rotation], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Rotation:
    """Seal every installation of the app with the newest key of `vault`, and tell what there was.

    Safe while workers refresh and install: a row is written only if it is still what was read,
    and looked at again if it is not. When it was installed, when its token ends, and the verdict
    of its last refresh stay as they are. Every token is opened, those that have the newest key
    too. `report` is called after each installation.

    Raises:
        StorageUnavailable: The storage cannot be reached. What was done until then stays, and
            another rotation goes on from there.
    """
    rotation = Rotation()
    scanner = RecordScan(storage, app_id, clock=clock)
    while read := await scanner.next():
        await _rotate_one(read, storage, scanner, vault, rotation)
        report(rotation)
    return rotation


async def _rotate_one(
    read: DatedRecord | None,
    storage: Storage,
    scanner: RecordScan,
    vault: Vault,
    rotation: Rotation,
) -> None:
    while read is not None:
        try:
            sealed = _reseal(read.record, vault)
        except UnknownKey as exc:
            rotation.unknown[exc.key_id] = rotation.unknown.get(exc.key_id, 0) + 1
            return
        except UnsealError:
            rotation.damaged += 1
            return
        if sealed is None:
            rotation.current += 1
            return
        record = read.as_of_now(version=secrets.token_hex(8), **sealed)
        if await storage.replace(record, expected=read.record.version):
            rotation.resealed += 1
            return
        # A worker was faster, or the app was removed.
        read = await scanner.get(record.instance_id)


def _reseal(record: Record, vault: Vault) -> dict[str, Any] | None:
    """Return the sealed fields anew, or None where all of them have the newest key."""
    stored = {"refresh_token": record.refresh_token, "access_token": record.access_token}
    sealed = {name: value for name, value in stored.items() if value is not None}
    row = {"app_id": record.app_id, "instance_id": record.instance_id}
    plain = {name: vault.unseal(value, **row, field=name) for name, value in sealed.items()}
    if all(vault.is_newest(value) for value in sealed.values()):
        return None
    return {name: vault.seal(value, **row, field=name) for name, value in plain.items()}
