"""`wix-asgi events` in processes of its own, on databases."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.commands import run_for_real
from tests.cli.kept_events import keep, kill
from tests.operations.events import MAIL, id_of
from tests.servers import ROOT, serving

WITH_INTERRUPT = """
import signal, sys
from wix_asgi.cli import main

# Whatever runs the tests in the background may have left it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["wix-asgi", "events", "tail"]
main()
"""


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def _url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the variables of an app, and return the URL of an empty storage."""
    for name, value in {
        "WIX_APP_ID": "test-app",
        "WIX_APP_SECRET": "test-app-secret-number-one",
        "WIX_PUBLIC_URL": "https://app.example.com",
    }.items():
        monkeypatch.setenv(name, value)
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/wix-asgi.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


def test_the_event_commands_run_for_real(url: str) -> None:
    """In processes of their own, on databases, they do the same and print no payload (R35)."""
    ids = keep("first", "second", url=url)
    kill(ids[0], url=url)
    env = {**os.environ, "WIX_STORAGE": "sqlite:///nothing.db"}
    done = [
        run_for_real("events", *words, "--storage", url, env=env)
        for words in (
            ["list"],
            ["list", "--dead", "--json"],
            ["show", ids[0]],
            ["retry", ids[0]],
            ["drop", ids[0], "--yes"],
        )
    ]
    output = "".join(result.stdout + result.stderr for result in done)

    assert [0] * 5 == [result.returncode for result in done], output
    assert [ids[0]] == [one["id"] for one in json.loads(done[1].stdout)]
    assert MAIL not in output
    assert "test-app-secret" not in output


@pytest.mark.processes
def test_events_are_followed_until_the_interrupt(url: str, tmp_path: Path) -> None:
    """`tail` prints what comes and what changes, a line each, and ends quietly with Ctrl-C."""
    keep("before", url=url)
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), "WIX_STORAGE": url}
    with serving([sys.executable, "-c", WITH_INTERRUPT], cwd=tmp_path, env=env) as server:
        server.printed("ID  ")
        (event_id,) = keep("after", url=url)
        server.printed(f"{event_id[:12]}  .*  waiting ")
        kill(event_id, url=url)
        server.printed(f"{event_id[:12]}  .*  dead .*ValueError in app.count")
        status = server.stop(signal.SIGINT)

    assert 0 == status, server.output
    assert id_of("before")[:12] not in server.output
    assert MAIL not in server.output
    assert "Traceback" not in server.output
