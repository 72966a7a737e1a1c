"""Datadog's tracer sees the calls of an app that knows nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.limits import PATIENCE
from tests.servers import ROOT

# In a process of its own: the tracer patches httpx for good.
PROGRAM = """
import asyncio
from urllib.parse import urlsplit

from ddtrace import patch

patch(httpx=True)

from ddtrace.trace import TraceFilter, tracer

from tests.patching.expired import expired
from wix_asgi.testing import FakeWix


class Printed(TraceFilter):
    def process_trace(self, trace):
        for span in trace:
            print(span.get_tag("http.method"), urlsplit(span.get_tag("http.url")).path)


async def main():
    fake = FakeWix()
    with fake.serve():
        async with expired(fake) as client:
            await client.get("/echo")


tracer.configure(trace_processors=[Printed()])
asyncio.run(main())
"""
QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
}


def test_ddtrace_traces_calls() -> None:
    """A call is one span, with its refresh and its repetition: ddtrace patches clients alone."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert ["GET /echo"] == done.stdout.splitlines()
