"""Seals every stored token anew with the newest key, so that older keys can be thrown away."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from wix_asgi.errors import UnknownKey, UnsealError
from wix_asgi.installations.claims import refresh_lease
from wix_asgi.installations.scan import DatedRecord, RecordScan
from wix_asgi.installations.versions import next_version
from wix_asgi.models import Record
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import ClaimReader, Storage

__all__ = ["Rotation", "rotate_keys"]

_GIVE_WAY_PAUSE: Final = 0.25
"""Seconds between two looks at an installation that a worker refreshes: about one refresh."""

_GIVE_WAY: Final = 3.0
"""Seconds that a rotation waits, once and at its end, for refreshes under way: several refreshes.

After them an installation is resealed all the same, which costs a worker that is still at it one
more comparison.
"""


@dataclass(slots=True)
class Rotation:
    """The progress of a rotation: every row is counted once, in exactly one field.

    A row is an installation, or an event of the inbox.

    Attributes:
        resealed: Rows that were sealed with an older key of the ring, and are sealed with the
            newest now.
        current: Rows that were sealed with the newest key already, or have lost their seals
            meanwhile.
        unknown: The number of rows sealed with a key that the ring does not have, by the id of that
            key.
        damaged: Rows that cannot be unsealed although the ring has their key.
    """

    resealed: int = 0
    current: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    damaged: int = 0

    @property
    def unreadable(self) -> int:
        """The number of rows that could not be unsealed; they are unchanged."""
        return sum(self.unknown.values()) + self.damaged

    @property
    def seen(self) -> int:
        """The number of rows that were looked at."""
        return self.resealed + self.current + self.unreadable


async def rotate_keys(
    app_id: str,
    storage: Storage,
    vault: Vault,
    *,
    report: Callable[[Rotation], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
) -> Rotation:
    """Seal every installation of the app with the newest key of `vault`, and count the outcomes.

    It is safe while workers refresh and install: a record is written only if it is unchanged since
    it was read; a changed record is read again. An installation that is being refreshed is resealed
    after that, so that its worker need not compare again and again to save the new tokens (a
    storage without `ClaimReader` tells of no refreshes). The moment of the installation, the end of
    the access token and the verdict of the last refresh stay as they are. Every token is unsealed,
    also those under the newest key, so that the counts prove which keys are still needed.
    `report` is called after each installation.

    Raises:
        StorageUnavailable: The storage cannot be reached. The records resealed until then stay,
            and another rotation goes on from there.
    """
    scan = RecordScan(storage, app_id, clock=clock)
    resealing = _Resealing(storage, scan, vault)
    put_off: list[str] = []
    async for dated in scan:
        if await resealing.reseal(dated, gives_way=True):
            report(resealing.rotation)
        else:
            put_off.append(dated.record.instance_id)
    until = clock() + _GIVE_WAY
    for instance_id in put_off:
        while not await resealing.reseal(await scan.get(instance_id), gives_way=clock() < until):
            await sleep(_GIVE_WAY_PAUSE)
        report(resealing.rotation)
    return resealing.rotation


class _Resealing:
    """Reseals installations in turn, and counts them in `rotation`."""

    def __init__(self, storage: Storage, scan: RecordScan, vault: Vault) -> None:
        self.rotation = Rotation()
        self._storage = storage
        self._scan = scan
        self._vault = vault

    async def reseal(self, dated: DatedRecord | None, *, gives_way: bool) -> bool:
        """Reseal an installation unless it is gone; False where it `gives_way` to a refresh."""
        while dated is not None:
            record = dated.record
            try:
                sealed = _reseal(record, self._vault)
            except UnknownKey as exc:
                unknown = self.rotation.unknown
                unknown[exc.key_id] = unknown.get(exc.key_id, 0) + 1
                break
            except UnsealError:
                self.rotation.damaged += 1
                break
            if sealed is None:
                self.rotation.current += 1
                break
            if gives_way and await self._is_refreshed_now(record):
                return False
            resealed = dated.as_of_now(version=next_version(record.version), **sealed)
            if await self._storage.replace(resealed, expected=record.version):
                self.rotation.resealed += 1
                break
            # A worker refreshed or installed in between, or the app was uninstalled.
            dated = await self._scan.get(record.instance_id)
        return True

    async def _is_refreshed_now(self, record: Record) -> bool:
        lease = refresh_lease(record.app_id, record.instance_id)
        storage = self._storage
        return isinstance(storage, ClaimReader) and await storage.claim_owner(lease) is not None


def _reseal(record: Record, vault: Vault) -> dict[str, Any] | None:
    """Return the token fields sealed anew, or None if the newest key seals all of them already."""
    stored = {"refresh_token": record.refresh_token, "access_token": record.access_token}
    sealed = {name: value for name, value in stored.items() if value is not None}
    record_id = {"app_id": record.app_id, "instance_id": record.instance_id}
    plain = {name: vault.unseal(value, **record_id, field=name) for name, value in sealed.items()}
    if all(vault.is_newest(value) for value in sealed.values()):
        return None
    return {name: vault.seal(value, **record_id, field=name) for name, value in plain.items()}
