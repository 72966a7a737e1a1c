"""Starlette, with hooks: the app's own pages after an install, and after a refused install.

Run it with `uvicorn examples.starlette_app:app`, with WIX_APP_ID, WIX_APP_SECRET and
WIX_PUBLIC_URL in the environment; with WIX_PUBLIC_KEY it also takes the events of webhooks.
"""

import logging

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from wix_asgi import HandshakeRefused, Installation, Wix, WixMiddleware
from wix_asgi.events import WebhookEvent

log = logging.getLogger("uvicorn.error")
wix = Wix()


@wix.on_install
async def welcome(installation: Installation, request: Request) -> Response:
    """Greet the site by its name; `request.state.wix` is its client already."""
    answer = await request.state.wix.get("/apps/v1/instance")
    name = answer.raise_for_status().json()["site"]["siteDisplayName"]
    return PlainTextResponse(f"Welcome, {name}! You are {installation.instance_id}.")


@wix.on_error
async def sorry(refusal: HandshakeRefused) -> Response | None:
    """Answer in the app's own words if the site owner declined; else leave the page as it is."""
    if refusal.reason == "denied":
        return PlainTextResponse("No hard feelings. Come back any time.", refusal.status)
    return None


@wix.on("PaidPlanPurchased")
async def thank(event: WebhookEvent) -> None:
    """Note a purchase; the same `event.id` may come again if this process is killed meanwhile."""
    plan = event.data["vendorProductId"]
    log.info("%s bought the plan %s (event %s)", event.instance_id, plan, event.id)


async def about(request: Request) -> Response:
    """Show Wix's data about the calling site."""
    answer = await request.state.wix.get("/apps/v1/instance")
    return JSONResponse(answer.json(), answer.status_code)


async def who(request: Request) -> Response:
    """Show the identity of the caller; an unknown caller gets a 401 without further code."""
    identity = await request.state.wix.identify()
    return JSONResponse({"instance": identity.instance_id, "owner": identity.is_owner})


app = Starlette(
    routes=[Route("/about", about), Route("/who", who)],
    middleware=[Middleware(WixMiddleware, wix)],
)
