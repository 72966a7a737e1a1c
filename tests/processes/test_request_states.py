"""Requests at one time under real servers: each has its own client, and its own state."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from tests.limits import PATIENCE
from tests.processes.apps import at_once
from tests.processes.meeting import APP, SITE_HEADER
from tests.servers import ROOT, environment, free_port, serving
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.processes

REQUESTS = 8
SERVERS = {
    "uvicorn": "uvicorn {app} --port {port} --http h11",
    "hypercorn": "hypercorn {app} --bind 127.0.0.1:{port}",
    "hypercorn-http2": "hypercorn {app} --bind 127.0.0.1:{port}",
    "granian": "granian {app} --interface asgi --port {port}",
    "granian-http2": "granian {app} --interface asgi --port {port} --http 2",
    "gunicorn": "gunicorn {app} -k asgi -b 127.0.0.1:{port}",
    "daphne": "daphne {app} -p {port} -v 0",
}


@pytest.mark.parametrize("server", SERVERS)
async def test_requests_share_nothing(server: str, fake: FakeWix, tmp_path: Path) -> None:
    """Neither requests at one time nor streams of one HTTP/2 connection share a client (R40, R46).

    Middlewares in front see the values that the app writes, and no client of another request.
    """
    port = free_port()
    command = SERVERS[server].format(app=APP, port=port).split()
    env = {**environment(fake, port, "memory://"), "PYTHONPATH": str(ROOT)}
    sites = [f"site-{number}" for number in range(REQUESTS)]
    http2 = server.endswith("http2")
    with serving([sys.executable, "-m", *command], cwd=tmp_path, env=env) as running:
        running.accepts(port)
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            http1=not http2,
            http2=http2,
            limits=httpx.Limits(max_connections=1 if http2 else None),
            timeout=PATIENCE,
            trust_env=False,
        )
        async with client:

            async def visit(site: str, meeting: str) -> httpx.Response:
                query = {"meeting": meeting, "of": str(REQUESTS)}
                return await client.get("/page", params=query, headers={SITE_HEADER: site})

            answers = []
            for meeting in ("first", "second"):
                answers += await at_once([partial(visit, site, meeting) for site in sites])
            report = (await client.get("/report", params={"of": len(answers)})).json()
    told = [answer.json() for answer in answers]

    assert {"HTTP/2" if http2 else "HTTP/1.1"} == {answer.http_version for answer in answers}
    assert sorted(sites * 2) == sorted(one["site"] for one in told)
    assert [] == [one for one in told if {one["site"]} != set(one["clients"]) or one["leftovers"]]
    assert {None if server == "daphne" else "lifespan"} == {one["lifespan"] for one in told}
    assert sorted([site, site] for site in sites * 2) == sorted(report["after"])
    assert sorted(f"of {site}" for site in sites * 2) == sorted(report["written"])
    assert 0 == report["before"]
