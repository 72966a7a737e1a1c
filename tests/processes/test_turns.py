"""`wix.only_one` in real processes: a holder that is killed, frozen or stopped."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ROOT, Server, environment, free_port, serving
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.processes


@pytest.fixture(name="storage", params=["sqlite", "postgresql"])
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path}/wix-asgi.db"


@pytest.fixture(name="workers")
def _workers(storage: str, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Run a worker that has begun the job, and another worker that waits for it."""
    env = {**environment(FakeWix(), free_port(), storage), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.processes.turns"]
    with contextlib.ExitStack() as stack:

        def start(name: str) -> Server:
            notes = str(tmp_path / "notes")
            return stack.enter_context(serving([*command, name, notes], cwd=tmp_path, env=env))

        first = start("first")
        first.printed("first begins")
        yield first, start("second")


def turns(tmp_path: Path) -> list[str]:
    """Return which worker did the job, and then which, without repetitions."""
    steps = (tmp_path / "notes").read_text().split()
    return [name for name, before in zip(steps, ["", *steps], strict=False) if name != before]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_the_job_of_a_worker_that_is_gone_goes_on(
    workers: tuple[Server, Server], tmp_path: Path, signum: signal.Signals
) -> None:
    """Another worker begins, at once or when the lease is over, and not before."""
    first, second = workers
    first.stop(signum)
    second.printed("second begins")

    assert ["first", "second"] == turns(tmp_path)


def test_a_frozen_worker_does_not_go_on_when_it_wakes(
    workers: tuple[Server, Server], tmp_path: Path
) -> None:
    """Another one does the job by then: the woken worker is told, and waits for its turn."""
    first, second = workers
    first.process.send_signal(signal.SIGUSR1)
    second.printed("second begins")
    first.process.send_signal(signal.SIGCONT)
    first.printed("first lost it")

    assert ["first", "second"] == turns(tmp_path)
    second.stop(signal.SIGINT)
    first.printed("first begins", 2)
