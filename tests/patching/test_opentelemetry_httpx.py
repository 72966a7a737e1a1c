"""OpenTelemetry traces the calls and refreshes of an app that knows nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.patching.expired import EXCHANGES, expired
from wix_asgi.testing import FakeWix


@pytest.fixture(name="spans")
def _spans() -> Iterator[InMemorySpanExporter]:
    """Trace all of httpx for the duration of the test."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()


async def test_opentelemetry_traces_calls_and_refreshes(
    spans: InMemorySpanExporter, fake: FakeWix
) -> None:
    """The call, the refresh and the call's repetition are a span each."""
    with fake.serve():
        async with expired(fake) as client:
            await client.get("/echo")
    attributes = [span.attributes or {} for span in spans.get_finished_spans()]
    told = [(a["http.method"], urlsplit(str(a["http.url"])).path) for a in attributes]

    assert EXCHANGES == told
