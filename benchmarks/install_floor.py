"""The floor of an install: the same steps by the least code, pure ASGI, aiohttp and raw drivers.

A state minted and signed, its cookie set; state and cookie checked, the state claimed, the code
exchanged, the token's owner asked of Wix, both tokens sealed, and the installation stored.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.stores import RawStore, Row, raw_store
from benchmarks.upstream import APP, SECRET

__all__ = ["floor"]


class Floor:
    """The app of the floor."""

    def __init__(self, store: RawStore, session: aiohttp.ClientSession, base: str) -> None:
        self._store = store
        self._session = session
        self._base = base
        self._key = hashlib.sha256(SECRET.encode()).digest()
        self._cipher = AESGCM(self._key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = dict(parse_qsl(scope["query_string"].decode()))
        begins = scope["path"] == "/wix/install"
        headers = self._begin() if begins else await self._finish(scope, query)
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def _begin(self) -> list[tuple[bytes, bytes]]:
        browser = secrets.token_urlsafe(32)
        digest = hashlib.sha256(browser.encode()).hexdigest()
        signed = f"{secrets.token_urlsafe(32)}.{int(time.time())}.{digest}"
        state = f"{signed}.{self._sign(signed)}"
        return [
            (b"location", f"https://www.wix.com/installer/install?state={state}".encode()),
            (b"set-cookie", f"state={browser}; Secure; HttpOnly; Path=/wix".encode()),
        ]

    async def _finish(self, scope: Scope, query: dict[str, str]) -> list[tuple[bytes, bytes]]:
        signed, _, signature = query["state"].rpartition(".")
        nonce, minted, digest = signed.split(".")
        cookie = next(value for name, value in scope["headers"] if name == b"cookie")
        browser = cookie.decode().partition("=")[2]
        if not (
            hmac.compare_digest(signature, self._sign(signed))
            and hmac.compare_digest(digest, hashlib.sha256(browser.encode()).hexdigest())
            and time.time() - int(minted) < 900
            and await self._store.claim(nonce.encode(), secrets.token_hex(8), 900_000)
        ):
            raise PermissionError
        credentials = {"client_id": APP, "client_secret": SECRET, "code": query["code"]}
        body = credentials | {"grant_type": "authorization_code"}
        grant = await self._post("/oauth/access", body)
        info = await self._post("/oauth2/token-info", {"token": grant["access_token"]})
        if info["clientId"] != APP or info["instanceId"] != query["instanceId"]:
            raise PermissionError
        await self._store.put(
            Row(
                info["instanceId"].encode(),
                APP.encode(),
                secrets.token_hex(16),
                self._seal(grant["refresh_token"]),
                self._seal(grant["access_token"]),
                300_000,
                300_000,
            )
        )
        return [(b"location", b"https://app.example.com/")]

    def _seal(self, text: str) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, text.encode(), None)

    async def _post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        async with self._session.post(f"{self._base}{path}", json=body) as response:
            found: dict[str, Any] = json.loads(await response.read())
            return found


@asynccontextmanager
async def floor(base: str, url: str) -> AsyncIterator[ASGIApp]:
    """Open the app over the store at this URL, for as long as a block lasts."""
    async with raw_store(url) as store, aiohttp.ClientSession() as session:
        yield Floor(store, session, base)
