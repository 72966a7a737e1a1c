"""The check where its runner differs: without assertions, and an error of a process."""

from __future__ import annotations

import subprocess
import sys
from queue import SimpleQueue
from threading import Barrier
from typing import Any

from wix_asgi.storage import Storage
from wix_asgi.testing.storage import processes

OPTIMISED = """
import asyncio
from wix_asgi.testing.storage_check import check
from wix_asgi_backends.memory import MemoryStorage
asyncio.run(check(MemoryStorage()))
"""


def test_no_assertions() -> None:
    """A Python that leaves out assertions is told that it cannot check anything."""
    ran = subprocess.run(
        [sys.executable, "-O", "-c", OPTIMISED], capture_output=True, text=True, check=False
    )

    assert ran.stderr.endswith("leaves out assertions: run it without -O and PYTHONOPTIMIZE.\n")


def fail() -> Storage:
    """Make no storage."""
    raise ConnectionRefusedError


def test_error_of_a_process() -> None:
    """A process that fails reports the kind of its error, so that the case shows it."""
    told: Any = SimpleQueue()
    start: Any = Barrier(1)
    processes.take_part(processes._claim, fail, ("asyncio", {}), 0, start, told)

    assert ["ConnectionRefusedError", "name"] == processes.joined([told.get(), ["name"]])
