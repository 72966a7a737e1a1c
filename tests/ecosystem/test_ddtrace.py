"""Datadog's tracer sees the calls of an app that knows nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit

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
SECRET = ("code=", "state=", "instance=")
QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
}


# An install and a page; the tracer prints the tags of each request that the app gets.
SERVED = """
import asyncio

from ddtrace.contrib.asgi import TraceMiddleware
from ddtrace.trace import TraceFilter, tracer

from tests.support import SITE
from wix_asgi import WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix


class Printed(TraceFilter):
    def process_trace(self, trace):
        for span in trace:
            print(span.get_tag("http.url"), span.get_tags())


async def nothing(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def main():
    with FakeWix().active(public_url=PUBLIC_URL) as fake:
        app = httpx.ASGITransport(TraceMiddleware(WixMiddleware(nothing)))
        async with httpx.AsyncClient(transport=app, base_url=PUBLIC_URL) as browser:
            token = fake.install_token(SITE)
            begun = await browser.get("/wix/install", params={"token": token})
            finished = await browser.get(fake.approve(begun.headers["Location"]))
            assert finished.status_code == 303, finished.text
            page = "/page?instance=" + fake.signed_instance(SITE)
            await browser.get(page, headers={"Referer": PUBLIC_URL + page})


PUBLIC_URL = "https://app.example.com"
tracer.configure(trace_processors=[Printed()])
asyncio.run(main())
"""


def run(program: str, **variables: str) -> list[str]:
    """Return the lines that a program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **QUIET, **variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


def test_ddtrace_traces_calls() -> None:
    """A call is one span, with its refresh and its repetition: ddtrace patches clients alone."""
    assert ["GET /echo"] == run(PROGRAM)


def test_spans_without_queries_have_no_secret() -> None:
    """By the variable of docs/error-trackers.md no span has a code or an instance (R35)."""
    variable = "DD_HTTP_SERVER_TAG_QUERY_STRING"
    hidden = run(SERVED, **{variable: "false"})
    shown = run(SERVED)

    assert f"`{variable}=false`" in (ROOT / "docs" / "error-trackers.md").read_text("utf-8")
    paths = [urlsplit(line.split()[0]).path for line in hidden]
    assert ["/wix/install", "/wix/callback", "/page"] == paths
    assert [] == [name for name in SECRET if name in "".join(hidden)]
    assert list(SECRET) == [name for name in SECRET if name in "".join(shown)]
