"""The snippets of docs/error-trackers.md at work, in a process of their own.

Run as `python -m tests.trackers.documented`, it prints a line of JSON for each: the events and
spans that would have been sent of a few requests, and the secrets in these.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn
from unittest.mock import patch

import sentry_sdk
from fastapi import FastAPI, Request
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.servers import ROOT
from tests.support import PUBLIC_URL, SITE, make_wix
from tests.trackers.recording import DSN, recorder
from wix_asgi import Wix, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

__all__ = ["PAGE", "SNIPPETS", "run"]

PAGE = (ROOT / "docs" / "error-trackers.md").read_text("utf-8")
SNIPPETS: list[str] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def run(text: str, **names: Any) -> dict[str, Any]:
    """Run the one snippet that has this text; return the names there are then."""
    (code,) = [snippet for snippet in SNIPPETS if text in snippet]
    space: dict[str, Any] = {"__name__": "main", **names}
    exec(compile(code, "error-trackers.md", "exec", dont_inherit=True), space)  # noqa: S102 - ours
    return space


class FailingBefore:
    """A middleware in front of all others that fails at the callback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/wix/callback":
            raise LookupError("a bug in front of wix-asgi")
        await self._app(scope, receive, send)


async def failing_page(request: Request) -> NoReturn:
    """Be a page with a bug."""
    of_the_app = f"a local of the app: {request.url.path}"
    raise LookupError(f"a bug of the app{of_the_app:.0}")


def make_api() -> FastAPI:
    """Return an app with a page that fails."""
    api = FastAPI()
    api.add_api_route("/site", failing_page, response_model=None)
    return api


async def visit(wrap: Callable[[Wix], ASGIApp]) -> list[str]:
    """Visit a page and the callback of an app that fails at both; return the secrets in use."""
    fake = FakeWix()
    proof, other = (fake.signed_instance(SITE, uid=uid) for uid in ("one", "two"))
    code, state = "OAUTH2.test-code-0123456789", "test-state-0123456789"
    wix = make_wix(fake)
    transport = httpx.ASGITransport(wrap(wix), raise_app_exceptions=False)
    async with wix, httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        headers = {"Authorization": other, "Referer": f"{PUBLIC_URL}/site?instance={proof}"}
        await http.get("/site", params={"instance": proof, "a": "kept"}, headers=headers)
        await http.get("/wix/callback", params={"code": code, "state": state, "a": "kept"})
    return [proof, other, code, state]


def main() -> None:
    """Visit the app under each tracker."""
    exporter = InMemorySpanExporter()
    names = run("set_tracer_provider")
    names["provider"].add_span_processor(SimpleSpanProcessor(exporter))

    def traced(wix: Wix) -> ASGIApp:
        app = WixMiddleware(make_api(), wix)
        space = run("server_request_hook", app=app, hide_secrets=names["hide_secrets"])
        traced: ASGIApp = space["app"]
        return traced

    secrets = asyncio.run(visit(traced))
    tell("opentelemetry", secrets, spans_of(exporter))

    plain = TracerProvider()
    plain.add_span_processor(SimpleSpanProcessor(exporter))

    def bare(wix: Wix) -> ASGIApp:
        app = Starlette(routes=[Route("/site", failing_page)])
        return OpenTelemetryMiddleware(WixMiddleware(app, wix), tracer_provider=plain)

    secrets = asyncio.run(visit(bare))
    tell("nothing", secrets, spans_of(exporter))

    sent: list[dict[str, Any]] = []
    options: dict[str, Any] = {"dsn": DSN, "transport": recorder(sent), "traces_sample_rate": 1.0}
    with patch.object(sentry_sdk, "init", functools.partial(sentry_sdk.init, **options)):
        run("before_send_transaction")

    def tracked(wix: Wix) -> ASGIApp:
        api = make_api()
        api.add_middleware(WixMiddleware, wix)
        api.add_middleware(FailingBefore)
        return api

    secrets = asyncio.run(visit(tracked))
    sentry_sdk.flush()
    tell("sentry", secrets, sent)


def spans_of(exporter: InMemorySpanExporter) -> list[dict[str, Any]]:
    """Return the attributes of all spans and of their events, and forget the spans."""
    finished = exporter.get_finished_spans()
    exporter.clear()
    named: list[Any] = [each for span in finished for each in (span, *span.events)]
    return [{**(each.attributes or {}), "name": each.name} for each in named]


def tell(tracker: str, secrets: list[str], sent: list[dict[str, Any]]) -> None:
    """Print a line."""
    told = {"tracker": tracker, "secrets": secrets, "sent": sent}
    sys.stdout.write(f"{json.dumps(told, default=str)}\n")


if __name__ == "__main__":
    main()
