"""`chaos.webhooks_app:app`: its handler takes as long as the event says, and notes its runs."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
from starlette.applications import Starlette

from chaos.webhooks_runs import LOG, RunLog
from tests.processes.stamped import Stamp
from wix_asgi import Wix, WixMiddleware
from wix_asgi.events import WebhookEvent

__all__ = ["app", "wix"]

wix = Wix()
_runs = RunLog(Path(os.environ[LOG]))
_runs.note("began", -1)


@wix.on("*")
async def handle(event: WebhookEvent) -> None:
    """Take the event's number of seconds."""
    number = event.data["number"]
    _runs.note("began", number)
    await anyio.sleep(event.data["seconds"])
    _runs.note("ended", number)


app = Stamp(WixMiddleware(Starlette(), wix))
