"""`wix-asgi migrate`: moves installations to client credentials while the app serves, and back."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

from wix_asgi.cli._instance_ids import InstanceIds, read_instance_ids
from wix_asgi.cli._operating import Progress, count, fail, opened, run, shown
from wix_asgi.errors import GrantRefused, WixMisconfigured
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.oauth.shared_rate import SharedRateLimit
from wix_asgi.oauth.throttle import FailureThrottle
from wix_asgi.operations.migrate import Migration, Outcome, SiteReport
from wix_asgi.protocol.app_installations import PATH, ListingCredential
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import AddingStorage, Storage
from wix_asgi.transport.pooled import PoolTransport

__all__ = ["migrate", "tell_pause"]

_WORDS: Final = {
    Outcome.MOVED: ("moved", "would be moved"),
    Outcome.ADDED: ("added", "would be added"),
    Outcome.MOVED_BACK: ("moved back", "would be moved back"),
    Outcome.FORGOTTEN: ("refresh token forgotten", "refresh token would be forgotten"),
    Outcome.KEPT: ("kept", "kept"),
    Outcome.REFUSED: ("refused", "refused"),
    Outcome.FAILED: ("failed", "failed"),
}
"""An outcome in words: of a run that writes, and of a dry run."""


_UNPREPARED: Final = (
    "If they are right, Wix does not give this app client credentials yet: docs/moving.md tells "
    "how to prepare it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The options of one run."""

    applies: bool
    goes_back: bool
    forgets: bool
    ids: InstanceIds | None
    from_wix: bool
    listing_path: str
    as_json: bool
    storage_url: str | None = field(repr=False)
    progress: Progress


def migrate(
    *,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write. Without it nothing is written.")
    ] = False,
    back: Annotated[
        bool, typer.Option("--back", help="Have moved installations use refresh tokens again.")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget-refresh-tokens", help="Empty the refresh tokens of moved installations."
        ),
    ] = False,
    from_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            exists=True,
            readable=True,
            help="Add the installations of a file, too: an instance id a line, or a CSV file with "
            "a column instanceId.",
        ),
    ] = None,
    from_wix: Annotated[
        bool,
        typer.Option(
            "--from-wix", help="Add the installations that Wix lists, too (uncertain, see below)."
        ),
    ] = False,
    listing_path: Annotated[
        str,
        typer.Option(metavar="PATH", help="Where Wix lists installations, for --from-wix."),
    ] = PATH,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The storage, instead of WIX_STORAGE.", show_default=False
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a line and site.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show progress, not only on a terminal.")
    ] = False,
) -> None:
    """Move installations from refresh tokens to client credentials, while the app runs.

    For every stored installation Wix is asked for a token by the app's own
    credentials. Without --apply that is all, and a line a site tells the outcome;
    with it, the installation is marked, and workers use the app's credentials
    for its next token. on_install is not called.

    It may be interrupted, and run again at any time: it goes on where it was.
    While Wix fails, it pauses and says so.

    Refresh tokens stay stored until --forget-refresh-tokens --apply. Until then
    --back --apply has moved installations use them again.

    Installations that were never stored are read from a file (--from-file), or
    from Wix (--from-wix); the next worker that uses them calls on_install.
    Uncertain: Wix's list is a Developer Preview, and Wix does not say which
    credential it takes. Set WIX_API_KEY and WIX_ACCOUNT_ID for a key of the
    account; else an access token of a stored installation is tried.

    The status is 0 if all installations were moved or would be, 1 if some were
    refused or have failed, and 2 if the options are wrong. It needs the WIX_…
    variables of the app. No token is ever printed.
    """
    if back + forget + (from_file is not None or from_wix) > 1:
        raise typer.BadParameter(
            "--back, --forget-refresh-tokens, and --from-file or --from-wix are runs of their own."
        )
    plan = _Plan(
        applies=apply,
        goes_back=back,
        forgets=forget,
        ids=None if from_file is None else _ids(from_file),
        from_wix=from_wix,
        listing_path=listing_path,
        as_json=as_json,
        storage_url=storage,
        progress=Progress(verbose=verbose),
    )
    run(functools.partial(_migrate, plan))


