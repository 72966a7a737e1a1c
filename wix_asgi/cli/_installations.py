"""`wix-asgi installations`: lists an app's installations, and shows, refreshes or removes one."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

import typer

from wix_asgi.cli._operating import fail, listed, opened, readable, run, utc_text
from wix_asgi.cli._refreshing import REFRESHED, refresh_now
from wix_asgi.installations.facts import installation_of
from wix_asgi.installations.removal import end_of_generation
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.scan import DatedRecord, RecordScan
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="List the installations of an app, and show, refresh or remove one.",
)

_PAGE: Final = 100
"""Installations that `list` prints unless `--limit` says otherwise: a few screens of a terminal."""

_COLUMNS: Final = "{:36}  {:19}  {:18}  {:>8}  {}"
"""Instance, time of the install, grant, token, notes. Wix's instance ids have 36 characters."""

_StorageUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--storage", metavar="URL", help="The storage, instead of WIX_STORAGE.", show_default=False
    ),
]
_Instance: TypeAlias = Annotated[
    str, typer.Argument(metavar="INSTANCE", help="The instance id of the installation.")
]


@app.command(name="list")
def list_(
    *,
    after: Annotated[
        str, typer.Option(metavar="ID", help="Begin behind this instance id.", show_default=False)
    ] = "",
    limit: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="The most installations to print.")
    ] = _PAGE,
    storage: _StorageUrl = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list with an object on each line.")
    ] = False,
) -> None:
    """Print a page of the installations of WIX_APP_ID, ordered by instance id.

    Where there are more, the last line, on stderr, is the option for the next
    page. The status is 0, also where there is no installation.

    No token is opened or printed. JSON objects have instance_id, installed_at,
    grant, origin_instance_id, token_seconds (how long the access token lives; 0
    where it is over, null where there is none), failure (of the last refresh:
    refused, not_installed, misconfigured or unavailable), failure_until (before
    which no refresh is tried again) and owes_on_install (whether the app's
    on_install is still to be called). Times are UTC, as in 2026-11-01T12:00:00Z.
    """
    run(functools.partial(_list, storage, after, limit, as_json))


