"""The API behind an access token: the app instance, BI events, some products, and an echo."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wix_asgi.testing.fake_wix._grants import Grants
from wix_asgi.testing.fake_wix._wire import api_refusal, parse_json, read_object
from wix_asgi.testing.fake_wix.world import World, site_id

__all__ = ["SiteApi"]

# Wix, "Send BI Event"; without UNKNOWN, which no app sends on purpose.
_EVENTS: Final = (
    "APP_DASHBOARD_LOADED",
    "APP_FINISHED_CONFIGURATION",
    "APP_UPGRADED",
    "PRIMARY_ACTION_PERFORMED",
    "CUSTOM",
    "CHARGE",
    "FUNDS_RETURNED",
    "APP_FINISH_BUSINESS_SETUP",
    "APP_DEPLOYED",
    "APP_SETUP_FINISHED",
)
_EVENT_FIELDS: Final = frozenset({"eventName", "customEventName", "eventData"})
_GOODS: Final = (("Mug", 12), ("Tote bag", 18), ("Gift card", 25))


class SiteApi:
    """Endpoints that require `Authorization: <live access token>`, without `Bearer`.

    Refusals have Wix's standard shape; Wix does not document its answer to an expired token.
    """

    def __init__(self, world: World, grants: Grants) -> None:
        self._world = world
        self._grants = grants

    async def instance(self, request: Request) -> Response:
        """Get App Instance."""
        return JSONResponse(_app_instance(self._world, self._caller(request)))

    async def bi_event(self, request: Request) -> Response:
        """Send BI Event."""
        self._caller(request)
        event = await read_object(request, api_refusal, "INVALID_ARGUMENT")
        if event.get("eventName") not in _EVENTS:
            _refuse_event("eventName is not one that there is")
        if event.keys() - _EVENT_FIELDS:
            _refuse_event("unknown field")
        name = event.get("customEventName")
        if (name is None) is (event["eventName"] == "CUSTOM"):
            _refuse_event("customEventName goes with CUSTOM, and only with it")
        if name is not None and not (isinstance(name, str) and len(name) >= 2):
            _refuse_event("customEventName has two letters at least")
        if not _is_text_map(event.get("eventData", {})):
            _refuse_event("eventData maps text to text")
        return JSONResponse({})

    async def products(self, request: Request) -> Response:
        """Return the three products that every site sells, always the same ones."""
        instance_id = self._caller(request)
        site = self._world.sites[instance_id]
        products = [_product(instance_id, site, *goods) for goods in _GOODS]
        return JSONResponse({"products": products, "totalResults": len(products)})

    async def echo(self, request: Request) -> Response:
        """Answer with the request itself, and with the site of its access token."""
        instance_id = self._caller(request)
        return JSONResponse(
            {
                "method": request.method,
                "path": request.url.path,
                "query": _query(request),
                "instanceId": instance_id,
                "siteDisplayName": self._world.sites[instance_id],
                "headers": {k: v for k, v in request.headers.items() if k != "authorization"},
                "body": _body(request.headers.get("content-type", ""), await request.body()),
            }
        )

    def _caller(self, request: Request) -> str:
        tokens = request.headers.getlist("authorization")
        if len(tokens) != 1:
            raise api_refusal(401, "UNAUTHENTICATED", "one Authorization header is expected")
        grant = self._grants.live(tokens[0])
        if grant is None:
            raise api_refusal(401, "UNAUTHENTICATED", "the access token is unknown or has expired")
        return grant.instance_id


def _app_instance(world: World, instance_id: str) -> dict[str, Any]:
    return {
        "instance": {
            "instanceId": instance_id,
            "appName": world.app_name,
            "appVersion": "1.0.0",
            "isFree": True,
            "permissions": list(world.permissions),
            "availablePlans": [],
            "copiedFromTemplate": False,
            "freeTrialAvailable": False,
        },
        "site": {
            "siteDisplayName": world.sites[instance_id],
            "locale": "en",
            "paymentCurrency": "EUR",
            "multilingual": {"isMultiLingual": False, "supportedLanguages": []},
            "url": f"{world.url}/site/{site_id(instance_id)}",
            "description": "",
            "installedWixApps": ["stores"],
            "siteId": site_id(instance_id),
        },
    }


def _product(instance_id: str, site: str, goods: str, base_price: int) -> dict[str, Any]:
    # A few cents of difference tell the products of two sites apart.
    cents = hashlib.sha256(f"{instance_id} {goods}".encode()).digest()[0] % 100
    price = round(base_price + cents / 100, 2)
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"fake-wix:{instance_id}:{goods}")),
        "name": f"{site} {goods}",
        "slug": goods.lower().replace(" ", "-"),
        "visible": True,
        "price": {"currency": "EUR", "price": price, "formatted": {"price": f"{price:.2f} €"}},
        "stock": {"inStock": True, "quantity": 1 + cents % 20},
    }


def _query(request: Request) -> dict[str, str | list[str]]:
    values: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(request.url.query, keep_blank_values=True):
        before = values.get(name)
        if before is None:
            values[name] = value
        else:
            values[name] = [*(before if isinstance(before, list) else [before]), value]
    return values


def _body(content_type: str, body: bytes) -> Any:
    if content_type.partition(";")[0].strip().lower() == "application/json":
        try:
            return parse_json(body)
        except ValueError as exc:
            raise api_refusal(400, "INVALID_ARGUMENT", "the body is not JSON") from exc
    return body.decode(errors="replace") if body else None


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _refuse_event(why: str) -> NoReturn:
    raise api_refusal(400, "INVALID_ARGUMENT", why)
