"""An app whose handlers note their calls in files, and a worker without HTTP.

`uvicorn tests.processes.handling:app`, or `python -m tests.processes.handling NAME` for a worker;
the settings are in the environment, and `NOTES` names the directory of the notes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from starlette.applications import Starlette

from wix_asgi import Wix, WixMiddleware
from wix_asgi.events import WebhookEvent

__all__ = ["APP", "QUICK", "SLOW", "app"]

APP: Final = "tests.processes.handling:app"
QUICK: Final = "quick"
SLOW: Final = "slow"


def say(line: str) -> None:
    """Print a line at once, and note it."""
    line = f"{os.getpid()} {line}"
    with Path(os.environ["NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(f"{line}\n")
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def register(wix: Wix) -> None:
    """Register the handlers."""

    @wix.on("*")
    async def first(event: WebhookEvent) -> None:
        say(f"first {event.id}")

    @wix.on(SLOW)
    async def slow(event: WebhookEvent) -> None:
        say(f"slow begins {event.id} {event.attempt}")
        try:
            while not Path(os.environ["NOTES"] + ".go").exists():  # noqa: ASYNC110, ASYNC240
                await anyio.sleep(0.05)
        except BaseException:
            say(f"slow is cancelled {event.id}")
            raise
        say(f"slow ends {event.id} {event.attempt}")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Say when the app's own resources are open."""
    say("app opens")
    yield
    say("app closes")


async def work() -> None:
    """Handle events, and nothing else."""
    async with Wix() as wix:
        register(wix)
        say("works")
        await wix.work_events()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    anyio.run(work)
else:
    _wix = Wix()
    register(_wix)
    app = WixMiddleware(Starlette(lifespan=lifespan), _wix)
