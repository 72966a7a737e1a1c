"""Seals every stored token anew with the newest key, so that older keys can be thrown away."""

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
    """The progress of a rotation: every installation is counted once, in exactly one field.

    Attributes:
        resealed: Installations that were sealed with an older key of the ring, and are sealed with
            the newest now.
        current: Installations that were sealed with the newest key already.
        unknown: The number of installations sealed with a key that the ring does not have, by the
            id of that key.
        damaged: Installations that cannot be unsealed although the ring has their key.
    """

    resealed: int = 0
    current: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    damaged: int = 0

    @property
    def unreadable(self) -> int:
        """The number of installations that could not be unsealed; their records are unchanged."""
        return sum(self.unknown.values()) + self.damaged

    @property
    def seen(self) -> int:
        """The number of installations that were looked at."""
        return self.resealed + self.current + self.unreadable


async def rotate_keys(
    app_id: str,
    storage: Storage,
    vault: Vault,
    *,
    report: Callable[[Rotation], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Rotation:
    """Seal every installation of the app with the newest key of `vault`, and count the outcomes.

    It is safe while workers refresh and install: a record is written only if it is unchanged since
    it was read; a changed record is read again. The moment of the installation, the end of the
    access token and the verdict of the last refresh stay as they are. Every token is unsealed,
    also those under the newest key, so that the counts prove which keys are still needed.
    `report` is called after each installation.

    Raises:
        StorageUnavailable: The storage cannot be reached. The records resealed until then stay,
            and another rotation goes on from there.
    """
    rotation = Rotation()
    scan = RecordScan(storage, app_id, clock=clock)
    async for dated in scan:
        await _rotate_one(dated, storage, scan, vault, rotation)
        report(rotation)
    return rotation


async def _rotate_one(
    dated: DatedRecord | None,
    storage: Storage,
    scan: RecordScan,
    vault: Vault,
    rotation: Rotation,
) -> None:
    while dated is not None:
        try:
            sealed = _reseal(dated.record, vault)
        except UnknownKey as exc:
            rotation.unknown[exc.key_id] = rotation.unknown.get(exc.key_id, 0) + 1
            return
        except UnsealError:
            rotation.damaged += 1
            return
        if sealed is None:
            rotation.current += 1
            return
        record = dated.as_of_now(version=secrets.token_hex(8), **sealed)
        if await storage.replace(record, expected=dated.record.version):
            rotation.resealed += 1
            return
        # A worker refreshed or installed in between, or the app was uninstalled.
        dated = await scan.get(record.instance_id)


def _reseal(record: Record, vault: Vault) -> dict[str, Any] | None:
    """Return the token fields sealed anew, or None if the newest key seals all of them already."""
    stored = {"refresh_token": record.refresh_token, "access_token": record.access_token}
    sealed = {name: value for name, value in stored.items() if value is not None}
    record_id = {"app_id": record.app_id, "instance_id": record.instance_id}
    plain = {name: vault.unseal(value, **record_id, field=name) for name, value in sealed.items()}
    if all(vault.is_newest(value) for value in sealed.values()):
        return None
    return {name: vault.seal(value, **record_id, field=name) for name, value in plain.items()}
