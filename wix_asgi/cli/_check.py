"""`wix-asgi check`: the faults in the set-up of an app."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from wix_asgi.cli._operating import run
from wix_asgi.errors import BackendNotFound, SettingsError
from wix_asgi.models import Finding, FindingLevel
from wix_asgi.wix import Wix

__all__ = ["check"]


def check(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False,
) -> None:
    """Check the set-up of the app in the WIX_… variables, while it runs.

    It reads the settings, opens the storage, tries the keys on stored tokens,
    compares the clock with Wix's, and opens the App URL and the Redirect URL as a
    browser does, with addresses as long as Wix's. It writes nothing but the tables
    that each start of the app makes, and prints no secret.

    The status is 1 where something is wrong.
    """
    _report(_find(), as_json=as_json)


def _report(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{finding.level:7}  {finding.subject}: {finding.message}")
    if any(finding.level is FindingLevel.ERROR for finding in findings):
        raise typer.Exit(1)


def _find() -> list[Finding]:
    try:
        wix = Wix()
    except (SettingsError, BackendNotFound) as exc:
        return [Finding(FindingLevel.ERROR, "settings", exc.message)]
    return run(wix.check)
