"""The rules by which a genuine signed instance lends the app's client to its bearer.

Wix's own for dashboard pages: the permissions are `OWNER`, and after a day an instance is not acted
on ("About Security and Privacy"). Besides, an instance is good for the app that it names, never for
an anonymous visitor (`aid`), and no longer than it says itself (`expirationDate`).
"""

from __future__ import annotations

import math
from typing import Final

from wix_asgi.errors import CallerReason, Unauthenticated
from wix_asgi.models import Identity
from wix_asgi.protocol.moments import read_iso, read_moment
from wix_asgi.settings import WixSettings

__all__ = ["InstanceRules"]

_ANYBODY: Final = "*"
_MAX_SHOWN: Final = 80
"""Characters of a claim in a message: longer than every date, permission and ID that Wix writes."""


class InstanceRules:
    """The rules of one app; immutable."""

    def __init__(self, settings: WixSettings) -> None:
        """Take the app's ID, the allowed permissions and the age from the settings."""
        self._app_id = settings.app_id
        self._allowed = settings.allowed_permissions
        self._max_age = settings.instance_max_age

    def refusal(self, identity: Identity, now: float) -> Unauthenticated | None:
        """Return the error for the first rule that a genuine instance breaks; None if it may pass.

        `now` is in seconds since the epoch. TOO_OLD comes last: the instance is right but for that.
        """
        claims = identity.claims
        app_id, permissions = claims.get("appDefId"), claims.get("permissions")
        end, signed_at = claims.get("expirationDate"), claims.get("signDate")
        reason, value = None, None
        if app_id != self._app_id:
            reason, value = CallerReason.OTHER_APP, f"appDefId {_shown(app_id)}"
        elif claims.get("aid") is not None:
            reason, value = CallerReason.VISITOR, f"aid {_shown(claims['aid'])}"
        elif _ANYBODY not in self._allowed and permissions not in self._allowed:
            reason, value = CallerReason.PERMISSIONS, f"permissions {_shown(permissions)}"
        elif end is not None and _is_past(read_moment(end), now):
            reason, value = CallerReason.ENDED, f"expirationDate {_shown(end)}"
        elif self._max_age and _is_past(read_iso(signed_at), now - self._max_age):
            reason, value = CallerReason.TOO_OLD, f"signDate {_shown(signed_at)}"
        if reason is None:
            return None
        return Unauthenticated(
            f"The signed instance has {value}.", reason=reason, instance_id=identity.instance_id
        )


def _is_past(moment: float | None, now: float) -> bool:
    """Return whether a moment is past; an unreadable one always is."""
    return (-math.inf if moment is None else moment) < now


def _shown(value: object) -> str:
    """Return a claim in printable ASCII; it is signed, and yet the caller may have chosen it."""
    return ascii(value)[:_MAX_SHOWN]
