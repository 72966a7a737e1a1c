"""Answers of Wix, made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping

from wix_asgi._http import httpx


def answer(
    body: object = None, status: int = 200, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Return an answer of Wix: bytes as they are, any other body as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers=headers)
