"""Sealing tokens at rest: AES-256-GCM with a key ring, each seal bound to one field of a record.

A sealed token is `0x01 | key id (4) | nonce (12) | ciphertext and tag`. Its associated data are
the app id, the instance id, the name of the field and the key id, so that a seal copied to another
record or field cannot be opened there. Nonces are random: one key is good for 2**32 seals (NIST SP
800-38D, 8.3), which at one refresh every five minutes is 400 sites for a century.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wix_asgi.errors import UnknownKey, UnsealError

__all__ = ["Vault"]

_FORMAT: Final = b"\x01"
# Enough to tell the few keys of one ring apart; the seal itself says whether the key is right.
_KEY_ID_BYTES: Final = 4
# The length for which GCM needs no further hashing (NIST SP 800-38D, 5.2.1.1).
_NONCE_BYTES: Final = 12
_HEADER: Final = 1 + _KEY_ID_BYTES + _NONCE_BYTES


class Vault:
    """A key ring that seals with its first key and opens with all of them; safe to share."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take keys of 32 bytes, newest first."""
        self._ring = {_key_id(key): AESGCM(key) for key in reversed(keys)}
        self._newest = _key_id(keys[0])

    def __repr__(self) -> str:
        return f"<Vault of {len(self._ring)} keys>"

    @property
    def newest_id(self) -> str:
        """The id of the key that seals, eight hexadecimal digits; it says nothing of the key."""
        return self._newest.hex()

    def is_newest(self, sealed: bytes) -> bool:
        """Return whether `sealed` names the newest key as the key that sealed it."""
        return sealed[: 1 + _KEY_ID_BYTES] == _FORMAT + self._newest

    def seal(self, plain: str, *, app_id: str, instance_id: str, field: str) -> bytes:
        """Seal `plain` for one field of one installation."""
        nonce = os.urandom(_NONCE_BYTES)
        data = _associated_data(app_id, instance_id, field, self._newest)
        sealed = self._ring[self._newest].encrypt(nonce, plain.encode(), data)
        return _FORMAT + self._newest + nonce + sealed

    def unseal(self, sealed: bytes, *, app_id: str, instance_id: str, field: str) -> str:
        """Open a sealed token that `seal` made for the same field of the same installation.

        Raises:
            UnknownKey: Its key is not in the ring; the error names the key's id.
            UnsealError: It was changed, or belongs to another field or installation.
        """
        if len(sealed) < _HEADER or sealed[:1] != _FORMAT:
            raise UnsealError
        key_id = sealed[1 : 1 + _KEY_ID_BYTES]
        if key_id not in self._ring:
            raise UnknownKey(key_id.hex())
        nonce = sealed[1 + _KEY_ID_BYTES : _HEADER]
        data = _associated_data(app_id, instance_id, field, key_id)
        try:
            return self._ring[key_id].decrypt(nonce, sealed[_HEADER:], data).decode()
        except InvalidTag:
            raise UnsealError from None


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"wix-asgi key id" + key).digest()[:_KEY_ID_BYTES]


def _associated_data(app_id: str, instance_id: str, field: str, key_id: bytes) -> bytes:
    # Each part with its length in front: no two lists of parts give the same bytes.
    # As the storages encode them: a row may have an id with a lone surrogate.
    ids = [part.encode("utf-8", "surrogatepass") for part in (app_id, instance_id, field)]
    parts = [*ids, key_id]
    return b"".join([len(part).to_bytes(4) + part for part in parts])
