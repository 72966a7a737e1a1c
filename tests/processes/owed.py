"""A worker whose `on_install` says that it was told, which uses a site, and ends its tasks.

`python -m tests.processes.owed NAME SITE`, with the settings in the environment. The hook of a
worker named "hanging" never ends.
"""

from __future__ import annotations

import sys

import anyio

from tests.processes.interruptible import run
from wix_asgi import Installation, Wix

__all__: list[str] = []


async def work(name: str, site: str) -> None:
    """Use the site, and live on; print each step."""

    async def on_install(installation: Installation) -> None:
        say(f"{name} is told of {installation.instance_id}")
        if name == "hanging":
            await anyio.sleep_forever()

    async with Wix(on_install=on_install) as wix:
        answer = await wix.client(site).get("/apps/v1/instance")
        say(f"{name} got {answer.status_code}")
        while tasks := wix._detached._tasks_here():
            await tasks[0].wait()
        say(f"{name} is idle")
        await anyio.sleep_forever()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(work, sys.argv[1], sys.argv[2])
