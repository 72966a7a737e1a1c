"""`wix-asgi storage copy` with events in the inbox."""

from __future__ import annotations

import pytest

from tests.cli.commands import run, store
from tests.cli.kept_events import found, keep, kill, listed
from tests.operations.events import MAIL, id_of
from tests.operations.sealed import APP
from wix_asgi.cli import _storage
from wix_asgi.models import EventState
from wix_asgi.operations.copy_events import EventCopy

pytestmark = pytest.mark.usefixtures("kept_inbox")


@pytest.fixture(name="url")
def _url(request: pytest.FixtureRequest) -> str:
    return f"kept://{request.node.name}"


def test_the_inbox_is_copied(url: str) -> None:
    """A second line counts events; another copy finds them the same (R43, R44)."""
    done, dead = id_of("done"), id_of("dead")
    store(url, "site-a")
    keep("done", "dead", url=url)
    kill(done, is_dead=False, url=url)
    kill(dead, url=url)
    keep("waiting", url=url)
    result = run("storage", "copy", url, f"{url}-new", "--app-id", APP)
    again = run("storage", "copy", url, f"{url}-new", "--app-id", APP)

    assert (0, "") == (result.exit_code, result.stderr)
    assert (
        "kept://… to kept://…: 3 events in FROM; 3 written, 3 compared and the same, "
        "0 left as an app wrote them in TO."
    ) == result.stdout.splitlines()[1]
    assert "0 written, 3 compared" in again.stdout.splitlines()[1]
    assert EventState.DONE is found(done, f"{url}-new").record.state
    assert {dead, id_of("waiting")} == {one["id"] for one in listed("--storage", f"{url}-new")}
    assert MAIL not in result.output


def test_progress_of_copied_events_is_shown(url: str) -> None:
    """With `--verbose` there is a line on stderr for every thousand events of a pass."""
    store(url, "site-a")
    keep(*(f"event-{number}" for number in range(1001)), url=url)
    result = run("storage", "copy", url, f"{url}-new", "--app-id", APP, "--verbose")

    assert "Pass 1: 1,000 events read, 1,000 written.\n" in result.stderr


def test_events_need_an_inbox(url: str) -> None:
    """Where TO keeps no events, those of FROM are counted, and the status is 1."""
    store(url, "site-a")
    keep("first", url=url)
    result = run("storage", "copy", url, "plain://", "--app-id", APP)
    back = run("storage", "copy", "plain://", url, "--app-id", APP)

    assert 1 == result.exit_code
    assert "TO has no inbox (EventStorage): 1 event of FROM cannot be copied." in result.stderr
    assert 1 == back.stdout.count("\n")


def test_events_that_change_all_the_time_are_told(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no pass had nothing to write, the status is 1, and the remedy is told."""

    async def restless(*_arguments: object, **_options: object) -> EventCopy:
        return EventCopy(passes=10, seen=2, same=1, written=12)

    monkeypatch.setattr(_storage, "copy_events", restless)
    store(url, "site-a")
    result = run("storage", "copy", url, f"{url}-new", "--app-id", APP)

    assert 1 == result.exit_code
    assert "Events changed in FROM during each of 10 passes. Stop the app" in result.stderr
