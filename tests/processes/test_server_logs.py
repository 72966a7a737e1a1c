"""The access logs of servers, at their most talkative, while an app is installed and opened."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.processes.apps import APP, App
from tests.servers import ROOT, environment, free_port, serving
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.processes

BAKERY, *_ = DEMO_SITES
SERVERS = {
    "uvicorn": "uvicorn {app} --port {port}",
    "uvicorn-trace": "uvicorn {app} --port {port} --log-level trace",
    "hypercorn": "hypercorn {app} --bind 127.0.0.1:{port} --access-logfile - --log-level debug",
    "granian": "granian {app} --interface asgi --port {port} --access-log --log-level debug",
    "gunicorn": "gunicorn {app} -k asgi --limit-request-line 0 -b 127.0.0.1:{port}"
    " --access-logfile - --log-level debug",
    "daphne": "daphne {app} -p {port} -v 3",
    "daphne-quiet": "daphne {app} -p {port} -v 0",
    "daphne-file": "daphne {app} -p {port} --access-log access.log",
}
"""The commands; no server but daphne is told to be quiet."""


async def logged_by(server: str, fake: FakeWix, room: Path) -> tuple[App, bytes]:
    """Install and open an app under this server; return the app, and all that was logged."""
    port = free_port()
    command = SERVERS[server].format(app=APP, port=port).split()
    env = {**environment(fake, port, f"sqlite:///{room}/wix-asgi.db"), "PYTHONPATH": str(ROOT)}
    with serving([sys.executable, "-m", *command], cwd=room, env=env) as running:
        running.accepts(port)
        app = App(running, f"http://127.0.0.1:{port}", fake)
        async with app.browser() as http:
            installed = await app.install(http, BAKERY)
            opened = await http.get("/products", params=app.opened_by(BAKERY))
        running.stop()
    assert (303, 200) == (installed.status_code, opened.status_code)
    return app, running.output.encode()


@pytest.mark.parametrize("server", [name for name in SERVERS if "daphne" not in name])
async def test_servers_log_no_secret(server: str, fake: FakeWix, tmp_path: Path) -> None:
    """Access logs, and all else that a server logs, have no code, state or instance (R35)."""
    app, logged = await logged_by(server, fake, tmp_path)

    assert b"/wix/callback" in logged
    assert b"/products" in logged
    assert (server == "uvicorn-trace") == (b"Started scope=" in logged)
    assert 5 <= len(app.secrets.values)
    assert [] == app.secrets.found_in(logged)


async def test_daphne_logs_all_of_an_address(fake: FakeWix, tmp_path: Path) -> None:
    """Daphne writes its access log by no logger, so that nothing can be masked in it."""
    app, logged = await logged_by("daphne", fake, tmp_path)

    assert b"/wix/callback?code=" in logged
    assert [] != app.secrets.found_in(logged)


@pytest.mark.parametrize("server", ["daphne-quiet", "daphne-file"])
async def test_daphne_prints_no_secret_with_the_options_of_the_readme(
    server: str, fake: FakeWix, tmp_path: Path
) -> None:
    """With `-v 0` daphne has no access log, and with `--access-log` it is in that file (R35)."""
    app, _ = await logged_by(server, fake, tmp_path)
    file = tmp_path / "access.log"

    assert [] == app.secrets.found_in(app.server.output.encode())
    assert (server == "daphne-file") == (file.exists() and b"code=" in file.read_bytes())
