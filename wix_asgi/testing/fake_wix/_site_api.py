"""The API behind an access token: the app instance, BI events, products, and a test's answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from wix_asgi.testing.fake_wix._answers import Answers
from wix_asgi.testing.fake_wix._grants import Grants
from wix_asgi.testing.fake_wix._wire import api_refusal, read_authorization, read_object
from wix_asgi.testing.fake_wix.calls import Call
from wix_asgi.testing.fake_wix.world import World, site_id

__all__ = ["ApiRoute", "SiteApi"]

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


class ApiRoute(Route):
    """An endpoint of the API, which knows nothing of its path by another method."""

    def __init__(
        self, method: str, path: str, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> None:
        super().__init__(path, endpoint, methods=[method])

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return no match where only the path matches: the path is then as unknown as others."""
        match, child_scope = super().matches(scope)
        return (match if match is Match.FULL else Match.NONE), child_scope


class SiteApi:
    """Endpoints that require `Authorization: <live access token>`, without `Bearer`.

    Refusals have Wix's standard shape; Wix does not document its answer to an expired token.
    """

    def __init__(self, world: World, grants: Grants, answers: Answers) -> None:
        self._world = world
        self._grants = grants
        self._answers = answers

    async def instance(self, request: Request) -> Response:
        """Get App Instance."""
        return JSONResponse(_app_instance(self._world, self.caller(request)))

    async def bi_event(self, request: Request) -> Response:
        """Send BI Event."""
        self.caller(request)
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
        """Return the products of the site, all of them for every query."""
        products = self._world.products(self.caller(request))
        return JSONResponse({"products": products, "totalResults": len(products)})

    async def answered(self, call: Call, request: Request) -> Response | None:
        """Return the answer that a test has defined for `call`; None where there is none.

        Raises:
            Refusal: There is one, and the call has no live access token.
        """
        if not self._answers.covers(call):
            return None
        instance_id = self.caller(request)
        answer = self._answers.take(call, instance_id)
        if answer is None:
            return None
        return await answer.respond(replace(call, instance_id=instance_id), request)

    def with_site(self, call: Call) -> Call:
        """Return the call with the site of its access token, if that is live."""
        grant = self._grants.live(call.headers.get("authorization", ""))
        return replace(call, instance_id=grant.instance_id) if grant else call

    def unknown(self, request: Request, known: Sequence[str]) -> NoReturn:
        """Refuse a path or a method that has no answer; `known` are the endpoints of FakeWix.

        Wix does not document its answer: this is a 404 in the standard shape, behind a live access
        token as everything else.

        Raises:
            Refusal: Always.
        """
        self.caller(request)
        there = ", ".join([*self._answers.known(), *known])
        why = (
            f"FakeWix does not know {request.method} {request.url.path}. It knows {there}; "
            "fake.answer(method, path, json=...) defines more."
        )
        raise api_refusal(404, "NOT_FOUND", why)

    def caller(self, request: Request) -> str:
        """Return the site of the access token.

        Raises:
            Refusal: There is no live access token (401), or it is not the app's for a site (403).
        """
        token = read_authorization(request)
        if self._grants.live(token) is None:
            raise api_refusal(401, "UNAUTHENTICATED", "the access token is unknown or has expired")
        grant = self._grants.of_app(token)
        if grant is None or grant.instance_id is None:
            why = "the access token is not the app's, or names no site"
            raise api_refusal(403, "PERMISSION_DENIED", why)
        return grant.instance_id


def _app_instance(world: World, instance_id: str) -> dict[str, Any]:
    origin = world.origins.get(instance_id)
    return {
        "instance": {
            "instanceId": instance_id,
            "appName": world.app_name,
            "appVersion": "1.0.0",
            "isFree": True,
            "permissions": list(world.permissions),
            "availablePlans": [],
            "copiedFromTemplate": origin is not None,
            "freeTrialAvailable": False,
            **({} if origin is None else {"originInstanceId": origin}),
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


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _refuse_event(why: str) -> NoReturn:
    raise api_refusal(400, "INVALID_ARGUMENT", why)
