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
import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from wix_asgi.errors import Unauthenticated
from wix_asgi.models import Identity
from wix_asgi.settings import WixSettings

__all__ = ["SIGNED", "SignedInstances"]

_MAX_INSTANCE: Final = 8192
"""Characters. A longer value is refused before it costs time; it would not fit into a
header of common servers either (8 kB in nginx and gunicorn)."""

# 32 bytes are 43 characters. The last character carries four bits, so 16 of 64 are canonical.
SIGNED: Final = re.compile(r"([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])\.([A-Za-z0-9_-]+)")


class SignedInstances:
    """Verifies signed instances with the app secret and the previous ones; immutable."""

    def __init__(self, settings: WixSettings) -> None:
        """Take the secrets from the settings."""
        self._secrets = [secret.encode() for secret in settings.all_app_secrets]

    def verify(self, value: str) -> Identity:
        """Return the identity that `value` states: the installation and the claims.

        Raises:
            Unauthenticated: `value` is malformed, forged, expired, or an anonymous visitor's, which
                has the claim `aid`.
        """
        match = SIGNED.fullmatch(value) if len(value) <= _MAX_INSTANCE else None
        if match is None or not self._is_signed(*match.groups()):
            raise Unauthenticated("The signed instance is not genuine.")
        claims = _parse_claims(match[2])
        instance_id = claims.get("instanceId")
        if not isinstance(instance_id, str) or not instance_id:
            raise Unauthenticated("The signed instance names no installation.")
        if claims.get("aid") is not None:
            raise Unauthenticated("The signed instance is an anonymous visitor's.")
        if _is_over(claims.get("expirationDate")):
            raise Unauthenticated("The signed instance has expired.")
        return Identity(instance_id, claims)

    def _is_signed(self, signature: str, data: str) -> bool:
        given = base64.urlsafe_b64decode(signature + "=")
        digests = [hmac.digest(secret, data.encode(), hashlib.sha256) for secret in self._secrets]
        # All are compared, so that the time does not tell which secret fits.
        return sum(hmac.compare_digest(given, digest) for digest in digests) > 0


def _parse_claims(data: str) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
        if base64.urlsafe_b64encode(raw).rstrip(b"=") != data.encode():
            raise Unauthenticated("The signed instance is not canonical.")
        claims = json.loads(
            raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError, binascii.Error):
        raise Unauthenticated("The signed instance is not JSON.") from None
    if not isinstance(claims, dict):
        raise Unauthenticated("The signed instance is not a JSON object.")
    return claims


def _is_over(moment: object) -> bool:
    """Return whether an expiration date is past; a missing or malformed date never is."""
    try:
        until = datetime.fromisoformat(moment if isinstance(moment, str) else "")
    except ValueError:
        return False
    return until.replace(tzinfo=until.tzinfo or UTC) < datetime.now(UTC)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    claims = dict(pairs)
    if len(claims) != len(pairs):
        raise ValueError("a key is there twice")
    return claims


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