@app.command()
def show(
    instance: _Instance,
    *,
    storage: _StorageUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Print one installation, and whether the keys at hand open its tokens.

    The JSON object has the fields that `list` prints, and opens (true or false)
    and trouble (why the tokens cannot be opened, or null).

    The status is 1 where there is no such installation.
    """
    run(functools.partial(_show, storage, instance, as_json))


@app.command()
def refresh(
    instance: _Instance,
    *,
    storage: _StorageUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Get a new access token for one installation now, and say how that went.

    It is stored for the app, which may run: the workers and this command never
    refresh an installation at one time. The pause after a failed refresh is
    skipped.

    The JSON object has instance_id, outcome, message and token_seconds. The
    outcome is refreshed, with status 0; or, with status 1, not_there, refused (Wix
    refuses the installation), misconfigured (Wix refuses WIX_APP_ID or
    WIX_APP_SECRET), unavailable (Wix is failing), storage_unavailable or
    unreadable (the stored tokens cannot be opened).
    """
    run(functools.partial(_refresh, storage, instance, as_json))


@app.command()
def remove(
    instance: _Instance,
    *,
    storage: _StorageUrl = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove one installation with its tokens, as if its site had removed the app.

    on_uninstall hooks of the app do not run from the command line: they are
    called by `await wix.remove(INSTANCE)` in the app's own code.

    Workers of the app stop serving the site within a minute. Wix is told nothing:
    a site that still has the app there may come back with its next call.

    The status is 1 where there is no such installation, or you do not confirm.
    """
    run(functools.partial(_remove, storage, instance, yes))


@contextlib.asynccontextmanager
async def _opened(url: str | None) -> AsyncIterator[tuple[WixSettings, Storage]]:
    settings = WixSettings.load(storage=url)
    async with opened(settings.storage.get_secret_value(), "The storage") as storage:
        yield settings, storage


async def _list(url: str | None, after: str, limit: int, as_json: bool) -> None:
    async with _opened(url) as (settings, storage):
        scan = RecordScan(storage, settings.app_id, after=after)
        printed, last = 0, after
        async for dated in scan:
            if printed == limit:
                typer.echo(f"more: --after {listed([last])}", err=True)
                break
            facts = _facts(dated)
            if as_json:
                typer.echo(f"{',' if printed else '['}\n{json.dumps(facts)}", nl=False)
            else:
                _print_row(facts, is_first=printed == 0)
            printed, last = printed + 1, dated.record.instance_id
    if as_json:
        typer.echo("\n]" if printed else "[]")
    elif not printed:
        typer.echo("There is no installation.", err=True)


async def _show(url: str | None, instance_id: str, as_json: bool) -> None:
    async with _opened(url) as (settings, storage):
        facts = _facts(await _found(storage, settings, instance_id))
        vault = Vault(settings.key_ring())
        stored = await InstallationRepository(settings.app_id, storage, vault).get(instance_id)
    unreadable = stored and stored.unreadable
    trouble = unreadable.error.message if unreadable else None
    if as_json:
        facts |= {"opens": trouble is None, "trouble": trouble}
        typer.echo(json.dumps(facts, indent=2))
        return
    for name, value in [
        ("instance", listed([facts["instance_id"]])),
        ("installed", f"{readable(facts['installed_at'])} UTC"),
        ("grant", facts["grant"]),
        ("copy of", listed([facts["origin_instance_id"] or "no other installation"])),
        ("token", _token(facts["token_seconds"])),
        ("last refresh", _failure(facts) or "did not fail"),
        ("on_install", "is still to be called" if facts["owes_on_install"] else "was called"),
        ("keys", trouble or "open its tokens"),
    ]:
        typer.echo(f"{name:12}  {value}")


async def _refresh(url: str | None, instance_id: str, as_json: bool) -> None:
    async with _opened(url) as (settings, storage):
        outcome = await refresh_now(settings, storage, instance_id)
    if as_json:
        told = {"instance_id": instance_id, "outcome": outcome.kind, "message": outcome.message}
        typer.echo(json.dumps(told | {"token_seconds": outcome.token_seconds}, indent=2))
        raise typer.Exit(outcome.kind != REFRESHED)
    if outcome.kind != REFRESHED:
        fail(outcome.message)
    typer.echo(outcome.message)


async def _remove(url: str | None, instance_id: str, yes: bool) -> None:
    async with _opened(url) as (settings, storage):
        installed_at = (await _found(storage, settings, instance_id)).record.installed_at
        if not yes:
            typer.echo("The hooks on_uninstall of your app do not run from the command line.")
            typer.confirm(f"Remove the installation on {listed([instance_id])}?", abort=True)
        # A site that has installed again meanwhile stays installed.
        before = None if installed_at is None else end_of_generation(installed_at)
        if not await storage.delete(settings.app_id, instance_id, installed_before=before):
            fail("It was installed again or removed in the meantime: nothing was removed.")
    typer.echo("Removed. Workers of the app stop serving the site within a minute.")


async def _found(storage: Storage, settings: WixSettings, instance_id: str) -> DatedRecord:
    dated = await RecordScan(storage, settings.app_id).get(instance_id)
    if dated is None:
        fail(
            "There is no such installation: look at the instance id, which has to be whole, "
            "WIX_APP_ID and the storage."
        )
    return dated


def _facts(dated: DatedRecord) -> dict[str, Any]:
    """Return the fields of an installation that `list` prints as JSON; none is a secret."""
    record, installation = dated.as_of_now(), installation_of(dated.record)
    token_seconds = None if record.access_token is None else max(0, round(record.expires_in))
    retry_at = datetime.now(UTC) + timedelta(seconds=record.retry_in)
    return {
        "instance_id": record.instance_id,
        "installed_at": utc_text(record.installed_at),
        "grant": installation.grant.value,
        "origin_instance_id": record.origin_instance_id,
        "token_seconds": token_seconds,
        "failure": record.failure,
        "failure_until": None if record.failure is None else utc_text(retry_at),
        "owes_on_install": record.owes_on_install,
    }


def _print_row(facts: dict[str, Any], *, is_first: bool) -> None:
    if is_first:
        typer.echo(_COLUMNS.format("INSTANCE", "INSTALLED (UTC)", "GRANT", "TOKEN", "NOTES"))
    notes = [
        _failure(facts),
        facts["origin_instance_id"] and f"copy of {listed([facts['origin_instance_id']])}",
        facts["owes_on_install"] and "on_install still to be called",
    ]
    row = _COLUMNS.format(
        listed([facts["instance_id"]]),
        readable(facts["installed_at"]),
        facts["grant"],
        _token(facts["token_seconds"]),
        "; ".join(filter(None, notes)),
    )
    typer.echo(row.rstrip())


def _token(seconds: int | None) -> str:
    if seconds is None:
        return "none"
    return f"{seconds:,} s" if seconds else "over"


def _failure(facts: dict[str, Any]) -> str | None:
    failure = facts["failure"]
    return failure and f"{listed([failure])}, no refresh before {readable(facts['failure_until'])}"
