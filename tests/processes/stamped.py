"""The quickstart, which stamps every answer and waits for Wix longer than any test does."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.limits import PATIENCE
from wix_asgi import WixMiddleware
from wix_asgi.fastapi import WixDep

__all__ = ["WORKER", "app"]

WORKER = "x-worker"
"""The header that holds the id of the answering worker's process."""


class Stamp:
    """Puts the id of this process on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve `app`."""

        async def stamp(message: Message) -> None:
            if message["type"] == "http.response.start":
                stamped = (WORKER.encode(), str(os.getpid()).encode())
                message = {**message, "headers": [*message["headers"], stamped]}
            await send(message)

        await self._app(scope, receive, stamp)


app = FastAPI()
app.add_middleware(WixMiddleware)
app.add_middleware(Stamp)


@app.get("/products")
async def products(wix: WixDep) -> Any:
    """Answer with the products of the calling site."""
    # A crowd of calls at a fake Wix on a busy machine takes longer than the default timeouts.
    answer = await wix.post("/stores/v1/products/query", json={"query": {}}, timeout=PATIENCE)
    return answer.raise_for_status().json()
