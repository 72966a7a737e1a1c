"""The installations of one app: sealed records in the storage, unsealed tokens in the process."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from wix_asgi.errors import NotInstalled, UnsealError
from wix_asgi.installations._bounds import believed, is_origin
from wix_asgi.installations.facts import grant_type_of, installation_of, installed_at_of
from wix_asgi.installations.scan import RecordScan
from wix_asgi.installations.stored import RefreshFailure, StoredInstallation, UnreadableToken
from wix_asgi.installations.versions import next_version
from wix_asgi.leases.lease import Lease
from wix_asgi.models import AccessToken, Grant, GrantType, Installation, Record
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import AddingStorage, CombiningStorage, Storage

__all__ = ["Addition", "InstallationRepository"]


@dataclass(frozen=True, slots=True)
class Addition:
    """The outcome of adding an installation.

    Attributes:
        is_stored: Whether it was stored; there was another one of the site if not.
        stored: The installation as it is stored, where the storage tells it at once.
    """

    is_stored: bool
    stored: StoredInstallation | None = None


class InstallationRepository:
    """Seals tokens on their way into the storage, and unseals them on their way out."""

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
        self._combining = storage if isinstance(storage, CombiningStorage) else None
        self._vault = vault
        self._clock = clock

    async def get(self, instance_id: str) -> StoredInstallation | None:
        """Read one installation, or None.

        A token that cannot be read is no error here: the `unreadable` refresh token of the result
        has the error, and an access token is replaced by the next one.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        began = self._clock()
        record = await self._storage.get(self._app_id, instance_id)
        return None if record is None else self._unseal(believed(record), began)

    async def installed_at(self, instance_id: str) -> datetime | None:
        """Read when an installation was stored, which needs no key; None where there is none.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        record = await self._storage.get(self._app_id, instance_id)
        return None if record is None else installed_at_of(believed(record))

    async def require(self, instance_id: str) -> StoredInstallation:
        """Read one installation that has to be there.

        Raises:
            NotInstalled: There is none.
            StorageUnavailable: The storage cannot be reached.
        """
        stored = await self.get(instance_id)
        if stored is None:
            raise NotInstalled
        return stored

    async def put(
        self,
        instance_id: str,
        grant: Grant,
        *,
        origin_instance_id: str | None = None,
        owes_on_install: bool = False,
    ) -> StoredInstallation | None:
        """Store a new installation in place of the site's earlier installation, if there is any.

        A grant without a refresh token is one of client credentials.

        Returns:
            The installation as it is stored; None where the storage tells it by a read alone.
        """
        record = self._new_record(instance_id, grant, origin_instance_id, owes_on_install)
        if self._combining is None:
            await self._storage.put(record)
            return None
        began = self._clock()
        return self._unseal(believed(await self._combining.put_and_get(record)), began)

    async def add(
        self,
        instance_id: str,
        grant: Grant,
        *,
        origin_instance_id: str | None = None,
        owes_on_install: bool = False,
        is_found: bool = True,
    ) -> Addition:
        """Store a new installation, if there is none of this site.

        A storage that cannot add (`AddingStorage`) overwrites one that came a moment before.
        `is_found` where no browser brings it.
        """
        record = self._new_record(
            instance_id, grant, origin_instance_id, owes_on_install, is_found=is_found
        )
        if self._combining is not None:
            began = self._clock()
            added = await self._combining.add_and_get(record)
            stored = None if added is None else self._unseal(believed(added), began)
            return Addition(is_stored=stored is not None, stored=stored)
        if isinstance(self._storage, AddingStorage):
            return Addition(is_stored=await self._storage.add(record))
        await self._storage.put(record)
        return Addition(is_stored=True)

    async def replace(
        self,
        stored: StoredInstallation,
        grant: Grant,
        *,
        lease: Lease | None = None,
        grant_type: GrantType | None = None,
    ) -> bool:
        """Store the grant of a refresh, if nothing was written since `stored` was read.

        The `lease` of the refresh ends with it, if the storage can free it in the same step.

        The refresh token stays where the answer had none (RFC 6749, 6), also an unreadable
        token: another process may have its key. The installation gets another `grant_type` where
        one is named.

        Returns:
            Whether it was stored.
        """
        # No local holds a token: a traceback with locals shows no secret.
        record = self._seal(
            stored.instance_id,
            grant.refresh_token or _refresh_token(stored),
            grant.access_token,
            version=next_version(
                stored.version, is_rotated=grant.refresh_token not in {None, stored.refresh_token}
            ),
            grant_type=grant_type or stored.grant_type,
            origin_instance_id=stored.origin_instance_id,
            owes_on_install=stored.owes_on_install,
        )
        return await (lease or self._storage).replace(record, expected=stored.version)

    async def take_over(
        self, stored: StoredInstallation, grant: Grant, *, origin_instance_id: str | None = None
    ) -> bool:
        """Give a found installation the grant that its browser has brought, if it is unchanged.

        It stays the same installation: neither its time nor its debt changes.

        Returns:
            Whether it was stored.
        """
        record = self._seal(
            stored.instance_id,
            grant.refresh_token or "",
            grant.access_token,
            version=next_version(),
            grant_type=_type_of(grant),
            origin_instance_id=origin_instance_id or stored.origin_instance_id,
            owes_on_install=stored.owes_on_install,
        )
        return await self._storage.replace(record, expected=stored.version)

    async def note_failure(
        self, stored: StoredInstallation, failure: RefreshFailure, retry_in: float
    ) -> bool:
        """Tell all processes why no refresh is to be tried for `retry_in` seconds.

        The tokens stay as they are. Nothing is written if the row has changed since `stored` was
        read.

        Returns:
            Whether it was written.
        """
        noted = dataclasses.replace(stored, failure=failure, retry_in=retry_in)
        return await self._rewrite(noted)

    async def note_told(self, stored: StoredInstallation) -> bool:
        """Note that `on_install` was told, if nothing was written since `stored` was read.

        Returns:
            Whether it was written.
        """
        return await self._rewrite(dataclasses.replace(stored, owes_on_install=False))

    async def note_origin(self, stored: StoredInstallation, origin_instance_id: str) -> bool:
        """Note the origin of a copy, if nothing was written since `stored` was read.

        Returns:
            Whether it was written, or is no id of an origin.
        """
        if not is_origin(origin_instance_id, of=stored.instance_id):
            return True
        return await self._rewrite(
            dataclasses.replace(stored, origin_instance_id=origin_instance_id)
        )

    async def all(self) -> AsyncIterator[Installation]:
        """Yield every installation, in the order of the instance ids, a page at a time."""
        async for dated in RecordScan(self._storage, self._app_id, clock=self._clock):
            yield installation_of(dated.record)

    def _new_record(
        self,
        instance_id: str,
        grant: Grant,
        origin_instance_id: str | None,
        owes_on_install: bool,
        *,
        is_found: bool = False,
    ) -> Record:
        # Without that capability a storage may keep the debt or not, and nobody would clear it;
        # and a callback could not tell whether it was paid.
        keeps_debts = isinstance(self._storage, AddingStorage)
        return self._seal(
            instance_id,
            grant.refresh_token or "",
            grant.access_token,
            version=next_version(is_found=is_found and keeps_debts),
            grant_type=_type_of(grant),
            origin_instance_id=origin_instance_id,
            owes_on_install=owes_on_install and keeps_debts,
        )

    async def _rewrite(self, changed: StoredInstallation) -> bool:
        """Write an installation whose grant is as it was read, if nothing was written since."""
        record = self._seal(
            changed.instance_id,
            _refresh_token(changed),
            changed.access_token,
            version=next_version(changed.version),
            failure=changed.failure,
            retry_in=changed.retry_in,
            grant_type=changed.grant_type,
            origin_instance_id=changed.origin_instance_id,
            owes_on_install=changed.owes_on_install,
        )
        return await self._storage.replace(record, expected=changed.version)

    def _seal(
        self,
        instance_id: str,
        refresh_token: str | UnreadableToken,
        token: AccessToken | None,
        *,
        version: str,
        grant_type: GrantType,
        origin_instance_id: str | None,
        owes_on_install: bool,
        failure: str | None = None,
        retry_in: float = 0.0,
    ) -> Record:
        return Record(
            app_id=self._app_id,
            instance_id=instance_id,
            version=version,
            refresh_token=refresh_token.sealed
            if isinstance(refresh_token, UnreadableToken)
            else self._seal_field(refresh_token, instance_id, "refresh_token"),
            access_token=self._seal_field(token.value, instance_id, "access_token")
            if token
            else None,
            lifetime=token.lifetime if token else 0.0,
            expires_in=token.expires_at - self._clock() if token else 0.0,
            failure=failure,
            retry_in=retry_in,
            grant_type=grant_type,
            origin_instance_id=origin_instance_id,
            owes_on_install=owes_on_install,
        )

    def _unseal(self, record: Record, now: float) -> StoredInstallation:
        refresh_token = self._unseal_field(
            record.refresh_token, record.instance_id, "refresh_token"
        )
        access_token = record.access_token and self._unseal_field(
            record.access_token, record.instance_id, "access_token"
        )
        return StoredInstallation(
            instance_id=record.instance_id,
            version=record.version,
            refresh_token=refresh_token if isinstance(refresh_token, str) else "",
            access_token=AccessToken(access_token, record.lifetime, now + record.expires_in)
            if isinstance(access_token, str)
            else None,
            failure=record.failure,
            retry_in=record.retry_in,
            installed_at=installed_at_of(record),
            grant_type=grant_type_of(record),
            origin_instance_id=record.origin_instance_id,
            owes_on_install=record.owes_on_install,
            unreadable=None if isinstance(refresh_token, str) else refresh_token,
        )

    def _seal_field(self, plain: str, instance_id: str, name: str) -> bytes:
        return self._vault.seal(plain, app_id=self._app_id, instance_id=instance_id, field=name)

    def _unseal_field(self, sealed: bytes, instance_id: str, name: str) -> str | UnreadableToken:
        try:
            return self._vault.unseal(
                sealed, app_id=self._app_id, instance_id=instance_id, field=name
            )
        except UnsealError as exc:
            return UnreadableToken(sealed, exc.with_traceback(None))


def _refresh_token(stored: StoredInstallation) -> str | UnreadableToken:
    return stored.unreadable or stored.refresh_token


def _type_of(grant: Grant) -> GrantType:
    has_refresh_token = grant.refresh_token is not None
    return GrantType.REFRESH_TOKEN if has_refresh_token else GrantType.CLIENT_CREDENTIALS
