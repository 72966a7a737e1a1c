"""Serves an ASGI app on a port, from a thread of this process, during a `with` block."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

__all__ = ["serve"]

# Whole seconds, as uvicorn wants them: the shortest time after which a held answer is cut off, so
# that a test that holds answers ends soon.
_SHUTDOWN_SECONDS: Final = 1


@contextlib.contextmanager
def serve(app: ASGIApp, host: str, port: int) -> Iterator[str]:
    """Run `app` on its own event loop and yield its base URL; port 0 takes a free one.

    Requests that are unanswered a second after the end of the block are cut off.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        # Connections inherit it; asyncio sets it only on sockets created with IPPROTO_TCP.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = uvicorn.Server(_config(app))
        # The listener queues connections from here on, so that nobody has to wait for the server.
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="fake-wix", daemon=True
        )
        thread.start()
        try:
            yield _base_url(*listener.getsockname()[:2])
        finally:
            server.should_exit = True
            thread.join()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        lifespan="off",
        log_config=None,  # logging belongs to the surrounding program
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def _base_url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
