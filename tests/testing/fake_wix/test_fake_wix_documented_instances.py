"""Signed instances of a fake Wix are read as the pages of Wix say, without code of ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from wix_asgi.testing import FakeWix


def by_the_docs(instance: str, secret: str) -> dict[str, Any] | None:
    """Return the claims (Wix, "Parse the Encoded App Instance Data"); None for a forgery.

    The part before the dot is the HMAC-SHA256 of the encoded part behind it, both in base64url.
    """
    signature, data = instance.split(".")
    digest = hmac.new(secret.encode(), data.encode(), hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    if not hmac.compare_digest(expected, signature):
        return None
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(data + "=="))
    return claims


@pytest.mark.parametrize("site", range(3))
def test_a_signed_instance_verifies_by_the_docs(fake: FakeWix, site: int) -> None:
    """The instance of each site is genuine, is in compact JSON, and names the site."""
    instance_id = list(fake.sites)[site]
    instance = fake.signed_instance(instance_id)
    claims = by_the_docs(instance, fake.app_secret)
    data = instance.split(".")[1]
    written = base64.urlsafe_b64decode(data + "==").decode()

    assert claims is not None
    assert (instance_id, "OWNER") == (claims["instanceId"], claims["permissions"])
    assert json.dumps(claims, separators=(",", ":")) == written


def test_another_secret_is_a_forgery_by_the_docs(fake: FakeWix) -> None:
    """An instance under the secret of another app is refused."""
    assert by_the_docs(fake.signed_instance(fake.site()), "another-app-secret") is None
