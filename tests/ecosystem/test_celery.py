"""A task of Celery that uses `wix.sync`, in real workers."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
from celery import Celery

from tests.client.clients import install
from tests.limits import PATIENCE
from tests.servers import environment, free_port, serving
from tests.support import SITE, make_wix
from wix_asgi.testing import FakeWix

TASKS = """
import os

from celery import Celery
from wix_asgi import Wix

PARENT = os.getpid()
wix = Wix()  # before the fork of a prefork worker
app = Celery("tasks")
app.config_from_object("celeryconfig")


@app.task(name="ask")
def ask(site):
    answer = wix.sync.client(site).get("/x")
    return answer.json()["instanceId"], os.getpid() == PARENT
"""
POOLS = {"prefork": False, "threads": True}
"""Whether a task runs in the process that has imported it."""


@pytest.mark.parametrize("pool", POOLS)
def test_task_calls_as_a_site(pool: str, fake: FakeWix, tmp_path: Path) -> None:
    """Tasks that run at once have the client of their site, and the worker ends by itself."""
    queue, results = tmp_path / "queue", tmp_path / "results"
    queue.mkdir()
    results.mkdir()
    config = {
        "broker_url": "filesystem://",
        "broker_transport_options": {
            "data_folder_in": str(queue),
            "data_folder_out": str(queue),
            "control_folder": str(tmp_path / "control"),
        },
        "result_backend": results.as_uri(),
    }
    settings = "\n".join(f"{name} = {value!r}" for name, value in config.items())
    (tmp_path / "celeryconfig.py").write_text(settings)
    (tmp_path / "tasks.py").write_text(TASKS)
    storage = f"sqlite:///{tmp_path}/wix-asgi.db"
    with fake.serve():
        anyio.run(put_installation, fake, storage)
        env = {**environment(fake, free_port(), storage), "PYTHONPATH": str(tmp_path)}
        options = f"-A tasks worker --pool {pool} --concurrency 2 --without-gossip --without-mingle"
        command = [sys.executable, "-m", "celery", *options.split()]
        with serving(command, cwd=tmp_path, env=env) as worker:
            app = Celery("tests")
            app.config_from_object(config)
            sent = [app.send_task("ask", [SITE]) for _ in range(4)]
            answers = [each.get(timeout=PATIENCE) for each in sent]
            status = worker.stop()
            app.close()

    assert [[SITE, POOLS[pool]]] * 4 == answers
    assert 0 == status
    assert "Traceback" not in worker.output


async def put_installation(fake: FakeWix, storage: str) -> None:
    """Install the app on the site, as the process of a web server has done before."""
    async with make_wix(fake, storage=storage) as wix:
        await install(wix, fake)
