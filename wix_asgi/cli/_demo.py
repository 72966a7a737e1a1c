"""The demo: an app wrapped in one line, beside a fake Wix, on a SQLite file."""

from __future__ import annotations

from html import escape
from typing import Any

import typer
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from wix_asgi.errors import NotInstalled, Unauthenticated
from wix_asgi.middleware import WixMiddleware
from wix_asgi.testing import FakeWix

__all__ = ["make_app", "run"]

_STYLE = """:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .4rem 0; border-bottom: 1px solid #8884 }
code { overflow-wrap: anywhere }"""


def run(*, port: int, wix_port: int, storage: str) -> None:
    """Serve the app and the fake Wix until Ctrl-C."""
    public_url = f"http://127.0.0.1:{port}"
    fake = FakeWix(
        app_url=f"{public_url}/wix/install", redirect_urls=[f"{public_url}/wix/callback"]
    )
    fake.app_name = "The wix-asgi demo"
    with fake.serve(port=wix_port) as wix_url:
        app = make_app(public_url=public_url, storage=storage, **fake.settings())
        typer.echo(
            f"\n  Open {wix_url} and add the demo to a site.\n"
            f"  The app is at {public_url}, its installations in {storage}.\n"
            "  Ctrl-C ends both; the installations are still there next time.\n"
        )
        uvicorn.run(app, port=port, log_level="warning")


def make_app(**settings: Any) -> WixMiddleware:
    """Return the demo app, wrapped in one line."""
    app = Starlette(
        routes=[Route("/", _home)],
        exception_handlers={Unauthenticated: _nobody, NotInstalled: _nobody},
    )
    app.state.wix_url = settings["wix_url"]
    return WixMiddleware(app, **settings)


async def _home(request: Request) -> Response:
    """Show what Wix says of the calling site."""
    wix = request.state.wix
    about = (await wix.get("/apps/v1/instance")).raise_for_status().json()
    products = (await wix.get("/stores/v1/products")).raise_for_status().json()["products"]
    rows = "".join(
        f"<tr><td>{escape(product['name'])}</td>"
        f"<td>{escape(product['price']['formatted']['price'])}</td></tr>"
        for product in products
    )
    name = escape(about["site"]["siteDisplayName"])
    return _page(
        name,
        f"<h1>{name}</h1><p>This was fetched from the fake Wix with <code>request.state.wix</code>,"
        f" as <code>{escape(about['instance']['instanceId'])}</code>.</p>"
        f"<table><tr><th>Product</th><th>Price</th></tr>{rows}</table>",
    )


async def _nobody(request: Request, exc: Exception) -> Response:
    """Show a visitor without an installed site where to begin."""
    wix_url = escape(request.app.state.wix_url)
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    return _page(
        "The wix-asgi demo",
        "<h1>The wix-asgi demo</h1><p>No site with this app is calling. "
        f'<a href="{wix_url}">Choose a site and add the app to it</a>, '
        "or open the app from there.</p>",
        status,
    )


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>",
        status,
    )
