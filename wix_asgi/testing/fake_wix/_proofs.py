"""The proofs that Wix gives to browsers: the signed instance, and the token of the App URL."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from wix_asgi.sealing.keys import derive_key
from wix_asgi.testing.fake_wix.world import World, owner_id, site_id

__all__ = ["InstallTokens", "read_instance", "sign_instance"]

_DIGEST: Final = 32  # bytes of SHA-256


def sign_instance(world: World, instance_id: str, claims: dict[str, Any]) -> str:
    """Return the signed `instance` of a site; `claims` replace Wix's own, and None removes a claim.

    Its form is `<signature>.<data>`, both in base64url without padding; the signature is
    HMAC-SHA256 of the encoded data with the app secret (Wix, "Parse Encoded App Instance Data").
    """
    # The app under test compares it with the host's clock, not with the fake's.
    signed_at = datetime.fromtimestamp(world.host_clock(), UTC).isoformat(timespec="milliseconds")
    owner = owner_id(instance_id)
    # The claims of today's Wix in its order, without spaces; None stands for a claim left out.
    told = {
        "instanceId": instance_id,
        "appDefId": world.app_id,
        "metaSiteId": site_id(instance_id),
        "signDate": signed_at.replace("+00:00", "Z"),
        "uid": owner,
        "permissions": "OWNER",
        "vendorProductId": None,
        "demoMode": False,
        "originInstanceId": world.origins.get(instance_id),
        "aid": None,
        "biToken": str(uuid.uuid5(uuid.NAMESPACE_URL, f"fake-wix:bi:{instance_id}")),
        "siteOwnerId": owner,
        **claims,
    }
    present = {name: value for name, value in told.items() if value is not None}
    data = _encode(json.dumps(present, separators=(",", ":")).encode())
    return f"{_encode(_mac(world.app_secret.encode(), data.encode()))}.{data}"


def read_instance(world: World, instance: str) -> dict[str, Any]:
    """Return the claims of a signed instance; no claims if its signature is wrong."""
    signature, _, data = instance.partition(".")
    expected = _encode(_mac(world.app_secret.encode(), data.encode(errors="replace")))
    if not hmac.compare_digest(signature.encode(errors="replace"), expected.encode()):
        return {}
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)))
    return claims


class InstallTokens:
    """The opaque `token` of the App URL: long hexadecimal, the signed id of a site.

    A token may be used more than once, and outlives the object that issued it, so that the pages of
    an earlier demo still work.
    """

    def __init__(self, world: World) -> None:
        self._key = derive_key(world.app_secret, f"fake install tokens of {world.app_id}")

    def issue(self, instance_id: str) -> str:
        """Return a new token for this site."""
        content = secrets.token_bytes(_DIGEST) + instance_id.encode()
        return (_mac(self._key, content) + content).hex()

    def read(self, token: str) -> str | None:
        """Return the instance ID of the site in `token`, or None if its signature is wrong."""
        try:
            raw = bytes.fromhex(token)
        except ValueError:
            return None
        signature, content = raw[:_DIGEST], raw[_DIGEST:]
        if not hmac.compare_digest(signature, _mac(self._key, content)):
            return None
        return content[_DIGEST:].decode()


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
