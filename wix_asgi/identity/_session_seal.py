"""The cookie of a session: its name, and its sealed value.

The value is a sealed text (`wix_asgi.sealing.vault`) in base64url without padding. Its key serves
nothing else, and its associated data are the app, the name of the cookie and the word `session`:
nothing else of ours can be put in its place, and it is good for nothing else (R31).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wix_asgi.errors import UnsealError
from wix_asgi.sealing.keys import derive_key
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings

__all__ = ["Session", "SessionSeal"]

_PREFIX: Final = "__Host-wix_session-"

_FIELD: Final = "session"

_MAX_COOKIE: Final = 4096
"""Bytes of a name and a value that browsers keep (RFC 6265bis, 5.5)."""


@dataclass(frozen=True, slots=True)
class Session:
    """The facts in a session's cookie.

    Attributes:
        instance_id: The installation that calls.
        generation: The generation of that installation; a reinstall has another one.
        began: The moment of its proof, in seconds since the epoch.
        claims: The claims of the signed instance that began it; None after an install.
    """

    instance_id: str
    generation: str
    began: float
    claims: Mapping[str, Any] | None = field(default=None, repr=False)


class SessionSeal:
    """Seals and opens the sessions of one app with its current keys alone; immutable.

    Attributes:
        prefix: The beginning of the names of all session cookies of the app. Apps on different
            ports of a host share its cookies, so it is the app's own.
    """

    def __init__(self, settings: WixSettings) -> None:
        """Take the app's ID and the key from the settings."""
        self._app_id = settings.app_id
        self._vault = Vault([_key(settings)])
        self.prefix = f"{_PREFIX}{_digest(settings.app_id, 8)}-"

    def name_of(self, instance_id: str) -> str:
        """Return the name of the cookie for a session of this installation."""
        return self.prefix + _digest(instance_id, 16)

    def seal(self, session: Session) -> str | None:
        """Return the value of the session's cookie; None if it is too long for one."""
        name = self.name_of(session.instance_id)
        facts = [session.instance_id, session.generation, session.began, session.claims]
        plain = json.dumps(facts, separators=(",", ":"))
        value = _encode(
            self._vault.seal(plain, app_id=self._app_id, instance_id=name, field=_FIELD)
        )
        return value if len(name) + len(value) <= _MAX_COOKIE else None

    def open(self, name: str, value: str) -> Session | None:
        """Return the session in the value of the cookie of this name; None if there is none."""
        sealed = _decode(value)
        try:
            plain = self._vault.unseal(sealed, app_id=self._app_id, instance_id=name, field=_FIELD)
        except UnsealError:
            return None
        return Session(*json.loads(plain))


def _key(settings: WixSettings) -> bytes:
    """Return the key of the current app secret and encryption key: earlier ones may have leaked."""
    current = settings.app_secret.get_secret_value() + settings.key_ring()[0].hex()
    return derive_key(current, "sessions")


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(value: str) -> bytes:
    """Return the bytes of a value; none for another spelling than `_encode` gives."""
    if len(value) > _MAX_COOKIE:
        return b""
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (ValueError, binascii.Error):
        return b""
    return raw if _encode(raw) == value else b""
