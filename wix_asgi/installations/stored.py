"""One installation as a process has read it, and the verdict of its last refresh."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from wix_asgi.errors import NotInstalled, UnsealError, WixError, WixMisconfigured, WixUnavailable
from wix_asgi.installations.versions import is_of_found_installation, is_of_rotated_token
from wix_asgi.models import AccessToken, GrantType

__all__ = ["RefreshFailure", "StoredInstallation", "UnreadableToken"]


class RefreshFailure(StrEnum):
    """Why the last refresh of an installation failed, as its row tells all processes."""

    REFUSED = "refused"
    """Wix refuses the refresh token, and client credentials were not tried."""

    NOT_INSTALLED = "not_installed"
    """Wix refuses client credentials for the site, which are tried last."""

    UNREADABLE = "unreadable"
    """The same, by a process that cannot read the refresh token: another one may."""

    MISCONFIGURED = "misconfigured"
    UNAVAILABLE = "unavailable"


_LOST: Final = frozenset(
    {RefreshFailure.REFUSED, RefreshFailure.NOT_INSTALLED, RefreshFailure.UNREADABLE}
)


@dataclass(frozen=True, slots=True)
class UnreadableToken:
    """A stored token that none of the keys opens.

    Attributes:
        sealed: The seal as it is stored, for processes that have its key.
        error: Why it cannot be read.
    """

    sealed: bytes = field(repr=False)
    error: UnsealError


@dataclass(frozen=True, slots=True)
class StoredInstallation:
    """One installation as it stood when it was read, with its tokens unsealed.

    Moments (`now`) are on this process's monotonic clock.

    Attributes:
        version: The version that `InstallationRepository.replace` compares.
        refresh_token: The empty text where there is none, as for client credentials, and where it
            is `unreadable`.
        grant_type: The grant by which the next access token is got.
        origin_instance_id: The installation of which this one is a copy, or None.
        owes_on_install: Whether `on_install` is still to be told of the installation.
        unreadable: The refresh token, if no key opens it; else None.
        access_token: None when none was ever granted, and where it cannot be read.
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
    unreadable: UnreadableToken | None = None

    @property
    def has_rotated_token(self) -> bool:
        """Whether a refresh brought the refresh token, so that Wix may end it at the next one."""
        return is_of_rotated_token(self.version)

    @property
    def is_found(self) -> bool:
        """Whether it was found at Wix, and no browser has brought it since."""
        return is_of_found_installation(self.version)

    @property
    def is_lost(self) -> bool:
        """Whether Wix has refused its grants, and given none since."""
        return self.failure in _LOST

    @property
    def is_of_client_credentials(self) -> bool:
        """Whether client credentials are its usual grant."""
        return self.grant_type is GrantType.CLIENT_CREDENTIALS

    @property
    def is_without_refresh_token(self) -> bool:
        """Whether the next access token is not got by a refresh token."""
        return self.grant_type is GrantType.CLIENT_CREDENTIALS or not self.refresh_token

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
            # No verdict on client credentials: an older release, which does not know them, has
            # sent the refresh token that there is, or the empty text.
            return (
                None
                if self.is_without_refresh_token
                else NotInstalled(instance_id=self.instance_id)
            )
        if self.failure == RefreshFailure.UNREADABLE and not self.is_without_refresh_token:
            return None  # this process can read the token that the other could not
        if self.failure in {RefreshFailure.NOT_INSTALLED, RefreshFailure.UNREADABLE}:
            return NotInstalled(instance_id=self.instance_id)
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
