"""A worker that does a job for as long as it may, and notes each step in a file of all workers.

`python -m tests.processes.turns NAME FILE`, with the settings in the environment. At a SIGUSR1 it
stops itself (SIGSTOP) while it waits for its next step: a signal from outside may come in a step.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import anyio

from tests.processes.interruptible import run
from wix_asgi import LeaseLost, Wix

__all__: list[str] = []


async def work(name: str, file: str) -> None:
    """Do the job again and again; print when it begins, and when its lease is lost."""
    notes = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    asked: list[int] = []
    signal.signal(signal.SIGUSR1, lambda signum, _: asked.append(signum))
    async with Wix() as wix:
        while True:
            try:
                async with wix.only_one("job"):
                    os.write(notes, f"{name}\n".encode())
                    say(f"{name} begins")
                    while True:
                        if asked:
                            asked.clear()
                            # Called when the next sleep has begun.
                            asyncio.get_running_loop().call_soon(stop)
                        await anyio.sleep(0.01)
                        os.write(notes, f"{name}\n".encode())
            except LeaseLost:
                say(f"{name} lost it")


def stop() -> None:
    """Stop this process, until it is told to go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(work, sys.argv[1], sys.argv[2])
