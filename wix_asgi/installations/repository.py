"""The installations of one app: records on the storage's side, tokens in the clear on this one."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wix_asgi.installations.scan import RecordScan
from wix_asgi.models import AccessToken, Grant, Installation, Record
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import Storage

__all__ = ["InstallationRepository", "StoredInstallation"]


@dataclass(frozen=True, slots=True)
class StoredInstallation:
    """One installation as it stood when it was read, with its tokens unsealed.

    Attributes:
        version: What `Installations.replace` compares.
        access_token: Its `expires_at` is on this process's monotonic clock.
        failure: The reason the last refresh failed for, or None.
        retry_in: Seconds until a refresh may be tried again.
    """

    instance_id: str
    version: str
    refresh_token: str = field(repr=False)
    access_token: AccessToken | None
    failure: str | None
    retry_in: float
    installed_at: datetime


class InstallationRepository:
    """Seals what goes into the storage and unseals what comes out of it; keeps nothing itself."""

    def __init__(
        self,
        app_id: str,
        storage: Storage,
        vault: Vault,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Work for the app `app_id`; `clock` gives monotonic seconds."""
        self._app_id = app_id
        self._storage = storage
        self._vault = vault
        self._clock = clock

    async def get(self, instance_id: str) -> StoredInstallation | None:
        """Read one installation, or None.

        Raises:
            StorageUnavailable: The storage cannot be reached.
            UnsealError: A token in it cannot be read.
        """
        began = self._clock()
        record = await self._storage.get(self._app_id, instance_id)
        return None if record is None else self._unseal(record, began)

    async def put(self, instance_id: str, grant: Grant) -> None:
        """Store a new installation over whatever was there. The grant has a refresh token."""
        await self._storage.put(
            self._seal(instance_id, grant.refresh_token or "", grant.access_token)
        )

    async def replace(self, stored: StoredInstallation, grant: Grant) -> bool:
        """Store what a refresh granted, if nothing was written since `stored` was read.

        The refresh token that was sent stays where the answer had none (RFC 6749, 6).
        """
        # No local holds a token: a traceback with locals shows no secret.
        record = self._seal(
            stored.instance_id, grant.refresh_token or stored.refresh_token, grant.access_token
        )
        return await self._storage.replace(record, expected=stored.version)

    async def note_failure(self, stored: StoredInstallation, failure: str, retry_in: float) -> bool:
        """Leave word for the other processes why no refresh is to be tried for `retry_in` seconds.

        The tokens stay as they are. Does nothing if something was written since `stored` was read.
        """
        record = self._seal(
            stored.instance_id,
            stored.refresh_token,
            stored.access_token,
            failure=failure,
            retry_in=retry_in,
        )
        return await self._storage.replace(record, expected=stored.version)

    async def all(self) -> AsyncIterator[Installation]:
        """Yield every installation, in the order of the instance ids, a page at a time."""
        async for dated in RecordScan(self._storage, self._app_id, clock=self._clock):
            record = dated.record
            yield Installation(record.app_id, record.instance_id, _installed_at(record))

    def _seal(
        self,
        instance_id: str,
        refresh_token: str,
        token: AccessToken | None,
        *,
        failure: str | None = None,
        retry_in: float = 0.0,
    ) -> Record:
        return Record(
            app_id=self._app_id,
            instance_id=instance_id,
            version=secrets.token_hex(8),
            refresh_token=self._seal_field(refresh_token, instance_id, "refresh_token"),
            access_token=self._seal_field(token.value, instance_id, "access_token")
            if token
            else None,
            lifetime=token.lifetime if token else 0.0,
            expires_in=token.expires_at - self._clock() if token else 0.0,
            failure=failure,
            retry_in=retry_in,
        )

    def _unseal(self, record: Record, now: float) -> StoredInstallation:
        token = None
        if record.access_token is not None:
            token = AccessToken(
                self._unseal_field(record.access_token, record.instance_id, "access_token"),
                record.lifetime,
                now + record.expires_in,
            )
        return StoredInstallation(
            instance_id=record.instance_id,
            version=record.version,
            refresh_token=self._unseal_field(
                record.refresh_token, record.instance_id, "refresh_token"
            ),
            access_token=token,
            failure=record.failure,
            retry_in=record.retry_in,
            installed_at=_installed_at(record),
        )

    def _seal_field(self, plain: str, instance_id: str, name: str) -> bytes:
        return self._vault.seal(plain, app_id=self._app_id, instance_id=instance_id, field=name)

    def _unseal_field(self, sealed: bytes, instance_id: str, name: str) -> str:
        return self._vault.unseal(sealed, app_id=self._app_id, instance_id=instance_id, field=name)


def _installed_at(record: Record) -> datetime:
    return record.installed_at or datetime.fromtimestamp(0, UTC)
