"""The quickstart, with the id of the answering worker's process on every answer."""

from __future__ import annotations

import os

from starlette.types import Message, Receive, Scope, Send

from examples.quickstart import app as quickstart

__all__ = ["app"]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the quickstart."""

    async def stamp(message: Message) -> None:
        if message["type"] == "http.response.start":
            stamped = (b"x-worker", str(os.getpid()).encode())
            message = {**message, "headers": [*message["headers"], stamped]}
        await send(message)

    await quickstart(scope, receive, stamp)
