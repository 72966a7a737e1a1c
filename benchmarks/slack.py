"""Slack Bolt, the nearest peer: its install on its stores for SQLAlchemy, and its events."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.oauth.installation_store.sqlalchemy import AsyncSQLAlchemyInstallationStore
from slack_sdk.oauth.state_store.sqlalchemy import AsyncSQLAlchemyOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.stores import peer_engine

__all__ = ["by_slack", "slack_events", "slack_headers"]

_SIGNING_SECRET: Final = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of nothing
_CLIENT_ID: Final = "1.2"


def _served(app: AsyncApp) -> ASGIApp:
    handler = AsyncSlackRequestHandler(app)

    async def endpoint(request: Request) -> Response:
        return await handler.handle(request)

    paths = {"/wix/install": "GET", "/wix/callback": "GET", "/wix/webhook": "POST"}
    return Starlette(routes=[Route(path, endpoint, methods=[way]) for path, way in paths.items()])


@asynccontextmanager
async def by_slack(base: str, url: str) -> AsyncIterator[ASGIApp]:
    """Open an app that installs, over the store at this URL, for as long as a block lasts."""
    engine = peer_engine(url)
    installations = AsyncSQLAlchemyInstallationStore(client_id=_CLIENT_ID, engine=engine)
    states = AsyncSQLAlchemyOAuthStateStore(expiration_seconds=900, engine=engine)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(installations.metadata.create_all)
            await connection.run_sync(states.metadata.create_all)
        settings = AsyncOAuthSettings(
            client_id=_CLIENT_ID,
            client_secret="secret",  # noqa: S106 - of nothing
            scopes=["chat:write"],
            install_path="/wix/install",
            redirect_uri_path="/wix/callback",
            install_page_rendering_enabled=False,
            installation_store=installations,
            state_store=states,
        )
        client = AsyncWebClient(base_url=f"{base}/api/")
        app = AsyncApp(signing_secret=_SIGNING_SECRET, client=client, oauth_settings=settings)
        # Else the flow makes a client of its own, for Slack itself.
        assert app.oauth_flow is not None  # noqa: S101 - its settings were given
        app.oauth_flow._async_client = client
        yield _served(app)
    finally:
        await engine.dispose()


def slack_events(handled: Callable[[], None]) -> ASGIApp:
    """Return an app whose handler of an event calls `handled`."""

    async def authorize() -> Any:
        from slack_bolt.authorization import AuthorizeResult  # noqa: PLC0415 - used here alone

        return AuthorizeResult(
            enterprise_id=None,
            team_id="T1",
            bot_token="xoxb-1",  # noqa: S106 - of nothing
            bot_id="B1",
            bot_user_id="U1",
        )

    app = AsyncApp(signing_secret=_SIGNING_SECRET, authorize=authorize)

    @app.event("app_mention")
    async def handle() -> None:
        handled()

    return _served(app)


def slack_headers(number: int, size: int) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the body and the headers of one signed event with a text of this size."""
    event = {"type": "app_mention", "user": "U2", "text": "x" * size, "channel": "C1", "ts": "1.0"}
    outer = {"type": "event_callback", "team_id": "T1", "api_app_id": "A1"}
    body = json.dumps(outer | {"event_id": f"Ev{number}", "event": event}).encode()
    moment = str(int(time.time()))
    signed = b"v0:%s:%s" % (moment.encode(), body)
    digest = hmac.new(_SIGNING_SECRET.encode(), signed, hashlib.sha256).hexdigest()
    return body, [
        (b"content-type", b"application/json"),
        (b"x-slack-request-timestamp", moment.encode()),
        (b"x-slack-signature", f"v0={digest}".encode()),
    ]
