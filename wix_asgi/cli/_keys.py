"""`wix-asgi keys`: makes and lists keys, and seals all that is stored with the newest key."""

from __future__ import annotations

import functools
import json
import secrets
from typing import Annotated, Final

import typer

from wix_asgi.cli._operating import Progress, count, fail, opened, run, shown
from wix_asgi.errors import SettingsError
from wix_asgi.operations.reseal_events import reseal_events
from wix_asgi.operations.rotate_keys import Rotation, rotate_keys
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import EventStorage, Storage
from wix_asgi.webhooks.inbox import Inbox

__all__ = ["app"]

_INSTALLATION: Final = "installation"
_EVENT: Final = "event"

app = typer.Typer(
    no_args_is_help=True,
    help="Make and list encryption keys, and seal what is stored with the newest.",
)


@app.command()
def new() -> None:
    """Print a fresh key for WIX_ENCRYPTION_KEYS.

    It is 32 random bytes, written as base64. Keep it where passwords are kept:
    without it, the tokens sealed with it are lost.
    """
    typer.echo(secrets.token_urlsafe(32))


@app.command(name="list")
def list_(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False,
) -> None:
    """Print the ids of the keys in the WIX_… variables, and their origins.

    The first key seals, and all open. The error UnknownKey and `keys rotate`
    name a missing key by its id. No key is printed, and no id tells of its key.
    """
    try:
        keys = _keys(WixSettings.load())
    except SettingsError as exc:
        fail(exc.message)
    if as_json:
        typer.echo(json.dumps(keys, indent=2))
        return
    for key in keys:
        typer.echo(f"{key['id']}  {key['use']:5}  {key['source']}")


def _keys(settings: WixSettings) -> list[dict[str, str]]:
    """Return id, use and source of each key, in the order of the key ring."""
    sources = [
        *["WIX_ENCRYPTION_KEYS"] * len(settings.encryption_keys),
        "derived from WIX_APP_SECRET",
        *["derived from WIX_PREVIOUS_APP_SECRETS"] * len(settings.previous_app_secrets),
    ]
    return [
        {"id": Vault([key]).newest_id, "use": "opens" if place else "seals", "source": source}
        for place, (key, source) in enumerate(zip(settings.key_ring(), sources, strict=True))
    ]


@app.command()
def rotate(
    *,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The storage, instead of WIX_STORAGE.", show_default=False
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show progress, not only on a terminal.")
    ] = False,
) -> None:
    """Seal every stored token and event with the newest key, while the app runs.

    Set WIX_ENCRYPTION_KEYS=NEW,OLD for all workers of the app, restart them, and
    then run this with the same WIX_… variables, never while a worker lacks NEW.
    When it ends with status 0, every token, and every payload in the inbox of
    webhooks, was opened and is sealed with NEW: OLD may go.

    Where workers restart one after another, all must know NEW before any worker
    seals with it: let them run with OLD,NEW first, and then with NEW,OLD.

    After a change of the app secret it does the same for tokens sealed with a
    key from the former secret, which is in WIX_PREVIOUS_APP_SECRETS until then.

    Tokens and events sealed with a missing key stay as they are. The id of that key
    is printed, and the status is 1. No token, payload or key is ever printed.
    """
    run(functools.partial(_rotate, storage, Progress(verbose=verbose)))


async def _rotate(storage_url: str | None, progress: Progress) -> None:
    settings = WixSettings.load(storage=storage_url)
    vault, url = Vault(settings.key_ring()), settings.storage.get_secret_value()
    async with opened(url, "The storage") as storage:
        rotation = await rotate_keys(
            settings.app_id,
            storage,
            vault,
            report=lambda now: progress.tell(now.seen, _tally(now, vault.newest_id)),
        )
        events = await _reseal_events(settings.app_id, storage, vault, progress)
    typer.echo(f"{shown(url)}: {_tally(rotation, vault.newest_id)}")
    if events.seen:
        typer.echo(f"{shown(url)}: {_tally(events, vault.newest_id, _EVENT)}")
    trouble = [
        _trouble(each, noun)
        for each, noun in ((rotation, _INSTALLATION), (events, _EVENT))
        if each.unreadable
    ]
    if not rotation.seen:
        trouble.insert(
            0, "There is no installation: is it the right storage, and the right WIX_APP_ID?"
        )
    if trouble:
        fail(" ".join(trouble))


async def _reseal_events(
    app_id: str, storage: Storage, vault: Vault, progress: Progress
) -> Rotation:
    if not isinstance(storage, EventStorage):
        return Rotation()
    return await reseal_events(
        Inbox(app_id, storage, vault),
        report=lambda now: progress.tell(now.seen, _tally(now, vault.newest_id, _EVENT)),
    )


def _tally(rotation: Rotation, key_id: str, noun: str = _INSTALLATION) -> str:
    return (
        f"{count(rotation.seen, noun)}: {rotation.resealed:,} resealed with key {key_id}, "
        f"{rotation.current:,} already new, {rotation.unreadable:,} unreadable."
    )


def _trouble(rotation: Rotation, noun: str) -> str:
    """Return the message about unreadable rows, with the missing keys."""
    keys = ", ".join(f"{key_id} ({number:,})" for key_id, number in rotation.unknown.items())
    parts = [f"{count(rotation.unreadable, noun)} cannot be read; nothing was changed there."]
    if keys:
        parts.append(
            "Neither in WIX_ENCRYPTION_KEYS nor derived from WIX_APP_SECRET or "
            f"WIX_PREVIOUS_APP_SECRETS: key {keys}."
        )
    if rotation.damaged:
        parts.append(f"Changed, or moved from another row: {rotation.damaged:,}.")
    return " ".join(parts)
