"""Events of installations in real processes, which are killed between a row and its hook."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import ROOT, Server, environment, free_port, serving
from tests.support import SITE
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.processes

Start = Callable[[str, str], Server]


@pytest.fixture(name="storage", params=["sqlite", "postgresql"])
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path}/wix-asgi.db"


@pytest.fixture(name="start")
def _start(fake: FakeWix, storage: str, tmp_path: Path) -> Iterator[Start]:
    """Start workers by their names, with the events that they apply; the app is on the site."""
    fake.mark_installed(SITE)
    env = {
        **environment(fake, free_port(), storage),
        "PYTHONPATH": f"{ROOT}:{ROOT}/backends",
        "WIX_FLOW": "client_credentials",
    }
    with contextlib.ExitStack() as stack:

        def start(name: str, event_type: str) -> Server:
            command = [sys.executable, "-m", "tests.processes.ending", name, event_type, SITE]
            return stack.enter_context(serving(command, cwd=tmp_path, env=env))

        yield start


def finished(start: Start, name: str, event_type: str) -> str:
    """Have a worker apply an event to its end; return what it has printed."""
    worker = start(name, event_type)
    worker.printed(f"{name} has applied {event_type}")
    worker.stop(signal.SIGINT)
    return worker.output


def test_killed_between_the_row_and_on_install(start: Start) -> None:
    """The event is applied again, and tells."""
    killed = start("adding", "AppInstalled")
    killed.printed("adding is behind it")
    killed.stop(signal.SIGKILL)
    again = finished(start, "second", "AppInstalled")

    assert 1 == again.count("is told by on_install")


def test_killed_between_the_removal_and_on_uninstall(fake: FakeWix, start: Start) -> None:
    """The event is applied again, and tells."""
    finished(start, "first", "AppInstalled")
    fake.uninstall(SITE)
    killed = start("deleting", "AppRemoved")
    killed.printed("deleting is behind it")
    killed.stop(signal.SIGKILL)
    again = finished(start, "second", "AppRemoved")

    assert 1 == again.count("is told by on_uninstall")


def test_two_workers_at_once(fake: FakeWix, start: Start) -> None:
    """Of two workers with the two kinds of events of one removal, one tells."""
    finished(start, "first", "AppInstalled")
    fake.uninstall(SITE)
    types = ["AppRemoved", "wix.app.installations.v1.app_installation_deleted"]
    workers = [start(f"number{number}", event_type) for number, event_type in enumerate(types)]
    for worker, event_type in zip(workers, types, strict=True):
        worker.printed(f"has applied {event_type}")
    for worker in workers:
        worker.stop(signal.SIGINT)

    assert 1 == sum(worker.output.count("is told by on_uninstall") for worker in workers)
