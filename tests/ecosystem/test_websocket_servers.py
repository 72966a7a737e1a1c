"""Websockets under real servers: refused cleanly, and each with its own client."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.limits import PATIENCE
from tests.processes.apps import at_once
from tests.processes.meeting import APP, SITE_HEADER
from tests.servers import ROOT, Server, environment, free_port, serving
from wix_asgi.testing import FakeWix

NOBODY = "Nobody is known to be calling: this request has no signed instance or access token."
UVICORN = "uvicorn {app} --port {port} --ws"
SERVERS = {
    "uvicorn-websockets": f"{UVICORN} websockets",
    "uvicorn-sansio": f"{UVICORN} websockets-sansio",
    "uvicorn-wsproto": f"{UVICORN} wsproto --http httptools",
    "hypercorn": "hypercorn {app} --bind 127.0.0.1:{port}",
    "granian": "granian {app} --interface asgi --port {port}",
    "gunicorn": "gunicorn {app} -k asgi -b 127.0.0.1:{port}",
    "daphne": "daphne {app} -p {port} -v 0",
}
NO_ANSWERS = {"gunicorn", "daphne"}
"""The servers that answer no websocket by HTTP: they turn a close into 403."""
SOCKETS = 4


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    return "asyncio"


@contextmanager
def served(server: str, room: Path) -> Iterator[tuple[Server, str]]:
    """Serve the app under this server; yield the process, and the address of its websockets."""
    port = free_port()
    command = SERVERS[server].format(app=APP, port=port).split()
    env = {**environment(FakeWix(), port, "memory://"), "PYTHONPATH": str(ROOT)}
    with serving([sys.executable, "-m", *command], cwd=room, env=env) as running:
        running.accepts(port)
        yield running, f"ws://127.0.0.1:{port}"


@pytest.mark.parametrize("server", SERVERS)
async def test_refusal_before_it_is_accepted(server: str, tmp_path: Path) -> None:
    """The handshake is answered 401 with the reason, or 403 where the server can do no more."""
    with served(server, tmp_path) as (running, url):
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{url}/refused/early", proxy=None, open_timeout=PATIENCE).__aenter__()
        running.stop()
    answer = caught.value.response

    if server in NO_ANSWERS:
        assert 403 == answer.status_code
    else:
        assert 401 == answer.status_code
        assert 'Wix error="no_identity"' == answer.headers["WWW-Authenticate"]
        assert NOBODY.encode() == answer.body
    assert "Traceback" not in running.output


@pytest.mark.parametrize("server", [name for name in SERVERS if name != "daphne"])
async def test_refusal_after_it_was_accepted(server: str, tmp_path: Path) -> None:
    """The socket is closed with a code and a reason, and the log has no traceback.

    Daphne is left out: its library takes no code below 3000 but 1000 from an app.
    """
    with served(server, tmp_path) as (running, url):
        async with connect(
            f"{url}/refused/accepted", proxy=None, open_timeout=PATIENCE
        ) as websocket:
            with pytest.raises(ConnectionClosed) as caught:
                await websocket.recv()
        running.stop()

    assert caught.value.rcvd is not None
    assert (1008, NOBODY) == (caught.value.rcvd.code, caught.value.rcvd.reason)
    assert "Traceback" not in running.output


@pytest.mark.parametrize("server", SERVERS)
async def test_websockets_share_nothing(server: str, tmp_path: Path) -> None:
    """Sockets that are open at one time have their own clients and states (R40)."""
    with served(server, tmp_path) as (_, url):

        async def talk(site: str) -> dict[str, Any]:
            async with connect(
                f"{url}/talk?meeting=one&of={SOCKETS}",
                additional_headers={SITE_HEADER: site},
                proxy=None,
                open_timeout=PATIENCE,
            ) as websocket:
                told: dict[str, Any] = json.loads(await websocket.recv())
                return told

        sites = [f"site-{number}" for number in range(SOCKETS)]
        told = await at_once([partial(talk, site) for site in sites])

    assert sites == sorted(one["site"] for one in told)
    assert [] == [one for one in told if {one["site"]} != set(one["clients"]) or one["leftovers"]]
