"""The commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from wix_asgi.cli import _demo

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    # Locals of a traceback can be secrets.
    pretty_exceptions_show_locals=False,
)


@app.callback()
def wix_asgi() -> None:
    """Wix app installs, tokens and an authenticated client for any ASGI app."""


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="The port of the app.")] = 8000,
    wix_port: Annotated[int, typer.Option(help="The port of the fake Wix.")] = 8001,
    storage: Annotated[
        str, typer.Option(help="Where installations are kept, as a URL.")
    ] = "sqlite:///wix-asgi-demo.db",
) -> None:
    """Run an app beside a fake Wix, to install it in the browser. Ctrl-C ends both."""
    _demo.run(port=port, wix_port=wix_port, storage=storage)
