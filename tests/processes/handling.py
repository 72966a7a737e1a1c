"""An app whose handlers note their calls in files, and a worker without HTTP.

`uvicorn --factory tests.processes.handling:make_app`, or, for a worker, `python -m
tests.processes.handling LEASE`. The settings are in the environment, and `NOTES` names the file of
the notes; slow handlers end once something is in the pipe of that name with `.go` behind it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from anyio.lowlevel import checkpoint
from starlette.applications import Starlette

from tests.limits import PATIENCE
from tests.processes.interruptible import run
from wix_asgi import Wix, WixMiddleware
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.events import WebhookEvent
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import EventStorage
from wix_asgi.webhooks.handlers import Handlers
from wix_asgi.webhooks.inbox import Inbox
from wix_asgi.webhooks.policy import WebhookPolicy
from wix_asgi.webhooks.worker import EventWorker

__all__ = ["APP", "QUICK", "SLOW", "make_app"]

APP: Final = "tests.processes.handling:make_app"
QUICK: Final = "quick"
SLOW: Final = "slow"


def say(line: str) -> None:
    """Print a line at once, and note it."""
    line = f"{os.getpid()} {line}"
    with Path(os.environ["NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(f"{line}\n")
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def register(wix: Wix | Handlers) -> None:
    """Register the handlers."""

    @wix.on("*")
    async def first(event: WebhookEvent) -> None:
        say(f"first {event.id}")

    @wix.on(SLOW)
    async def slow(event: WebhookEvent) -> None:
        say(f"slow begins {event.id} {event.attempt}")
        # For writing, too: so it opens at once. Without a step of its own until then, so that no
        # signal that freezes the process meets the handler in the middle of one.
        pipe = os.open(os.environ["NOTES"] + ".go", os.O_RDWR | os.O_NONBLOCK)
        try:
            await anyio.wait_readable(pipe)
        except BaseException:
            say(f"slow is cancelled {event.id}")
            raise
        finally:
            os.close(pipe)
        say(f"slow ends {event.id} {event.attempt}")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Say when the app's own resources are open."""
    say("app opens")
    yield
    say("app closes")


def make_app() -> WixMiddleware:
    """Return an app that handles the events it gets."""
    wix = Wix()
    register(wix)
    return WixMiddleware(Starlette(lifespan=lifespan), wix)


async def work(lease: float) -> None:
    """Handle events under leases of so many seconds, and do nothing else."""
    handlers = Handlers()
    register(handlers)
    async with Wix() as wix:
        vault = Vault(wix.settings.key_ring())
        assert isinstance(wix.storage, EventStorage)
        worker = EventWorker(
            Inbox(wix.settings.app_id, wix.storage, vault),
            handlers,
            app_id=wix.settings.app_id,
            storage=wix.storage,
            prepare=lambda _: checkpoint(),
            make_event=lambda signed, event_id, attempt: WebhookEvent(
                event_type=signed.event_type,
                instance_id=signed.instance_id,
                data=signed.data,
                identity=signed.identity,
                id=event_id,
                issued_at=signed.issued_at,
                attempt=attempt,
                client=wix.client(signed.instance_id),
            ),
            detached=DetachedTasks(),
            # So that nothing but renewals goes to the storage while a handler runs: a process that
            # is frozen inside of a statement keeps the lock of SQLite.
            concurrency=1,
            ready=wix.open,
            policy=WebhookPolicy(
                lease=lease,
                lease_margin=lease / 4,
                max_poll_pause=0.5,
                shutdown_grace=0.1,
                shutdown_cleanup=PATIENCE,
            ),
        )
        say("works")
        await worker.run()


if __name__ == "__main__":
    run(work, float(sys.argv[1]))
