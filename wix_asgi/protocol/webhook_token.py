"""The token that Wix sends as the body of a webhook: a JWT, signed with the app's webhook key.

Its header is `{"kid", "alg": "RS256"}`, its claims `data`, `iat` and `exp` (Wix, "Handle Events
with Webhooks"). The key is in the settings alone: no header says which key, or which address, may
verify (RFC 8725, sections 3.1 to 3.10).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

from wix_asgi.protocol.strict_json import read_json
from wix_asgi.protocol.webhook_event import SignedEvent, read_event

__all__ = ["ForgedToken", "WebhookTokens"]

_ALGORITHM: Final = "RS256"
_PARTS: Final = 3
_TYPE: Final = "JWT"
_ISSUER: Final = "wix.com"
"""The `iss` of Wix's calls that have one, such as those of service plugins; webhooks have none."""

_LEEWAY: Final = 60
"""Seconds by which Wix's clock may differ from ours: both keep NTP's time."""

_MAX_LIFETIME: Final = 60 * 86400
"""Seconds between `iat` and `exp`. Wix's tokens have 3,600,000, which are 41.7 days."""

_MAX_TOKEN: Final = 1_000_000
"""Bytes of a token (R42), whose check takes a millisecond for each key; Wix's have kilobytes."""

_MAX_HEADER: Final = 8192
"""Bytes of an encoded header, which nobody has signed yet; Wix's have 54."""

_MAX_SIGNATURE: Final = 2048
"""Bytes of an encoded signature; a key of 8192 bits makes 1366, and Wix's of 2048 bits 342."""


class ForgedToken(ValueError):
    """A token that is not Wix's, is over, or is no event; the message says why, and shows nothing.

    It ends inside wix-asgi, whose answer is 401.
    """


class WebhookTokens:
    """Verifies tokens with the app's public keys, tried in order; immutable.

    A token of two kilobytes takes 70 µs, and each key that does not fit 30 µs more (measured).
    """

    def __init__(
        self,
        public_keys: Sequence[str],
        *,
        app_id: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the keys as PEM; `clock` gives the seconds since the epoch.

        Raises:
            ValueError: A key is no RSA key in PEM.
        """
        # Here, since joserfc takes a tenth of a second to load, which apps without webhooks save.
        from wix_asgi.protocol._token_signature import TokenSignature  # noqa: PLC0415

        self._signature = TokenSignature(public_keys)
        self._app_id = app_id
        self._clock = clock

    def verify(self, body: bytes) -> SignedEvent:
        """Return the event in `body`, which may have white space around it.

        Raises:
            ForgedToken: It is no token of Wix for this app, is over, or has no event in it.
        """
        try:
            return self._read(body.strip())
        except ValueError as exc:
            problem = str(exc)
        # Raised out here, without a context, and from a frame without the token: an error tracker
        # shows the variables of frames.
        del body
        raise ForgedToken(problem)

    def _read(self, token: bytes) -> SignedEvent:
        """Return the event; each error has a sentence that shows nothing of the token."""
        # Bounded: a body of dots would become a million parts.
        parts = token.split(b".", _PARTS)
        if len(parts) != _PARTS:
            raise ForgedToken("The body is no signed token.")
        header, payload, signature = parts
        is_small = len(token) <= _MAX_TOKEN and len(header) <= _MAX_HEADER
        if not is_small or len(signature) > _MAX_SIGNATURE:
            raise ForgedToken("The body is no signed token.")
        _check_header(_read_object(header))
        if not self._signature.is_good(header, payload, signature):
            raise ForgedToken("The token is not signed with the app's webhook key.")
        claims = _read_object(payload)
        issued_at = self._check_times(claims)
        if claims.get("iss", _ISSUER) != _ISSUER:
            raise ForgedToken("The token is not issued by Wix.")
        audience = claims.get("aud", self._app_id)
        if self._app_id not in (audience if isinstance(audience, list) else [audience]):
            raise ForgedToken("The token is for another app.")
        text = claims.get("data")
        if not isinstance(text, str):
            raise ForgedToken("The token has no event in it.")
        return read_event(text, issued_at)

    def _check_times(self, claims: dict[str, Any]) -> datetime:
        """Return the moment of `iat`."""
        now = self._clock()
        issued, expires, earliest = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
        if not _is_seconds(issued) or not _is_seconds(expires) or not _is_seconds(earliest):
            raise ForgedToken("The token's iat, exp or nbf is no whole number of seconds.")
        if expires <= now - _LEEWAY:
            raise ForgedToken("The token has expired.")
        if max(issued, earliest) > now + _LEEWAY:
            raise ForgedToken("The token is of the future: compare this host's clock.")
        if not issued < expires <= issued + _MAX_LIFETIME:
            raise ForgedToken("The token is good for longer than any of Wix's.")
        return datetime.fromtimestamp(issued, UTC)


def _check_header(header: dict[str, Any]) -> None:
    if header.get("alg") != _ALGORITHM:
        raise ForgedToken("The token is not signed with RS256.")
    # They change how a token is to be read (RFC 7515, 4.1.11, and RFC 7797); Wix has none.
    if "crit" in header or "b64" in header:
        raise ForgedToken("The token's header has critical parameters.")
    # The same key signs tokens of other kinds (RFC 8725, 3.11); those of webhooks have no type.
    if header.get("typ", _TYPE) != _TYPE:
        raise ForgedToken("The token is of another type.")


def _read_object(part: bytes) -> dict[str, Any]:
    try:
        raw = base64.b64decode(part + b"=" * (-len(part) % 4), b"-_", validate=True)
        value = read_json(raw.decode())
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ForgedToken("The token has a header or claims that are no JSON object.")
    return value


def _is_seconds(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
