"""Calls of an app to Wix under tracers of httpx, in a process of their own: these patch httpx.

Run as `python -m tests.trackers.call_spans`, it prints a line of JSON for each tracer: the number
of spans of each call, the spans themselves, and the secrets that were sent to Wix.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

import sentry_sdk
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.client.clients import installed
from tests.processes.apps import Secrets
from tests.support import PUBLIC_URL, SITE
from tests.trackers.recording import recording_sentry
from wix_asgi import Wix, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

CALLS = 5
CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST"
SANITIZE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"

Load = Callable[[], Awaitable[object]]


class Spans:
    """The spans of OpenTelemetry, by call."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.counts: list[int] = []
        self.sent: list[dict[str, Any]] = []

    async def count(self, load: Load) -> None:
        """Note the spans of one load."""
        await load()
        spans = self._exporter.get_finished_spans()
        self._exporter.clear()
        self.counts.append(len(spans))
        self.sent += [json.loads(span.to_json()) for span in spans]


class Stage:
    """An app that calls Wix in a route, and a caller of that route."""

    def __init__(self, wix: Wix, fake: FakeWix, trace: Callable[[Any], object] = id) -> None:
        """Call `trace` with the client of each request."""
        self._trace = trace
        self._query = {"instance": fake.signed_instance(SITE)}
        app = WixMiddleware(Starlette(routes=[Route("/call", self._call)]), wix)
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PUBLIC_URL)

    async def load(self) -> None:
        """Load the route once."""
        answer = await self._http.get("/call", params=self._query)
        assert 200 == answer.json(), answer.text

    async def _call(self, request: Request) -> Response:
        self._trace(request.state.wix)
        return JSONResponse((await request.state.wix.get("/echo")).status_code)


async def each_client(wix: Wix, fake: FakeWix) -> Spans:
    """Each request instruments its own client."""
    spans = Spans()

    def trace(client: Any) -> None:
        HTTPXClientInstrumentor.instrument_client(client, tracer_provider=spans.provider)

    stage = Stage(wix, fake, trace)
    for _ in range(CALLS):
        await spans.count(stage.load)
    return spans


async def one_client(wix: Wix, _: FakeWix) -> Spans:
    """One of two clients is instrumented, and no longer so at the end."""
    spans = Spans()
    traced, other = wix.client(SITE), wix.client(SITE)
    HTTPXClientInstrumentor.instrument_client(traced, tracer_provider=spans.provider)
    await spans.count(lambda: traced.get("/echo"))
    await spans.count(lambda: other.get("/echo"))
    HTTPXClientInstrumentor.uninstrument_client(traced)
    await spans.count(lambda: traced.get("/echo"))
    return spans


async def all_of_httpx(wix: Wix, fake: FakeWix) -> Spans:
    """All of httpx is instrumented, and no longer so at the end."""
    spans = Spans()
    instrumentor = HTTPXClientInstrumentor()
    with patch.dict(os.environ, {SANITIZE: "authorization"}):
        instrumentor.instrument(tracer_provider=spans.provider)
    stage = Stage(wix, fake)
    for _ in range(CALLS):
        await spans.count(stage.load)
    instrumentor.uninstrument()
    await spans.count(stage.load)
    return spans


async def sentry(wix: Wix, fake: FakeWix) -> Spans:
    """Sentry with its defaults, the integration of httpx among them."""
    spans = Spans()
    stage = Stage(wix, fake)
    with recording_sentry() as sent:
        for _ in range(CALLS):
            await stage.load()
        sentry_sdk.flush()
    spans.sent = sent
    for event in sent:
        to_wix = [each for each in event["spans"] if fake.url in str(each.get("data"))]
        spans.counts.append(len(to_wix))
    return spans


async def play(scene: Callable[[Wix, FakeWix], Awaitable[Spans]]) -> None:
    """Play a scene at a fake Wix on a port, since connections are traced; print its line."""
    fake, secrets = FakeWix(), Secrets()
    with fake.serve():
        # The pool, and not the fake's own transport.
        async with installed(fake, transport=None) as (wix, _):  # type: ignore[arg-type] # as by default
            spans = await scene(wix, fake)
    secrets.note_calls(fake)
    told = {
        "tracer": scene.__name__,
        "counts": spans.counts,
        "sent": spans.sent,
        "secrets": sorted(secrets.values),
    }
    sys.stdout.write(f"{json.dumps(told)}\n")


def main() -> None:
    """Play all scenes, in an order in which what the last one patches harms none."""
    os.environ[CAPTURE] = ".*"
    for scene in (each_client, one_client, all_of_httpx, sentry):
        asyncio.run(play(scene))


if __name__ == "__main__":
    main()
