"""Webhooks: a handler that is called again where it fails, and given up after three attempts.

Run it with `uvicorn examples.webhooks:app`, with WIX_APP_ID, WIX_APP_SECRET, WIX_PUBLIC_URL and
WIX_PUBLIC_KEY in the environment.
"""

import logging

from starlette.applications import Starlette
from starlette.middleware import Middleware

from wix_asgi import Wix, WixMiddleware
from wix_asgi.events import PaidPlanPurchased

log = logging.getLogger("uvicorn.error")
wix = Wix()


@wix.on("PaidPlanPurchased", max_attempts=3, handler_timeout=30)
async def thank(event: PaidPlanPurchased) -> None:
    """Greet the site by its name.

    Where the call fails, this raises: the event comes again after ten seconds, and after a minute
    more. After the third attempt it is a dead letter: `wix-asgi events list --dead` shows it, and
    `wix-asgi events retry` has it tried again. `event.id` is the same in every attempt.
    """
    answer = await event.client.get("/apps/v1/instance")
    name = answer.raise_for_status().json()["site"]["siteDisplayName"]
    log.info("%s bought a plan (event %s, attempt %d)", name, event.id, event.attempt)


app = Starlette(middleware=[Middleware(WixMiddleware, wix)])
