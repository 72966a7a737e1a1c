"""on_install in real processes: a caller brings the installation, and workers are killed."""

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

Start = Callable[[str], Server]


@pytest.fixture(name="storage", params=["sqlite", "postgresql"])
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path}/wix-asgi.db"


@pytest.fixture(name="start")
def _start(fake: FakeWix, storage: str, tmp_path: Path) -> Iterator[Start]:
    """Start workers by their names; the app is on the site, whose row is missing."""
    fake.mark_installed(SITE)
    env = {
        **environment(fake, free_port(), storage),
        "PYTHONPATH": f"{ROOT}:{ROOT}/backends",
        "WIX_FLOW": "client_credentials",
    }
    with contextlib.ExitStack() as stack:

        def start(name: str) -> Server:
            command = [sys.executable, "-m", "tests.processes.owed", name, SITE]
            return stack.enter_context(serving(command, cwd=tmp_path, env=env))

        yield start


def test_killed_inside_of_the_hook(start: Start) -> None:
    """The next process that uses the site tells again, and those after it do not."""
    hanging = start("hanging")
    hanging.printed(f"hanging is told of {SITE}")
    hanging.stop(signal.SIGKILL)
    second = start("second")
    second.printed(f"second is told of {SITE}")
    second.stop(signal.SIGINT)
    third = start("third")
    third.printed("third is idle")
    third.stop(signal.SIGINT)

    assert "is told" not in third.output


def test_two_workers_at_once(start: Start) -> None:
    """Of two workers that use the site at the same moment, one tells."""
    workers = [start("one"), start("two")]
    for worker in workers:
        worker.printed("is idle")
    for worker in workers:
        worker.stop(signal.SIGINT)

    assert 1 == sum(worker.output.count("is told") for worker in workers)
