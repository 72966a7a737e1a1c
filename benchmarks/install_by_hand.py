"""An install as developers write it by hand: FastAPI, a shared httpx client, SQLModel, Fernet.

Once with the steps of ours, and once by Authlib's client for Starlette, which builds an HTTP
client for each exchange and keeps the state in the session's cookie, unclaimed.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from authlib.integrations.starlette_client import OAuth
from cryptography.fernet import Fernet
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp

from benchmarks.stores import peer_engine
from benchmarks.upstream import APP, SECRET
from wix_asgi._http import httpx

__all__ = ["by_authlib", "by_hand"]

_FERNET: Final = Fernet(base64.urlsafe_b64encode(hashlib.sha256(SECRET.encode()).digest()))
_INSTALLER: Final = "https://www.wix.com/installer/install"


class _Base(SQLModel, registry=registry()):
    pass


class Site(_Base, table=True):
    """An installation."""

    instance_id: str = Field(primary_key=True)
    refresh_token: bytes
    access_token: bytes
    expires_at: float


class UsedState(_Base, table=True):
    """A state that was used."""

    nonce: str = Field(primary_key=True)
    used_at: float


def _site(grant: dict[str, Any], instance_id: str) -> Site:
    return Site(
        instance_id=instance_id,
        refresh_token=_FERNET.encrypt(grant["refresh_token"].encode()),
        access_token=_FERNET.encrypt(grant["access_token"].encode()),
        expires_at=(datetime.now(UTC) + timedelta(seconds=300)).timestamp(),
    )


async def _store(session: AsyncSession, grant: dict[str, Any], instance_id: str) -> None:
    await session.merge(_site(grant, instance_id))
    await session.commit()


@asynccontextmanager
async def _tables(url: str) -> AsyncIterator[AsyncEngine]:
    engine = peer_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_Base.metadata.create_all)
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def by_hand(base: str, url: str) -> AsyncIterator[ASGIApp]:
    """Open the app with the steps of ours, for as long as a block lasts."""
    signer = URLSafeTimedSerializer(SECRET)
    app = FastAPI()
    async with _tables(url) as engine, httpx.AsyncClient(base_url=base, timeout=120.0) as client:

        @app.get("/wix/install")
        async def install() -> RedirectResponse:
            browser = secrets.token_urlsafe(32)
            digest = hashlib.sha256(browser.encode()).hexdigest()
            state = signer.dumps([secrets.token_urlsafe(32), digest])
            response = RedirectResponse(f"{_INSTALLER}?appId={APP}&state={state}", 303)
            response.set_cookie("state", browser, secure=True, httponly=True, path="/wix")
            return response

        @app.get("/wix/callback")
        async def callback(
            request: Request,
            code: str,
            state: str,
            instanceId: str,  # noqa: N803 - Wix's name
        ) -> RedirectResponse:
            nonce, digest = signer.loads(state, max_age=900)
            if hashlib.sha256(request.cookies["state"].encode()).hexdigest() != digest:
                raise PermissionError
            async with AsyncSession(engine) as session:
                session.add(UsedState(nonce=nonce, used_at=datetime.now(UTC).timestamp()))
                await session.commit()
            body = {"client_id": APP, "client_secret": SECRET, "code": code}
            answer = await client.post(
                "/oauth/access", json=body | {"grant_type": "authorization_code"}
            )
            grant = answer.raise_for_status().json()
            token = {"token": grant["access_token"]}
            info = (await client.post("/oauth2/token-info", json=token)).raise_for_status().json()
            if info["clientId"] != APP or info["instanceId"] != instanceId:
                raise PermissionError
            async with AsyncSession(engine) as session:
                await _store(session, grant, info["instanceId"])
            return RedirectResponse("/", 303)

        yield app


@asynccontextmanager
async def by_authlib(base: str, url: str) -> AsyncIterator[ASGIApp]:
    """Open the app of Authlib's client, for as long as a block lasts."""
    oauth = OAuth()
    oauth.register(
        "wix",
        client_id=APP,
        client_secret=SECRET,
        authorize_url=_INSTALLER,
        access_token_url=f"{base}/oauth/access",
        # Of 32 at once the last waits for the contexts of TLS that the others build.
        client_kwargs={"timeout": 120.0},
    )
    app = FastAPI()
    async with _tables(url) as engine, httpx.AsyncClient(base_url=base, timeout=120.0) as client:

        @app.get("/wix/install")
        async def install(request: Request) -> Any:
            return await oauth.wix.authorize_redirect(request, "https://app.example.com/back")

        @app.get("/wix/callback")
        async def callback(
            request: Request,
            instanceId: str,  # noqa: N803 - Wix's name
        ) -> RedirectResponse:
            grant = await oauth.wix.authorize_access_token(request)
            token = {"token": grant["access_token"]}
            info = (await client.post("/oauth2/token-info", json=token)).raise_for_status().json()
            if info["clientId"] != APP or info["instanceId"] != instanceId:
                raise PermissionError
            async with AsyncSession(engine) as session:
                await _store(session, grant, info["instanceId"])
            return RedirectResponse("/", 303)

        yield SessionMiddleware(app, SECRET, https_only=True)
