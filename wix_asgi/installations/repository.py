"""The installations of one app: sealed records in the storage, unsealed tokens in the process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Container
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from wix_asgi.errors import NotInstalled, WixError, WixMisconfigured, WixUnavailable
from wix_asgi.installations._bounds import EPOCH, believed
from wix_asgi.installations.scan import RecordScan
from wix_asgi.installations.versions import is_of_rotated_token, next_version
from wix_asgi.models import AccessToken, Grant, GrantType, Installation, Record
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import AddingStorage, Storage

__all__ = ["InstallationRepository", "RefreshFailure", "StoredInstallation", "installation_of"]


class RefreshFailure(StrEnum):
    """Why the last refresh of an installation failed, as its row tells all processes."""

    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class StoredInstallation:
    """One installation as it stood when it was read, with its tokens unsealed.

    Moments (`now`) are on this process's monotonic clock.

    Attributes:
        version: The version that `InstallationRepository.replace` compares.
        refresh_token: The empty text where there is none, as for client credentials.
        grant_type: The grant by which the next access token is got.
        origin_instance_id: The installation of which this one is a copy, or None.
        owes_on_install: Whether `on_install` is still to be told of the installation.
        access_token: None when none was ever granted.
        failure: A `RefreshFailure`, or another process's newer word for one; None after a success.
        retry_in: Seconds from the read until a refresh may be tried again.
    """

    instance_id: str
    version: str
    refresh_token: str = field(repr=False)
    access_token: AccessToken | None
    failure: str | None
    retry_in: float
    installed_at: datetime
    grant_type: GrantType = GrantType.REFRESH_TOKEN
    origin_instance_id: str | None = None
    owes_on_install: bool = False

    @property
    def has_rotated_token(self) -> bool:
        """Whether a refresh brought the refresh token, so that Wix may end it at the next one."""
        return is_of_rotated_token(self.version)

    def seconds_left(self, now: float) -> float:
        """Return how many seconds the access token still lives; 0 where there is none."""
        return self.access_token.expires_at - now if self.access_token else 0.0

    def live_token(self, now: float, unwanted: Container[str]) -> AccessToken | None:
        """Return the access token if it still lives and its value is none of `unwanted`."""
        token = self.access_token
        if token is None or token.value in unwanted or token.expires_at <= now:
            return None
        return token

    def standing_verdict(self) -> WixError | None:
        """Return the error in which the last refresh ended, until a refresh may be tried again."""
        if self.failure is None or self.retry_in <= 0:
            return None
        if self.failure == RefreshFailure.REFUSED:
            return NotInstalled()
        if self.failure == RefreshFailure.MISCONFIGURED:
            return WixMisconfigured()
        return WixUnavailable("Wix failed a moment ago.", asked=self.retry_in)

    def has_grant_of(self, other: StoredInstallation) -> bool:
        """Whether both hold the same grant: only the note of a failure may lie between them."""
        return self._grant == other._grant

    @property
    def _grant(self) -> tuple[datetime, str, str | None]:
        token = self.access_token
        return self.installed_at, self.refresh_token, token.value if token else None


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
        return None if record is None else self._unseal(believed(record), began)

    async def installed_at(self, instance_id: str) -> datetime | None:
        """Read when an installation was stored, which needs no key; None where there is none.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        record = await self._storage.get(self._app_id, instance_id)
        return None if record is None else _installed_at(believed(record))

    async def require(self, instance_id: str) -> StoredInstallation:
        """Read one installation that has to be there.

        Raises:
            NotInstalled: There is none.
            StorageUnavailable: The storage cannot be reached.
            UnsealError: A token in it cannot be read.
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
    ) -> None:
        """Store a new installation in place of the site's earlier installation, if there is any.

        A grant without a refresh token is one of client credentials.
        """
        await self._storage.put(
            self._new_record(instance_id, grant, origin_instance_id, owes_on_install)
        )

    async def add(
        self,
        instance_id: str,
        grant: Grant,
        *,
        origin_instance_id: str | None = None,
        owes_on_install: bool = False,
    ) -> bool:
        """Store a new installation, if there is none of this site.

        A storage that cannot add (`AddingStorage`) overwrites one that came a moment before.

        Returns:
            Whether it was stored.
        """
        record = self._new_record(instance_id, grant, origin_instance_id, owes_on_install)
        if isinstance(self._storage, AddingStorage):
            return await self._storage.add(record)
        await self._storage.put(record)
        return True

    async def replace(
        self, stored: StoredInstallation, grant: Grant, *, grant_type: GrantType | None = None
    ) -> bool:
        """Store the grant of a refresh, if nothing was written since `stored` was read.

        The refresh token that was sent stays where the answer had none (RFC 6749, 6). The
        installation gets another `grant_type` where one is named.

        Returns:
            Whether it was stored.
        """
        # No local holds a token: a traceback with locals shows no secret.
        record = self._seal(
            stored.instance_id,
            grant.refresh_token or stored.refresh_token,
            grant.access_token,
            version=next_version(
                stored.version, is_rotated=grant.refresh_token not in {None, stored.refresh_token}
            ),
            grant_type=grant_type or stored.grant_type,
            origin_instance_id=stored.origin_instance_id,
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
        record = self._seal(
            stored.instance_id,
            stored.refresh_token,
            stored.access_token,
            version=next_version(stored.version),
            failure=failure,
            retry_in=retry_in,
            grant_type=stored.grant_type,
            origin_instance_id=stored.origin_instance_id,
            owes_on_install=stored.owes_on_install,
        )
        return await self._storage.replace(record, expected=stored.version)

    async def note_told(self, stored: StoredInstallation) -> bool:
        """Note that `on_install` was told, if nothing was written since `stored` was read.

        Returns:
            Whether it was written.
        """
        record = self._seal(
            stored.instance_id,
            stored.refresh_token,
            stored.access_token,
            version=next_version(stored.version),
            failure=stored.failure,
            retry_in=stored.retry_in,
            grant_type=stored.grant_type,
            origin_instance_id=stored.origin_instance_id,
            owes_on_install=False,
        )
        return await self._storage.replace(record, expected=stored.version)

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
    ) -> Record:
        has_refresh_token = grant.refresh_token is not None
        return self._seal(
            instance_id,
            grant.refresh_token or "",
            grant.access_token,
            version=next_version(),
            grant_type=(
                GrantType.REFRESH_TOKEN if has_refresh_token else GrantType.CLIENT_CREDENTIALS
            ),
            origin_instance_id=origin_instance_id,
            owes_on_install=owes_on_install,
        )

    def _seal(
        self,
        instance_id: str,
        refresh_token: str,
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
            refresh_token=self._seal_field(refresh_token, instance_id, "refresh_token"),
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
            grant_type=_grant_type(record),
            origin_instance_id=record.origin_instance_id,
            owes_on_install=record.owes_on_install,
        )

    def _seal_field(self, plain: str, instance_id: str, name: str) -> bytes:
        return self._vault.seal(plain, app_id=self._app_id, instance_id=instance_id, field=name)

    def _unseal_field(self, sealed: bytes, instance_id: str, name: str) -> str:
        return self._vault.unseal(sealed, app_id=self._app_id, instance_id=instance_id, field=name)


def installation_of(record: Record) -> Installation:
    """Return the facts of a record for the app; no token is unsealed."""
    return Installation(
        record.app_id,
        record.instance_id,
        _installed_at(record),
        record.origin_instance_id,
        _grant_type(record),
    )


def _installed_at(record: Record) -> datetime:
    return record.installed_at or EPOCH


def _grant_type(record: Record) -> GrantType:
    """Return the grant type of a record; that of all old records where it is unknown or missing."""
    try:
        return GrantType(record.grant_type or GrantType.REFRESH_TOKEN)
    except ValueError:
        return GrantType.REFRESH_TOKEN
