"""Flask: the products of the calling site, and an event of Wix in a plain function.

Run it with `gunicorn --threads 8 --limit-request-line 8190 "examples.flask_app:create_app()"`, with
WIX_APP_ID, WIX_APP_SECRET and WIX_PUBLIC_URL in the environment, and WIX_PUBLIC_KEY for the events.
The threads are for browsers: without a proxy that buffers, a sync worker waits for a spare
connection of theirs. With the same variables, in the same directory,
`flask --app examples.flask_app sites` prints how many products each site has. It needs
`pip install flask gunicorn "wix-asgi[wsgi]"`.
"""

import logging

from flask import Flask
from flask.typing import ResponseReturnValue

from wix_asgi import NotInstalled, Wix, WixWSGIMiddleware
from wix_asgi.events import PaidPlanPurchased
from wix_asgi.flask import answer_refusals
from wix_asgi.flask import wix as site

logging.basicConfig(level=logging.INFO)
log = logging.getLogger(__name__)


def create_app() -> Flask:
    """Make the app; a test does so within its fake Wix."""
    wix = Wix()
    wix.on(PaidPlanPurchased)(thank)
    app = Flask(__name__)
    app.wsgi_app = WixWSGIMiddleware(app.wsgi_app, wix)  # type: ignore[method-assign]
    answer_refusals(app)
    app.get("/products")(products)
    app.cli.command("sites")(sites)
    return app


def products() -> ResponseReturnValue:
    """Show the products of the calling site; an unknown caller gets a 401 without further code."""
    answer = site.post("/stores/v1/products/query", json={"query": {}})
    return answer.raise_for_status().json()  # type: ignore[no-any-return]


def thank(event: PaidPlanPurchased) -> None:
    """Note a purchase; the same `event.id` may come again if this process is killed meanwhile."""
    answer = event.sync_client.get("/apps/v1/instance").raise_for_status()
    name = answer.json()["site"]["siteDisplayName"]
    log.info("%s bought the plan %s (event %s)", name, event.vendor_product_id, event.id)


def sites() -> None:
    """Print the number of products of each site."""
    wix = Wix()  # of its own, without handlers: that of the app would take events here
    for installation in wix.sync.installations():
        client = wix.sync.client(installation.instance_id)
        try:
            answer = client.post("/stores/v1/products/query", json={"query": {}})
        except NotInstalled:
            continue  # the app was removed from the site meanwhile
        print(installation.instance_id, answer.raise_for_status().json()["totalResults"])
