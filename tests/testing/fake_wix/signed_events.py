"""The content of a webhook's token, read as the pages of Wix say, without code of ours."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

__all__ = ["Endpoint", "claims_of", "header_of", "is_signed_by", "layers_of"]


def header_of(token: str) -> dict[str, Any]:
    """Return the header."""
    return _json(token.partition(".")[0])


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims, unverified."""
    return _json(token.split(".")[1])


def layers_of(token: str) -> tuple[dict[str, Any], Any]:
    """Return the second and the third layer (Wix, "Handle Events with Webhooks")."""
    event = json.loads(claims_of(token)["data"])
    return event, json.loads(event["data"])


def is_signed_by(public_key: str, token: str) -> bool:
    """Return whether the token has an RS256 signature by this key."""
    key = load_pem_public_key(public_key.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    signed, _, signature = token.rpartition(".")
    try:
        key.verify(_bytes(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


class Endpoint:
    """A webhook endpoint that keeps its requests, and answers with the next status of a list."""

    def __init__(self, *statuses: int) -> None:
        self.bodies: list[str] = []
        self.paths: list[str] = []
        self.types: list[str | None] = []
        self._statuses = list(statuses)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 once the list has ended."""
        request = Request(scope, receive)
        self.bodies.append((await request.body()).decode(errors="replace"))
        self.paths.append(request.url.path)
        self.types.append(request.headers.get("content-type"))
        status = self._statuses.pop(0) if self._statuses else 200
        await PlainTextResponse("", status)(scope, receive, send)

    @property
    def events(self) -> list[str]:
        """The types of the events, in the order of their arrival."""
        return [layers_of(body)[0]["eventType"] for body in self.bodies]


def _json(part: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(_bytes(part))
    return value


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
