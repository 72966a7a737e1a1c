"""Sync code in real processes: a Flask app under gunicorn's workers, and scripts that end."""

from __future__ import annotations

import signal
import sys
import textwrap
from pathlib import Path

import pytest

from tests.processes.apps import App
from tests.servers import ROOT, environment, free_port, serving
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.processes

BAKERY, YOGA, *_ = DEMO_SITES
WORKERS = {
    "sync": "--workers 2",
    "sync-preload": "--workers 2 --preload",
    "gthread": "--worker-class gthread --threads 4",
    "gthread-preload": "--worker-class gthread --threads 4 --preload",
    "gevent": "--worker-class gevent",
}


@pytest.mark.parametrize("workers", WORKERS)
async def test_flask_under_gunicorn(workers: str, fake: FakeWix, tmp_path: Path) -> None:
    """Installs, calls, refusals and events work under each worker, which then ends by itself (R35).

    No code, state, token or instance is in what the server prints.
    """
    port = free_port()
    options = f"{WORKERS[workers]} -b 127.0.0.1:{port} --limit-request-line 8190"
    options += " --access-logfile - --log-level debug --timeout 110"
    env = {
        **environment(fake, port, f"sqlite:///{tmp_path}/wix-asgi.db"),
        "WIX_PUBLIC_KEY": fake.public_key,
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "gunicorn", "examples.flask_app:app", *options.split()]
    with serving(command, cwd=tmp_path, env=env) as server:
        server.accepts(port)
        app = App(server, f"http://127.0.0.1:{port}", fake)
        async with app.browser() as http:
            installed = await app.install(http, YOGA)
            called = await http.get("/products", params=app.opened_by(YOGA))
            nobody = await http.get("/products")
            stranger = await http.get("/products", params=app.opened_by(BAKERY))
            missing = await http.get("/wix/install/")
        told = await fake.send_event(app.url, "PaidPlanPurchased", YOGA)
        server.printed("Lighthouse Yoga bought the plan premium")
        app.secrets.note_calls(fake)
        status = server.stop()

    assert (303, 200, 200) == (installed.status_code, called.status_code, told.status_code)
    assert "Lighthouse Yoga Mug" == called.json()["products"][0]["name"]
    assert [401, 403, 404] == [each.status_code for each in (nobody, stranger, missing)]
    assert 0 == status
    assert "Traceback" not in server.output
    assert "/wix/callback?" in server.output
    assert [] == app.secrets.found_in(server.output.encode())


def run(program: str, fake: FakeWix, room: Path, storage: str | None = None) -> tuple[int, str]:
    """Run a script with the settings of `fake`; return its exit status, and all that it printed."""
    env = environment(fake, free_port(), storage or f"sqlite:///{room}/wix-asgi.db")
    env["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-X", "dev", "-c", textwrap.dedent(program)]
    with serving(command, cwd=room, env=env) as server:
        if "SIGINT" in program:
            server.printed("calling")
            server.process.send_signal(signal.SIGINT)
        status = server.exited()
    return status, server.output
