"""Events under servers that send no lifespan, or load the app before they fork."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from tests.processes.apps import delivered
from tests.processes.handling import QUICK
from tests.servers import ROOT, environment, free_port, serving
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.processes

APP = "tests.processes.handling_app:app"
SERVERS = {
    "daphne": "daphne {app} -p {port} -v 0",
    "gunicorn-preload": "gunicorn {app} -k asgi --preload -w 2 -b 127.0.0.1:{port}",
    "gunicorn-uvicorn-preload": (
        "gunicorn {app} -k uvicorn.workers.UvicornWorker --preload -w 2 -b 127.0.0.1:{port}"
    ),
}


@pytest.mark.parametrize("server", SERVERS)
async def test_an_event_is_kept_and_handled_once(
    server: str, fake: FakeWix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker begins in the process that serves, by its lifespan or with its first event."""
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("WIX_PUBLIC_KEY", fake.public_key)
    port = free_port()
    command = SERVERS[server].format(app=APP, port=port).split()
    storage = f"sqlite:///{tmp_path}/wix-asgi.db"
    env = {**environment(fake, port, storage), "PYTHONPATH": f"{ROOT}:{ROOT}/backends"}
    with serving([sys.executable, "-m", *command], cwd=tmp_path, env=env) as running:
        await anyio.to_thread.run_sync(running.accepts, port)
        await delivered(fake, f"http://127.0.0.1:{port}", QUICK)
        await anyio.to_thread.run_sync(running.printed, "first [0-9a-f]{32}")
        running.stop()

    assert 1 == running.output.count(" first ")
    assert "Traceback" not in running.output