def _ids(path: Path) -> InstanceIds:
    try:
        return read_instance_ids(path)
    except ValueError as exc:
        raise typer.BadParameter(f"{path} cannot be used: {exc}.") from None


async def _migrate(plan: _Plan) -> None:
    settings = WixSettings.load(storage=plan.storage_url)
    url = settings.storage.get_secret_value()
    async with opened(url, "The storage") as storage:
        if plan.applies and not isinstance(storage, AddingStorage):
            fail(
                f"{shown(url)} cannot keep by which grant an installation gets its tokens: its "
                "backend lacks wix_asgi.storage.AddingStorage."
            )
        async with _migration(plan, settings, storage) as migration:
            try:
                is_listed = await _run(plan, migration)
            except WixMisconfigured as exc:
                raise WixMisconfigured(f"{exc.message} {_UNPREPARED}") from None
            finally:
                typer.echo(f"{shown(url)}: {_tally(plan, migration)}", err=plan.as_json)
    if plan.ids and plan.ids.bad_lines:
        numbers = ", ".join(map(str, plan.ids.bad_lines))
        typer.echo(f"wix-asgi: lines without an instance id: {numbers}", err=True)
    if not migration.counts:
        fail("There is no installation: is it the right storage, and the right WIX_APP_ID?")
    if migration.has_trouble or not is_listed or (plan.ids and plan.ids.bad_lines):
        fail("Not all installations are done: see the lines above, and run this again.")


@contextlib.asynccontextmanager
async def _migration(
    plan: _Plan, settings: WixSettings, storage: Storage
) -> AsyncIterator[Migration]:
    endpoints, pool = Endpoints(settings), PoolTransport()
    shared_rate = SharedRateLimit(storage, f"pace:{settings.app_id}")
    oauth = OAuthClient(endpoints, pool, throttle=FailureThrottle(shared_rate=shared_rate.acquire))
    migration = Migration(
        settings.app_id,
        storage,
        Vault(settings.key_ring()),
        endpoints,
        oauth,
        applies=plan.applies,
        report=lambda site: _report(plan, migration, site),
        tell_pause=tell_pause,
    )
    try:
        yield migration
    finally:
        await pool.aclose()


async def _run(plan: _Plan, migration: Migration) -> bool:
    """Carry out the plan; return False where Wix does not list installations."""
    if plan.goes_back:
        await migration.move_back()
        return True
    if plan.forgets:
        await migration.forget_refresh_tokens()
        return True
    await migration.move()
    if plan.ids:
        await migration.add(plan.ids.found)
    if not plan.from_wix:
        return True
    try:
        listed = await migration.listed_at_wix(_credential(), plan.listing_path)
    except (GrantRefused, WixMisconfigured) as exc:
        typer.echo(f"wix-asgi: Wix does not list installations: {exc.message}", err=True)
        return False
    await migration.add(listed)
    return True


def _credential() -> ListingCredential | None:
    key = os.environ.get("WIX_API_KEY")
    return ListingCredential(key, os.environ.get("WIX_ACCOUNT_ID")) if key else None


def _report(plan: _Plan, migration: Migration, site: SiteReport) -> None:
    is_written = plan.applies and not site.is_trouble and site.outcome is not Outcome.KEPT
    if plan.as_json:
        told = {
            "instance_id": site.instance_id,
            "outcome": site.outcome,
            "reason": site.reason or None,
            "written": is_written,
        }
        typer.echo(json.dumps(told))
    else:
        words = _WORDS[site.outcome][not plan.applies]
        reason = f": {site.reason}" if site.reason else ""
        typer.echo(f"{ascii(site.instance_id)[1:-1]}  {words}{reason}")
    plan.progress.tell(migration.counts.total(), _tally(plan, migration))


def tell_pause(why: str, seconds: float) -> None:
    """Print that the run pauses."""
    typer.echo(f"wix-asgi: a pause of {seconds:.0f} s, since Wix fails: {why}", err=True)


def _tally(plan: _Plan, migration: Migration) -> str:
    parts = [
        f"{number:,} {words[not plan.applies]}"
        for outcome, words in _WORDS.items()
        if (number := migration.counts[outcome])
    ]
    told = f"{count(migration.counts.total())}: {', '.join(parts) or 'nothing to do'}."
    return told if plan.applies else f"{told} Nothing was written: --apply does it."
