"""The public API as type checkers see it: read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, assert_type

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from wix_asgi import (
    AppInstalled,
    HandshakeRefused,
    Identity,
    Installation,
    NotInstalled,
    PaidPlanAutoRenewalCancelled,
    PaidPlanPurchased,
    Reason,
    Storage,
    WebhookEvent,
    Wix,
    WixClient,
    WixMiddleware,
    WixSettings,
    WixUnavailable,
    get_wix,
    open_storage,
)
from wix_asgi._http import httpx
from wix_asgi.fastapi import WixDep
from wix_asgi.testing import Call, FakeSite, FakeWix


async def resolve(connection: HTTPConnection) -> str | None:
    """Say who calls, by the app's own means."""
    return connection.headers.get("x-site")


def resolve_at_once(connection: HTTPConnection) -> Identity | None:
    """Say who calls, without waiting."""
    return Identity("site-1") if connection.cookies else None


def after_install(installation: Installation) -> Response:
    """Answer an install."""
    return Response(installation.instance_id)


starlette_app = Starlette(middleware=[Middleware(WixMiddleware, storage="memory://")])
starlette_app.add_middleware(WixMiddleware)
starlette_app.add_middleware(WixMiddleware, app_id="app-1", finish_setup=True)

WixMiddleware(starlette_app)
WixMiddleware(starlette_app, Wix())
WixMiddleware(starlette_app, storage=open_storage("memory://"), resolve_identity=resolve)
WixMiddleware(starlette_app, previous_app_secrets=["one"], encryption_keys=["two"], state_ttl=60)
WixMiddleware(starlette_app, public_key="-----BEGIN", webhooks="store", webhook_concurrency=8)
WixMiddleware(starlette_app, token_cache=50_000)
WixMiddleware(starlette_app, public_key=["one", "two"], webhook_path="/events")
WixMiddleware(starlette_app, transport=httpx.AsyncHTTPTransport())
Wix(app_id="app-1", app_secret="test-app-secret", public_url="https://app.example.com")

wix = Wix(storage="sqlite:///wix.db")
Wix(resolve_identity=resolve_at_once, on_install=after_install, on_error=lambda refusal: None)
Wix(on_uninstall=lambda installation: None)
Starlette(middleware=[Middleware(WixMiddleware, wix), Middleware(WixMiddleware)])
starlette_app.add_middleware(WixMiddleware, wix)
assert_type(WixMiddleware(starlette_app, wix), WixMiddleware)
assert_type(WixMiddleware(starlette_app, wix).wix, Wix)
assert_type(wix.client("site-1"), WixClient)
assert_type(wix.storage, Storage)
assert_type(wix.on_install(after_install)(Installation("a", "b", datetime.now(UTC))), Response)


@wix.on_install
async def welcome(installation: Installation, request: Request) -> Response | None:
    """Answer an install."""
    assert_type(installation.instance_id, str)
    assert_type(get_wix(request), WixClient)
    return None


@wix.on_install
def count(installation: Installation) -> None:
    """Count an install."""


@wix.on_uninstall
def forget(installation: Installation) -> None:
    """Forget a site."""


@wix.on_error
async def explain(refusal: HandshakeRefused) -> Response:
    """Answer a refusal."""
    assert_type(refusal.reason, Reason)
    return Response(refusal.reason.value, refusal.status)


async def route(request: Request) -> httpx.Response:
    """Call Wix from a route."""
    client = get_wix(request)
    assert_type(client, WixClient)
    assert_type(client.identity, Identity | None)
    assert_type(await client.identify(), Identity)
    assert_type(await client.post("/x", json={"a": 1}), httpx.Response)
    return await client.get("/stores/v1/products", params={"limit": 1})


async def socket(websocket: WebSocket) -> None:
    """Call Wix from a websocket."""
    assert_type(await get_wix(websocket).get("/x"), httpx.Response)


async def fastapi_route(wix: WixDep) -> None:
    """Call Wix from a FastAPI route."""
    assert_type(wix, WixClient)


async def takes_any_client(client: httpx.AsyncClient) -> None:
    """Be a library that knows httpx only."""
    await client.get("/x")


async def job() -> None:
    """Call Wix without a request."""
    async with Wix() as opened:
        assert_type(opened, Wix)
        assert_type(opened.settings, WixSettings)
        assert_type(opened.installations(), AsyncIterator[Installation])
        async for installation in opened.installations():
            client = opened.client(installation.instance_id)
            assert_type(client, WixClient)
            await takes_any_client(client)
        await opened.finish_setup("site-1")
        assert_type(await opened.remove("site-1"), bool)
        assert_type(await opened.remove("site-1", installed_before=datetime.now(UTC)), bool)
        assert_type(opened.only_one("job"), AbstractAsyncContextManager[None])
        async with opened.only_one("job") as nothing:
            assert_type(nothing, None)


async def store(storage: Storage) -> None:
    """Use a storage by itself."""
    async with storage as same:
        assert_type(await same.claim("name", "owner", 1.0), bool)


def by_site(call: Call) -> dict[str, str | None]:
    """Answer by the site."""
    return {"site": call.instance_id}


fake = FakeWix(sites={"site-1": "Yoga", "site-2": FakeSite("Bakery", [{"name": "Bread"}])})
fake.answer("GET", "/x", json={"a": 1}, status=201, headers={"x-a": "1"}, times=1)
fake.answer("*", "/x/*", by_site, instance_id="site-1")
fake.answer("GET", "/y", lambda call: Response(call.path))
fake.echo("/z")
assert_type(fake.sites, dict[str, str])
fake.products("site-2").append({"name": "Cake"})


@wix.on(AppInstalled)
async def note_install(event: AppInstalled) -> None:
    """Handle one class of events."""
    assert_type(event.origin_instance_id, str | None)


@wix.on(PaidPlanPurchased)
@wix.on(AppInstalled)
def note_either(event: AppInstalled | PaidPlanPurchased) -> int:
    """Handle two classes of events."""
    return event.attempt


async def read_install(event: AppInstalled) -> None:
    """Handle events of a class that is not registered for it here."""


wix.on(PaidPlanPurchased)(read_install)  # type: ignore[arg-type] # mypy wants it: it is checked


@wix.on("*", max_attempts=3, handler_timeout=30)
def note_event(event: WebhookEvent) -> None:
    """Handle all events."""


def plain_event(event: WebhookEvent) -> str:
    """Read an event of any kind."""
    assert_type(event.issued_at, datetime)
    assert_type(event.attempt, int)
    assert_type(event.client, WixClient)
    return f"{event.event_type} {event.instance_id} {event.id} {event.data['entity']['name']}"


assert_type(wix.on(AppInstalled)(plain_event), Callable[[Any], str])


def typed_events(
    installed: AppInstalled, bought: PaidPlanPurchased, cancelled: PaidPlanAutoRenewalCancelled
) -> None:
    """Read the documented fields."""
    plain_event(installed)
    assert_type(installed.origin_instance_id, str | None)
    assert_type(bought.expires_on, datetime | None)
    assert_type(bought.cycle, str | None)
    assert_type(cancelled.cancelled_during_free_trial, bool | None)


def errors(not_installed: NotInstalled, unavailable: WixUnavailable) -> None:
    """Read what errors carry."""
    assert_type(not_installed.status_code, int)
    assert_type(unavailable.retry_after, float)
    assert_type(unavailable.unsent, bool)
