"""The key pair by which a fake Wix signs its webhooks: RS256, as Wix (RFC 7518, 3.3)."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

__all__ = ["WebhookKey", "compact", "encode", "foreign_key", "own_key"]

_BITS: Final = 2048  # as Wix's keys
_KID_DIGITS: Final = 8  # the length of Wix's `kid`


class WebhookKey:
    """An RSA key, with the `kid` that Wix's tokens name: eight characters, another for each key.

    Attributes:
        kid: The name of the key.
        public_pem: The public key in PEM, as Wix's dashboard shows it.
        public_der: The same in DER.
        private: The private key.
    """

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        public = private.public_key()
        self.private = private
        self.public_der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public_pem = public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ).decode()
        self.kid = hashlib.sha256(self.public_der).hexdigest()[:_KID_DIGITS]

    @classmethod
    def make(cls) -> WebhookKey:
        """Return a new key; on one core it takes a tenth of a second."""
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=_BITS))

    @classmethod
    def read(cls, pem: str) -> WebhookKey:
        """Return the key in this PEM.

        Raises:
            ValueError: It is no private RSA key, or a password protects it.
        """
        private = load_pem_private_key(pem.encode(), password=None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError("the webhook key must be an RSA key")  # noqa: TRY004 - its content
        return cls(private)

    @property
    def header(self) -> dict[str, Any]:
        """The header of Wix's tokens, which has no `typ`."""
        return {"kid": self.kid, "alg": "RS256"}

    def sign(self, claims: dict[str, Any], *, header: dict[str, Any] | None = None) -> str:
        """Return the JWT with these claims, and with Wix's header unless another is given."""
        return self.sign_text(compact(claims), header=header)

    def sign_text(self, payload: str, *, header: dict[str, Any] | None = None) -> str:
        """Return the JWT with this payload, which need not be JSON."""
        signed = f"{encode(compact(header or self.header))}.{encode(payload)}"
        signature = self.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"


@cache
def own_key() -> WebhookKey:
    """Return the key of the fake Wixes of this process; the first call makes it."""
    return WebhookKey.make()


@cache
def foreign_key() -> WebhookKey:
    """Return the key of a stranger; the first call makes it."""
    return WebhookKey.make()


def encode(value: str | bytes) -> str:
    """Return base64url without padding."""
    raw = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(value: Any) -> str:
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))
