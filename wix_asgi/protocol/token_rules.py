"""The rules by which an access token of Wix lends the app's client to its bearer.

They read Wix's answer about the token. It must be active, of this app, of an installation, not
over, and of a subject that the settings allow: "access tokens sent from site widgets are tied to a
site visitor or member identity", to whom the app does not lend its rights by itself (Wix, "Identify
the App Instance in a Self-Hosted Site Widget").
"""

from __future__ import annotations

from typing import Final

from wix_asgi.errors import CallerReason, Unauthenticated
from wix_asgi.protocol.token_info import TokenInfo
from wix_asgi.settings import WixSettings

__all__ = ["TokenRules"]

_VISITOR: Final = "VISITOR"

_MAX_SHOWN: Final = 80
"""Characters of a field in a message: longer than every ID and kind of subject that Wix writes."""


class TokenRules:
    """The rules of one app; immutable."""

    def __init__(self, settings: WixSettings) -> None:
        """Take the app's ID and the allowed subjects from the settings."""
        self._app_id = settings.app_id
        self._allowed = settings.allowed_subjects

    def refusal(self, info: TokenInfo, now: float) -> Unauthenticated | None:
        """Return the error for the first rule that a token breaks; None if it may pass.

        `now` is in seconds since the epoch.
        """
        end, subject = info.expires_at, info.subject_type
        reason, value = None, ""
        if end is not None and end <= now:
            # The first rule: Wix calls a token inactive when its time is over (RFC 7662, 2.2).
            reason, value = CallerReason.ENDED, f"has exp {_shown(info.claims.get('exp'))}"
        elif not info.active:
            reason, value = CallerReason.FORGED, "is not active: it is made up, or was ended"
        elif info.client_id != self._app_id:
            reason, value = CallerReason.OTHER_APP, f"has clientId {_shown(info.client_id)}"
        elif info.instance_id is None:
            reason, value = CallerReason.NO_IDENTITY, "has no instanceId"
        elif end is None:
            reason, value = CallerReason.ENDED, f"has exp {_shown(info.claims.get('exp'))}"
        elif subject not in self._allowed:
            is_visitor = subject == _VISITOR
            reason = CallerReason.VISITOR if is_visitor else CallerReason.PERMISSIONS
            value = f"has subjectType {_shown(subject)}"
        if reason is None:
            return None
        is_ours = info.active and info.client_id == self._app_id
        return Unauthenticated(
            f"The access token {value}.",
            reason=reason,
            instance_id=info.instance_id if is_ours else None,
        )


def _shown(value: object) -> str:
    """Return a field in printable ASCII."""
    return ascii(value)[:_MAX_SHOWN]
