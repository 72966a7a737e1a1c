"""Sync code in real processes: a Flask app under gunicorn's workers, and scripts that end."""

from __future__ import annotations

import contextlib
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.apps import App, delivered
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


@contextlib.contextmanager
def gunicorn(served: str, workers: str, fake: FakeWix, room: Path) -> Iterator[App]:
    """Serve an app for as long as the block lasts."""
    port = free_port()
    # A client on a slow machine may come back later than in the two seconds of the default.
    options = f"{workers} -b 127.0.0.1:{port} --limit-request-line 8190 --keep-alive 110"
    options += " --access-logfile - --log-level debug --timeout 110"
    env = {
        **environment(fake, port, f"sqlite:///{room}/wix-asgi.db"),
        "WIX_PUBLIC_KEY": fake.public_key,
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "gunicorn", served, *options.split()]
    with serving(command, cwd=room, env=env) as server:
        server.accepts(port)
        yield App(server, f"http://127.0.0.1:{port}", fake)


@pytest.mark.parametrize("workers", WORKERS)
async def test_flask_under_gunicorn(workers: str, fake: FakeWix, tmp_path: Path) -> None:
    """Installs, calls, refusals and events work under each worker, which then ends by itself (R35).

    No code, state, token or instance is in what the server prints.
    """
    with gunicorn("examples.flask_app:create_app()", WORKERS[workers], fake, tmp_path) as app:
        async with app.browser() as http:
            installed = await app.install(http, YOGA)
            called = await http.get("/products", params=app.opened_by(YOGA))
            nobody = await http.get("/products")
            stranger = await http.get("/products", params=app.opened_by(BAKERY))
            missing = await http.get("/wix/install/")
        await delivered(fake, app.url, "PaidPlanPurchased", YOGA)
        app.server.printed("Lighthouse Yoga bought the plan premium")
        app.secrets.note_calls(fake)
        status = app.server.stop()

    assert (303, 200) == (installed.status_code, called.status_code)
    assert "Lighthouse Yoga Mug" == called.json()["products"][0]["name"]
    assert [401, 403, 404] == [each.status_code for each in (nobody, stranger, missing)]
    assert 0 == status
    assert "Traceback" not in app.server.output
    assert "/wix/callback?" in app.server.output
    assert [] == app.secrets.found_in(app.server.output.encode())


async def test_django_under_gunicorn(fake: FakeWix, tmp_path: Path) -> None:
    """Views have `request.wix`, and nobody gets a page that Wix alone may show."""
    with gunicorn("tests.processes.django_app:app", "--workers 2", fake, tmp_path) as app:
        async with app.browser() as http:
            installed = await app.install(http, YOGA)
            called = await http.get("/products", params=app.opened_by(YOGA))
            nobody = await http.get("/products", headers={"Accept": "text/html"})
        status = app.server.stop()

    assert (303, 200) == (installed.status_code, called.status_code)
    assert "Lighthouse Yoga Mug" == called.json()["products"][0]["name"]
    assert (401, True) == (nobody.status_code, nobody.text.startswith("<!doctype html>"))
    for answer in (called, nobody):
        assert "frame-ancestors https://*.wix.com" in answer.headers["Content-Security-Policy"]
        assert "X-Frame-Options" not in answer.headers
    assert 0 == status
    assert "Traceback" not in app.server.output


def run(program: str, fake: FakeWix, room: Path, storage: str | None = None) -> tuple[int, str]:
    """Run a script with the settings of `fake`; return its exit status, and all that it printed."""
    env = environment(fake, free_port(), storage or f"sqlite:///{room}/wix-asgi.db")
    env["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with serving(command, cwd=room, env=env) as server:
        if "SIGINT" in program:
            server.printed("calling")
            server.process.send_signal(signal.SIGINT)
        status = server.exited()
    return status, server.output


SCRIPT = f"""
    import anyio, contextlib, os, signal, threading
    from wix_asgi import NotInstalled, Wix
    wix = Wix()
    client = wix.sync.client("{BAKERY}")
"""


def test_script_ends(fake: FakeWix, tmp_path: Path) -> None:
    """A script that has used the client ends by itself, and closes its storage before."""
    program = f"""{SCRIPT}
    print(len(list(wix.sync.installations())))
    try:
        client.get("/apps/v1/instance")
    except NotInstalled:
        print("not installed")
    """
    status, output = run(program, fake, tmp_path)

    assert (0, "0\nnot installed\n") == (status, output)
    assert ["wix-asgi.db"] == [path.name for path in tmp_path.iterdir() if "-wal" not in path.name]


def test_interrupted_script_ends(fake: FakeWix, tmp_path: Path) -> None:
    """SIGINT ends a call that would take for ever, as KeyboardInterrupt (docs of `signal`)."""
    program = f"""{SCRIPT}
    # Shells start what runs in the background without it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    class Stuck(type(wix.storage)):
        async def open(self):
            print("calling", flush=True)
            await anyio.sleep_forever()

    wix = Wix(storage=Stuck("stuck.db"))  # ended by SIGINT
    try:
        wix.sync.remove("a")
    except KeyboardInterrupt:
        print("interrupted")
    """
    status, output = run(program, fake, tmp_path)

    assert (0, "calling\ninterrupted\n") == (status, output)


def test_forked_process_has_a_portal_of_its_own(fake: FakeWix, tmp_path: Path) -> None:
    """A fork after the portal's first use works, and parent and child both end by themselves."""
    program = f"""{SCRIPT}
    print(str(list(Wix().sync.installations())) + "\\n", end="", flush=True)
    child = os.fork()
    print(str(list(wix.sync.installations())) + "\\n", end="", flush=True)
    if child:
        print("child", os.waitpid(child, 0)[1])
    """
    status, output = run(program, fake, tmp_path)

    assert (0, ["[]", "[]", "[]", "child 0"]) == (status, output.splitlines())


def test_threads_that_go_on_do_not_keep_the_process(fake: FakeWix, tmp_path: Path) -> None:
    """A daemon thread amid a call does not hinder the end of its process."""
    program = f"""{SCRIPT}
    begun = threading.Event()

    class Stuck(type(wix.storage)):
        async def open(self):
            begun.set()
            await anyio.sleep_forever()

    stuck = Wix(storage=Stuck("stuck.db"))

    def remove():
        with contextlib.suppress(Exception):
            stuck.sync.remove("a")

    threading.Thread(target=remove, daemon=True).start()
    begun.wait()
    print("end")
    """
    status, output = run(program, fake, tmp_path)

    assert (0, "end\n") == (status, output)
