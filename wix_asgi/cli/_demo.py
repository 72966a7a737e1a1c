"""The demo: an app wrapped in one line, beside a fake Wix, on a SQLite file."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

import anyio
import typer
import uvicorn

from wix_asgi.cli._demo_app import make_app
from wix_asgi.cli._operating import fail, shown
from wix_asgi.errors import WixError
from wix_asgi.middleware import WixMiddleware
from wix_asgi.models import InstallFlow
from wix_asgi.testing import FakeWix
from wix_asgi.wix import Wix

__all__ = ["run"]

_HOST = "127.0.0.1"
_STARTUP_FAILED: Final = 3  # the exit status of the uvicorn command for it

# Seconds that requests under way have after Ctrl-C. A demo answers within milliseconds; only a
# browser that keeps a connection open would wait longer.
_SHUTDOWN_SECONDS: Final = 5


def run(*, port: int, wix_port: int, storage: str, flow: InstallFlow) -> None:
    """Serve the app and the fake Wix until Ctrl-C; port 0 takes a free one.

    Raises:
        typer.Exit: They cannot start; the reason was printed.
    """
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listen(port))
        public_url = f"http://{_HOST}:{listener.getsockname()[1]}"
        fake = _make_fake(public_url, flow)
        wix_url = _enter_fake(stack, fake, wix_port)
        app = _wrap(fake, public_url, storage, flow)
        typer.echo(_welcome(wix_url, public_url, storage))
        _serve_app(app, listener)
    typer.echo("\n  Stopped.")


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except OSError as exc:
        fail(_cannot_listen(port, exc, "--port"))


def _make_fake(public_url: str, flow: InstallFlow) -> FakeWix:
    fake = FakeWix(
        app_name="wix-asgi demo",
        app_url=f"{public_url}/wix/install",
        redirect_urls=[f"{public_url}/wix/callback"],
    )
    fake.flow = flow.value
    return fake


def _enter_fake(stack: contextlib.ExitStack, fake: FakeWix, port: int) -> str:
    try:
        return stack.enter_context(fake.serve(host=_HOST, port=port))
    except OSError as exc:
        fail(_cannot_listen(port, exc, "--wix-port"))


def _wrap(fake: FakeWix, public_url: str, storage: str, flow: InstallFlow) -> WixMiddleware:
    """Return the app, after a check that its storage works."""
    try:
        app = make_app(public_url=public_url, storage=storage, flow=flow, **fake.settings())
        anyio.run(_recall, app.wix, fake)
        fake.webhook_url = app.wix.settings.webhook_url
    except WixError as exc:
        fail(str(exc))
    return app


async def _recall(wix: Wix, fake: FakeWix) -> None:
    """Open the storage, and tell the fake Wix of the installations of earlier demos."""
    async with wix:
        async for installation in wix.installations():
            if installation.instance_id in fake.sites:
                fake.mark_installed(installation.instance_id)


def _welcome(wix_url: str, public_url: str, storage: str) -> str:
    return (
        f"\n  Open {wix_url} and add the demo to a site.\n\n"
        f"  The app is at {public_url}, its installations are in {shown(storage)}.\n"
        "  Ctrl-C ends both; a site that has the app keeps it.\n"
    )


def _serve_app(app: WixMiddleware, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app, log_level="warning", lifespan="on", timeout_graceful_shutdown=_SHUTDOWN_SECONDS
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    if not server.started:
        raise typer.Exit(_STARTUP_FAILED)


def _cannot_listen(port: int, exc: OSError, option: str) -> str:
    why = os.strerror(exc.errno) if exc.errno else str(exc)
    return f"Port {port} cannot be used: {why}. Choose another with {option}."
