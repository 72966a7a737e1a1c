"""The grants that an app may use, as its settings say."""

from __future__ import annotations

from dataclasses import dataclass

from wix_asgi.errors import NotInstalled, WixError
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import GrantType, InstallFlow

__all__ = ["GrantRules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRules:
    """Whether an installation gets its tokens by client credentials.

    Attributes:
        flow: In the flow of client credentials they are the app's usual grant; in the advanced
            flow they are a remedy, which Wix may not have given to the app.
        recover: Whether they take the place of a refresh token that is gone.
    """

    flow: InstallFlow = InstallFlow.ADVANCED
    recover: bool = True

    @property
    def is_remedy(self) -> bool:
        """Whether client credentials are a remedy only, whose refusal is no wrong setting."""
        return self.flow is InstallFlow.ADVANCED

    @property
    def may_find(self) -> bool:
        """Whether Wix is asked for an installation that is not stored."""
        return self.recover or not self.is_remedy

    def obstacle(self, stored: StoredInstallation) -> WixError | None:
        """Return the error of an installation without any grant to ask for, or None."""
        is_of_credentials = stored.grant_type is GrantType.CLIENT_CREDENTIALS
        if self.recover or is_of_credentials or stored.refresh_token:
            return None
        if stored.unreadable is not None:
            return stored.unreadable.error
        return NotInstalled(instance_id=stored.instance_id) if self.is_remedy else None

    def ends_with_client_credentials(self, stored: StoredInstallation) -> bool:
        """Whether client credentials are the last grant that is tried for this installation."""
        return self.recover or stored.is_without_refresh_token
