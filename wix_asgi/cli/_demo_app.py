"""The app of the demo: a page with data of the calling site."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final, Unpack

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from wix_asgi.errors import NotInstalled, Unauthenticated
from wix_asgi.events import WebhookEvent
from wix_asgi.middleware import WixMiddleware
from wix_asgi.models import InstallFlow
from wix_asgi.wix import Wix, WixOptions

__all__ = ["make_app"]

_PAGE: Final = Template(files("wix_asgi.cli").joinpath("demo.html").read_text("utf-8"))
_CODE: Final = """async def home(request):
    wix = request.state.wix
    site = await wix.get("/apps/v1/instance")
    products = await wix.post("/stores/v1/products/query", json={"query": {}})
    …

app = WixMiddleware(app)

@app.wix.on("*")
async def note(event):
    events.appendleft(event)"""

_EVENTS_KEPT: Final = 200  # in memory: the page shows events of this run only

# The external install flow ends at the app itself, where a session tells the site of the install;
# the legacy flow opens a window that Wix closes.
_BY_FLOW: Final[Mapping[InstallFlow, WixOptions]] = {
    InstallFlow.ADVANCED: {"flow": "advanced", "after_install": "close", "session": False},
    InstallFlow.CLIENT_CREDENTIALS: {
        "flow": "client_credentials",
        "after_install": "/",
        "session": True,
    },
}


def make_app(**options: Unpack[WixOptions]) -> WixMiddleware:
    """Return the demo app, wrapped in one line."""
    inner = Starlette(
        routes=[Route("/", _home)],
        exception_handlers={Unauthenticated: _nobody, NotInstalled: _nobody},
    )
    # Every setting is given, since the variables of the environment belong to another app.
    settings: WixOptions = {
        "install_path": "/wix/install",
        "callback_path": "/wix/callback",
        "webhook_path": "/wix/webhook",
        "webhooks": "run",
        "webhook_concurrency": 4,
        "finish_setup": False,
        "recover": True,
        "share_url_id": "demo",
        "state_ttl": 600,
        "encryption_keys": [],
        "previous_app_secrets": [],
        "previous_secrets_until": "1970-01-01",
        "allowed_permissions": ["OWNER"],
        "allowed_subjects": ["USER", "APP"],
        "instance_max_age": 86400,
        **_BY_FLOW[InstallFlow(options.get("flow", InstallFlow.ADVANCED))],
        **options,
    }
    app = WixMiddleware(inner, **settings)
    inner.state.wix = app.wix
    inner.state.events = deque[WebhookEvent](maxlen=_EVENTS_KEPT)

    @app.wix.on("*")
    async def note(event: WebhookEvent) -> None:
        inner.state.events.appendleft(event)

    return app


async def _home(request: Request) -> Response:
    """Show the name and the products that Wix has for the calling site."""
    wix = request.state.wix
    about = (await wix.get("/apps/v1/instance")).raise_for_status().json()
    found = await wix.post("/stores/v1/products/query", json={"query": {}})
    products = found.raise_for_status().json()["products"]
    instance_id = about["instance"]["instanceId"]
    name = about["site"]["siteDisplayName"]
    installed_at = await _installed_at(request.app.state.wix, instance_id)
    return _page(
        request,
        name,
        f"""<p>This site added the app on
<time datetime="{installed_at:%Y-%m-%dT%H:%M:%SZ}">{installed_at:%Y-%m-%d at %H:%M:%S} UTC</time>.
Stop the demo and start it again: this page still opens.</p>
{_products(products)}
{_events(request, instance_id)}
<h2>All of this came from the fake Wix by</h2>
<pre><code>{escape(_CODE)}</code></pre>
<p class="soft">as the installation <code>{escape(instance_id)}</code>.</p>""",
    )


async def _installed_at(wix: Wix, instance_id: str) -> datetime:
    """Return the moment at which the app was installed on the site."""
    return max(
        [
            installation.installed_at
            async for installation in wix.installations()
            if installation.instance_id == instance_id
        ]
    )


async def _nobody(request: Request, exc: Exception) -> Response:
    """Show a visitor without an installed site where to begin."""
    status, title, why = (
        (403, "The app is not here", "This site does not have the app, or not any more.")
        if isinstance(exc, NotInstalled)
        else (401, "Nobody is calling", "Site owners come here from one of their sites.")
    )
    wix_url = escape(request.app.state.wix.settings.wix_url)
    link = f'<a class="button" href="{wix_url}/" target="_top">My sites</a>'
    caller = request.state.wix.identity
    told = _events(request, caller.instance_id) if caller else ""
    return _page(request, title, f"<p>{why}</p><p>{link}</p>{told}", status)


def _products(products: Iterable[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(product['name'])}</td><td>{product['stock']['quantity']:d}</td>"
        f"<td>{escape(product['price']['formatted']['price'])}</td></tr>"
        for product in products
    )
    head = "<tr><th>Product</th><th>In stock</th><th>Price</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _events(request: Request, instance_id: str) -> str:
    """Return the events of a site, the newest first."""
    rows = "".join(
        f"<li><code>{escape(event.event_type)}</code>"
        f" <time>{event.issued_at:%H:%M:%S} UTC</time></li>"
        for event in request.app.state.events
        if event.instance_id == instance_id
    )
    return f"<h2>Events of this site</h2><ul>{rows}</ul>" if rows else ""


def _page(request: Request, title: str, body: str, status: int = 200) -> HTMLResponse:
    wix_url = request.app.state.wix.settings.wix_url
    page = _PAGE.substitute(title=escape(title), body=body, wix_url=escape(wix_url))
    # The address contains the signed instance, so that it is neither stored nor sent as a referrer.
    return HTMLResponse(
        page, status, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )
