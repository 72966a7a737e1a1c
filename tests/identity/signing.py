"""Signing instances as Wix does, and wrongly."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
from datetime import UTC, datetime
from typing import Any

from tests.support import SITE
from wix_asgi import WixSettings
from wix_asgi.identity.signed_callers import SignedCallers
from wix_asgi.protocol.signed_instance import SignedInstances

SECRET = "test-app-secret-number-one"
OLD_SECRET = "test-app-secret-number-two"
BASE64URL = string.ascii_letters + string.digits + "-_"
NOW = datetime.now(UTC)
CLAIMS = {
    "instanceId": SITE,
    "appDefId": "app-1",
    "signDate": NOW.isoformat(),
    "permissions": "OWNER",
    "uid": "user-1",
}


def settings(**given: Any) -> WixSettings:
    """Return settings that are right but for the given ones."""
    right = {"app_id": "app-1", "app_secret": SECRET, "public_url": "https://app.example.com"}
    return WixSettings.load(**{**right, **given})


def encode(raw: bytes) -> str:
    """Encode as Wix does."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign_data(data: str, secret: str = SECRET) -> str:
    """Sign `data` as it is written."""
    return f"{encode(hmac.digest(secret.encode(), data.encode(), hashlib.sha256))}.{data}"


def sign(payload: object, secret: str = SECRET) -> str:
    """Sign a payload: JSON of it, or the bytes that it is."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return sign_data(encode(raw), secret)


INSTANCES = SignedInstances(settings())
CALLERS = SignedCallers(settings())
GOOD = sign(CLAIMS)
