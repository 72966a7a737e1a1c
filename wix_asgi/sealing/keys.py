"""Keys: reading an operator's keys, and deriving a key for each purpose from a secret."""

from __future__ import annotations

import base64
import re
from typing import Final

__all__ = ["derive_key", "parse_key"]

KEY_BYTES: Final = 32
"""The length of a key of AES-256, in bytes."""

_MIN_DIFFERENT_BYTES: Final = 16
"""32 random bytes have about 30 different values; a generator never gives fewer than 16."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{43}=?")
_URL_SAFE = str.maketrans("-_", "+/")
_HEX = re.compile(r"[0-9A-Fa-f]{64}")


def derive_key(secret: str, purpose: str) -> bytes:
    """Derive 32 bytes for `purpose` from `secret` (RFC 5869), so that no two uses share a key."""
    # Here, since they load a library in Rust, which no process needs before its settings are read.
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    hkdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=b"wix-asgi", info=purpose.encode())
    return hkdf.derive(secret.encode())


def parse_key(text: str) -> bytes:
    """Read a 256-bit key written as base64, base64url or hex.

    Raises:
        ValueError: The key is not 32 bytes long, or not random. The message shows no part of it.
    """
    key = _decode(text.strip())
    if len(set(key)) < _MIN_DIFFERENT_BYTES:
        raise ValueError("must be random: this key repeats itself")
    return key


def _decode(text: str) -> bytes:
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    if not _BASE64.fullmatch(text):
        raise ValueError("must be 32 random bytes, written as base64 or hex")
    return base64.b64decode(text.rstrip("=").translate(_URL_SAFE) + "=", validate=True)
