"""The signature of a webhook's token, by joserfc: RS256 with the app's own keys, and nothing else.

Imported when the first `WebhookTokens` is made: joserfc takes a tenth of a second to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from joserfc.jwk import RSAKey
from joserfc.jws import CompactSignature, JWSRegistry, validate_compact

__all__ = ["TokenSignature"]

_ALGORITHM: Final = "RS256"
_REGISTRY: Final = JWSRegistry(algorithms=[_ALGORITHM])


class TokenSignature:
    """Checks signatures with the app's public keys, which are parsed once; immutable."""

    def __init__(self, public_keys: Sequence[str]) -> None:
        """Take the keys as PEM; a signature by any of them is good.

        Raises:
            ValueError: One is no key of RSA in PEM.
        """
        self._keys = [RSAKey.import_key(key) for key in public_keys]

    def is_good(self, header: bytes, payload: bytes, signature: bytes) -> bool:
        """Return whether `signature` is genuine; all three are parts of a token, as they came.

        joserfc is handed the parts, and a header with our own words: its function that takes a
        whole token would decode a megabyte which nobody has signed, and read the token's header.
        """
        signed = CompactSignature({"alg": _ALGORITHM}, b"")
        signed.segments.update({"header": header, "payload": payload, "signature": signature})
        return any(validate_compact(signed, key, registry=_REGISTRY) for key in self._keys)
