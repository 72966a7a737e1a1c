"""Signing webhooks as Wix does, and wrongly."""

from __future__ import annotations

import base64
import functools
import json
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support import SITE

__all__ = [
    "APP_ID",
    "LIFETIME",
    "NOW",
    "claims",
    "encode",
    "event_text",
    "pem",
    "private_key",
    "sign",
    "sign_bytes",
]

APP_ID: Final = "test-app-one"
NOW: Final = 1_800_000_000
"""Seconds since the epoch at which the tests' tokens are verified."""

LIFETIME: Final = 3_600_000
"""Seconds between `iat` and `exp` of Wix's own tokens."""


@functools.cache
def private_key(name: str = "wix", bits: int = 2048, exponent: int = 65537) -> RSAPrivateKey:
    """Return a key, the same for each call with these arguments."""
    return generate_private_key(public_exponent=exponent, key_size=bits)


def pem(key: RSAPrivateKey, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> str:
    """Return the public half, as Wix's dashboard shows it."""
    return key.public_key().public_bytes(Encoding.PEM, form).decode()


def event_text(data: Any = None, **changes: Any) -> str:
    """Return the second layer of an event; `data` that are no text become JSON."""
    data = {"appId": APP_ID, "originInstanceId": ""} if data is None else data
    layer = {
        "data": data if isinstance(data, str) else json.dumps(data),
        "instanceId": SITE,
        "eventType": "AppInstalled",
        **changes,
    }
    return json.dumps(layer)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token but for `changes`; None leaves one out."""
    right = {"data": event_text(), "iat": NOW, "exp": NOW + LIFETIME, **changes}
    return {name: value for name, value in right.items() if value is not None}


def encode(raw: bytes) -> bytes:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def sign(payload: object, *, key: RSAPrivateKey | None = None, **header: Any) -> bytes:
    """Return a token with the header of Wix's but for `header`, signed with RS256."""
    full = {"kid": "b7f0c2d1", "alg": "RS256", **header}
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return sign_bytes(json.dumps(full).encode(), raw, key=key)


def sign_bytes(header: bytes, payload: bytes, *, key: RSAPrivateKey | None = None) -> bytes:
    """Return a token of these bytes, signed with RS256 under any header."""
    text = encode(header) + b"." + encode(payload)
    signer = key or private_key()
    return text + b"." + encode(signer.sign(text, padding.PKCS1v15(), hashes.SHA256()))
