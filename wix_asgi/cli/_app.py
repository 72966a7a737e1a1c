"""The commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

import wix_asgi
from wix_asgi.cli import _check, _demo, _events, _installations, _keys, _migrate, _storage
from wix_asgi.models import InstallFlow

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    # The local variables of a traceback can hold secrets.
    pretty_exceptions_show_locals=False,
)
app.add_typer(_installations.app, name="installations")
app.add_typer(_events.app, name="events")
app.add_typer(_keys.app, name="keys")
app.add_typer(_storage.app, name="storage")
app.command()(_check.check)
app.command()(_migrate.migrate)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wix-asgi {wix_asgi.__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Wix app installs, tokens and an authenticated client for any ASGI or WSGI app."""


@app.command()
def demo(
    *,
    # Typer 0.27 takes a metavar that spells the parameter's name for the name of the option.
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            metavar="PORT",
            help="The port of the app; 0 takes a free one.",
        ),
    ] = 8000,
    wix_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="The port of the fake Wix; 0 takes a free one."
        ),
    ] = 8001,
    storage: Annotated[
        str, typer.Option(metavar="URL", help="Where installations are kept.")
    ] = "sqlite:///wix-asgi-demo.db",
    flow: Annotated[
        InstallFlow,
        typer.Option(
            "--flow",
            metavar="FLOW",
            help="How the app is installed: advanced, as apps with custom authentication, or "
            "client_credentials, as new apps.",
        ),
    ] = InstallFlow.ADVANCED,
) -> None:
    """Run an app beside a fake Wix, to install it in the browser.

    Open the address that is printed and add the app to a site. Ctrl-C ends
    both; installations are still there the next time.
    """
    _demo.run(port=port, wix_port=wix_port, storage=storage, flow=flow)
