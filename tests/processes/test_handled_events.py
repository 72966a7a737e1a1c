"""Handlers in real processes, which are killed, frozen, stopped, or many."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from tests.processes.apps import delivered, running
from tests.processes.handling import APP, QUICK, SLOW
from tests.servers import ROOT, Server, environment, free_port, serving
from tests.support import make_app, make_wix
from wix_asgi import WixMiddleware
from wix_asgi.models import EventRecord, EventState
from wix_asgi.storage import EventStorage, open_storage
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.processes

LEASE = "2"


@pytest.fixture(name="storage", params=["sqlite", "postgresql"])
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path}/wix-asgi.db"


@pytest.fixture(name="notes", autouse=True)
def _notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeWix) -> Path:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("WIX_PUBLIC_KEY", fake.public_key)
    os.mkfifo(tmp_path / "notes.go")
    return tmp_path / "notes"


@pytest.fixture(name="start")
def _start(fake: FakeWix, storage: str, tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Start processes without HTTP, which handle events."""
    env = {**environment(fake, free_port(), storage), "PYTHONPATH": f"{ROOT}:{ROOT}/backends"}
    with contextlib.ExitStack() as stack:

        def start() -> Server:
            command = [sys.executable, "-m", "tests.processes.handling", LEASE]
            server = stack.enter_context(serving(command, cwd=tmp_path, env=env))
            server.printed("works")
            return server

        yield start


async def keep(fake: FakeWix, storage: str, event_type: str) -> None:
    """Keep an event by a web process that handles none."""
    wix = make_wix(fake, storage=storage, webhooks="store")
    await delivered(fake, WixMiddleware(make_app(), wix), event_type)
    await wix.aclose()


async def kept(fake: FakeWix, storage: str) -> EventRecord:
    """Return the only event in the storage."""
    opened = open_storage(storage)
    await opened.open()
    assert isinstance(opened, EventStorage)
    (record,) = await opened.events(fake.app_id)
    await opened.aclose()
    return record


async def printed(server: Server, pattern: str, times: int = 1) -> None:
    """Return once the server has printed it so often."""
    await anyio.to_thread.run_sync(server.printed, pattern, times)


def let_end(notes: Path) -> None:
    """Let the slow handler of this moment end, which holds the pipe open."""
    notes.with_name("notes.go").write_bytes(b"!")


def steps(notes: Path) -> list[tuple[int, str]]:
    """Return the process and the first words of each note."""
    lines = [line.split(" ", 1) for line in notes.read_text().splitlines()]
    words = [(int(pid), re.sub(" [0-9a-f]{32}", "", rest)) for pid, rest in lines]
    return [(pid, word) for pid, word in words if word != "works"]


async def test_an_event_of_a_killed_process_is_handled_again(
    fake: FakeWix, storage: str, notes: Path, start: Callable[[], Server]
) -> None:
    """By another process, once the lease is over; the handler that returned is not called."""
    await keep(fake, storage, SLOW)
    first = await anyio.to_thread.run_sync(start)
    await printed(first, "slow begins")
    first.stop(signal.SIGKILL)
    second = await anyio.to_thread.run_sync(start)
    await printed(second, "slow begins")
    let_end(notes)
    await printed(second, "slow ends")
    second.stop(signal.SIGINT)

    assert [
        (first.process.pid, "first"),
        (first.process.pid, "slow begins 1"),
        (second.process.pid, "slow begins 2"),
        (second.process.pid, "slow ends 2"),
    ] == steps(notes)


async def test_a_handler_of_a_frozen_process_is_cancelled_when_it_wakes(
    fake: FakeWix, storage: str, notes: Path, start: Callable[[], Server]
) -> None:
    """Another process has begun by then: the woken handler goes on by no step."""
    first = await anyio.to_thread.run_sync(start)
    await keep(fake, storage, SLOW)
    await printed(first, "slow begins")
    first.process.send_signal(signal.SIGSTOP)
    second = await anyio.to_thread.run_sync(start)
    await printed(second, "slow begins")
    let_end(notes)
    await printed(second, "slow ends")
    first.process.send_signal(signal.SIGCONT)
    await printed(first, "slow is cancelled")
    second.stop(signal.SIGINT)
    first.stop(signal.SIGINT)

    assert [
        (first.process.pid, "first"),
        (first.process.pid, "slow begins 1"),
        (second.process.pid, "slow begins 2"),
        (second.process.pid, "slow ends 2"),
        (first.process.pid, "slow is cancelled"),
    ] == steps(notes)


async def test_a_worker_that_is_told_to_end_gives_its_event_back(
    fake: FakeWix, storage: str, start: Callable[[], Server]
) -> None:
    """The attempt is not counted, and the event is due at once."""
    await keep(fake, storage, SLOW)
    worker = await anyio.to_thread.run_sync(start)
    await printed(worker, "slow begins")
    worker.process.send_signal(signal.SIGINT)
    await printed(worker, "slow is cancelled")
    await anyio.to_thread.run_sync(worker.exited)
    record = await kept(fake, storage)

    assert (EventState.WAITING, 0, False) == (record.state, record.attempts, record.is_taken)
    assert record.due_in <= 0


async def test_two_workers_of_a_server_handle_each_event_once(
    fake: FakeWix, storage: str, tmp_path: Path
) -> None:
    """Whichever of them got it."""
    times = 20
    with running(fake, storage, "--factory", room=tmp_path, workers=2, served=APP) as app:
        for _ in range(times):
            await delivered(fake, app.url, QUICK)
        await printed(app.server, "first", times)
        app.server.stop()
    counts = Counter(re.findall("first ([0-9a-f]{32})", app.server.output))

    assert [1] * times == list(counts.values())


async def test_a_server_that_is_told_to_end_cancels_its_handlers_first(
    fake: FakeWix, storage: str, notes: Path, tmp_path: Path
) -> None:
    """The app's own shutdown, which closes the database of its handlers, comes after."""
    with running(fake, storage, "--factory", room=tmp_path, served=APP) as app:
        await delivered(fake, app.url, SLOW)
        await printed(app.server, "slow begins")
        app.server.process.send_signal(signal.SIGTERM)
        await printed(app.server, "app closes")
        await anyio.to_thread.run_sync(app.server.exited)
    lines = [word for _, word in steps(notes)]
    record = await kept(fake, storage)

    assert ["app opens", "first", "slow begins 1", "slow is cancelled", "app closes"] == lines
    assert EventState.WAITING == record.state
    assert "Traceback" not in app.server.output


async def test_a_server_without_a_lifespan_begins_with_the_first_event(
    fake: FakeWix, storage: str, tmp_path: Path
) -> None:
    """As daphne, and an app below a mount."""
    with running(fake, storage, "--factory", "--lifespan", "off", room=tmp_path, served=APP) as app:
        await delivered(fake, app.url, QUICK)
        await printed(app.server, "first")
        app.server.stop()

    assert "Traceback" not in app.server.output
