"""Python without docstrings and assertions (`-OO`, PYTHONOPTIMIZE): every message stands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.limits import PATIENCE
from tests.servers import ROOT
from wix_asgi import errors


def surface(*options: str) -> list[str]:
    """Return the lines that `error_surface.py` prints under these options of Python."""
    done = subprocess.run(
        [sys.executable, *options, "-m", "tests.error_surface"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.stdout.splitlines()


@pytest.fixture(name="plain", scope="module")
def _plain() -> list[str]:
    """Return the messages of a Python that leaves out nothing."""
    return surface()


@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_every_message_stands(plain: list[str], option: str) -> None:
    """No message, refusal or log line needs a docstring, and nothing needs an assertion."""
    assert plain == surface(option)


def test_every_error_says_something(plain: list[str]) -> None:
    """The errors of all classes are among the messages, and none of these is empty."""
    said = {line.partition(": ")[0] for line in plain}

    assert {*errors.__all__} - {"CallerReason", "Reason"} <= said
    assert {"RuntimeError", "401 /echo", "400 /wix/callback", "WARNING"} <= said
    assert [] == [line for line in plain if line.endswith((": ''", ": None"))]
