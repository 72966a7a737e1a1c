"""The content of signed instances, unverified."""

from __future__ import annotations

import base64
import json
from typing import Any

__all__ = ["read_claims", "read_json"]


def read_json(instance: str) -> str:
    """Return the JSON of a signed instance as it is written."""
    data = instance.partition(".")[2]
    return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)).decode()


def read_claims(instance: str) -> dict[str, Any]:
    """Return the claims of a signed instance."""
    claims: dict[str, Any] = json.loads(read_json(instance))
    return claims
