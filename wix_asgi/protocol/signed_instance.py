"""The signed `instance` that Wix puts into the query of an app's URL, or that a header carries.

It is `<signature>.<data>`, both in base64url without padding. The data are a JSON object, and the
signature is their HMAC-SHA256 with the app secret, over the encoded text (Wix, "Parse the Encoded
App Instance Data").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
from typing import Any, Final

from wix_asgi.errors import CallerReason, Unauthenticated
from wix_asgi.models import Identity
from wix_asgi.protocol.strict_json import read_json
from wix_asgi.settings import WixSettings

__all__ = ["MAX_INSTANCE", "SIGNED", "SignedInstances"]

MAX_INSTANCE: Final = 8192
"""Characters. A longer value is refused before it costs time; it would not fit into a
header of common servers either (8 kB in nginx and gunicorn)."""

# 32 bytes are 43 characters. The last character carries four bits, so 16 of 64 are canonical.
SIGNED: Final = re.compile(r"([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])\.([A-Za-z0-9_-]+)")


class SignedInstances:
    """Verifies signed instances with the app secret, and for a while the previous ones; immutable.

    A previous secret may have leaked. Therefore it verifies only until the time in the settings,
    which each verification compares with the clock: no restart makes it good again.
    """

    def __init__(self, settings: WixSettings) -> None:
        """Take the secrets from the settings."""
        current, *previous = [secret.encode() for secret in settings.all_app_secrets]
        until = settings.previous_secrets_until
        self._secret = current
        self._previous = previous
        self._previous_until = -math.inf if until is None else until.timestamp()

    def verify(self, value: str, now: float) -> Identity:
        """Return the identity that a genuine `value` states: the installation and the claims.

        `now` is in seconds since the epoch.

        Raises:
            Unauthenticated: `value` is malformed, forged, or names no installation.
        """
        match = SIGNED.fullmatch(value) if len(value) <= MAX_INSTANCE else None
        if match is None:
            raise _forged()
        is_current, is_previous = self._check(*match.groups())
        if is_previous and not is_current and now >= self._previous_until:
            raise _forged("The signed instance is of a previous app secret.")
        if not is_current and not is_previous:
            raise _forged()
        claims = _parse_claims(match[2])
        instance_id = claims.get("instanceId")
        if not isinstance(instance_id, str) or not instance_id:
            raise _forged("The signed instance names no installation.")
        return Identity(instance_id, claims)

    def is_current(self, value: str) -> bool:
        """Return whether `value` is signed with the current app secret."""
        match = SIGNED.fullmatch(value) if len(value) <= MAX_INSTANCE else None
        return match is not None and self._check(*match.groups())[0]

    def _check(self, signature: str, data: str) -> tuple[bool, bool]:
        """Return whether the signature is of the app secret, and whether of a previous one."""
        given = base64.urlsafe_b64decode(signature + "=")
        # All are compared, so that the time does not tell which secret fits.
        current, *previous = [
            hmac.compare_digest(given, hmac.digest(secret, data.encode(), hashlib.sha256))
            for secret in (self._secret, *self._previous)
        ]
        return current, any(previous)


def _forged(message: str | None = None) -> Unauthenticated:
    return Unauthenticated(message, reason=CallerReason.FORGED)


def _parse_claims(data: str) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
        is_canonical = base64.urlsafe_b64encode(raw).rstrip(b"=") == data.encode()
        claims = read_json(raw.decode())
    except (ValueError, binascii.Error):
        claims, is_canonical = None, False
    # Raised out here, without a context, whose frames would hold the claims.
    if not isinstance(claims, dict) or not is_canonical:
        raise _forged("The signed instance is no JSON object in base64url.")
    return claims
