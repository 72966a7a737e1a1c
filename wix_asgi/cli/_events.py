"""`wix-asgi events`: lists the inbox of webhooks, and shows, retries, drops or follows events."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias

import typer

from wix_asgi.cli._event_facts import event_facts, print_facts, print_row, row_head, short_id
from wix_asgi.cli._event_inbox import (
    EventFilter,
    first_events,
    found_events,
    opened_inbox,
    the_event,
)
from wix_asgi.cli._operating import fail, listed, run
from wix_asgi.cli._tailing import Tail
from wix_asgi.errors import UnsealError
from wix_asgi.models import EventRecord, EventState
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.webhooks.inbox import Inbox, KeptEvent
from wix_asgi.webhooks.outcomes import Outcomes
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="List the events of an app's webhooks, and show, retry, drop or follow them.",
)

_PAGE: Final = 100
"""Events that `list` prints unless `--limit` says otherwise: a few screens of a terminal."""

_RETRIED: Final = "retried"
_OUTCOMES: Final = {
    _RETRIED: "is due now",
    "running": "is running now: look again when that has ended",
    "done": "is done already",
    "not_there": "is not there",
    "ambiguous": "is the beginning of several ids: give more of it",
}

_StorageUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--storage", metavar="URL", help="The storage, instead of WIX_STORAGE.", show_default=False
    ),
]
_Id: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="The event's id, or a beginning that no other has.")
]
_Ids: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...", help="Ids of events, or their beginnings.", show_default=False
    ),
]
_Site: TypeAlias = Annotated[
    str | None,
    typer.Option("--site", metavar="INSTANCE", help="Only of this site.", show_default=False),
]
_Type: TypeAlias = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", help="Only of this type.", show_default=False),
]
_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]
_JsonList: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print a JSON list with an object on each line.")
]


@app.command(name="list")
def list_(
    *,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Done events, too.")] = False,
    site: _Site = None,
    event_type: _Type = None,
    after: Annotated[
        str, typer.Option(metavar="ID", help="Begin behind this event id.", show_default=False)
    ] = "",
    limit: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="The most events to print.")
    ] = _PAGE,
    storage: _StorageUrl = None,
    as_json: _JsonList = False,
) -> None:
    """Print a page of the waiting events and dead letters of WIX_APP_ID, ordered by id.

    Where there are more, the last line, on stderr, is the option for the next
    page. The status is 0, also where there is no event.

    No payload is opened or printed. JSON objects have id, type, instance_id, state
    (waiting, done or dead), running (whether a process has it now), attempts (since
    it came, or was last retried), issued_at (by Wix), received_at, next_attempt_at
    (null once it has ended), forgotten_at (null until then) and failure (the latest,
    or null). Times are UTC, as in 2026-11-01T12:00:00Z. The table has the beginnings
    of ids, and the ends of long types.
    """
    states = [EventState.WAITING, EventState.DEAD]
    if dead or every:
        states = [EventState.DEAD] if dead else [*EventState]
    wanted = EventFilter(states, site, event_type)
    run(functools.partial(_list, storage, wanted, after, limit, as_json))


@app.command()
def show(
    event: _Id,
    *,
    payload: Annotated[
        bool, typer.Option("--payload", help="Print the data, which may be personal.")
    ] = False,
    storage: _StorageUrl = None,
    as_json: _Json = False,
) -> None:
    """Print one event, and its outcome in each handler.

    The JSON object has the fields that `list` prints, and handlers (the outcome of
    each that has one: returned, failed or given up), opens (whether the keys at hand open
    the payload; null where it is gone) and trouble (why not, or null). With
    --payload it has data and identity, too.

    The status is 1 where there is no such event, and where the payload is wanted
    and cannot be printed.
    """
    run(functools.partial(_show, storage, event, payload, as_json))


@app.command()
def retry(
    events: _Ids = None,
    *,
    dead: Annotated[bool, typer.Option("--dead", help="All dead letters.")] = False,
    site: _Site = None,
    event_type: _Type = None,
    storage: _StorageUrl = None,
    as_json: _JsonList = False,
) -> None:
    """Make dead letters, or events that wait for their next attempt, due now.

    Their attempts count from 0 again, in the log and in list, show and tail; the
    latest failure stays until the next one. Handlers that have returned for such an event are not
    called again; handlers that were given up are. A process of the app takes the event
    within seconds.

    JSON objects have id and outcome: retried, running, done, not_there or ambiguous.

    The status is 1 where a named event was not retried.
    """
    if dead == bool(events):
        raise typer.BadParameter("Give ids, or --dead for all dead letters.")
    if events and (site or event_type):
        raise typer.BadParameter("--site and --type are for --dead.")
    wanted = EventFilter([EventState.DEAD], site, event_type)
    run(functools.partial(_retry, storage, events, wanted, as_json))


@app.command()
def drop(
    event: _Id,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    storage: _StorageUrl = None,
    as_json: _Json = False,
) -> None:
    """End one event without its handlers: its payload is deleted.

    Wix's repetitions of it are not run either. A handler that runs is not stopped.

    The JSON object has id and outcome, which is dropped.

    The status is 1 where there is no such event, it is done, or you do not confirm.
    """
    run(functools.partial(_drop, storage, event, yes, as_json))


@app.command()
def tail(
    *,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters.")] = False,
    site: _Site = None,
    event_type: _Type = None,
    storage: _StorageUrl = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a line, as `list` has them.")
    ] = False,
) -> None:
    """Print events as they come, and each change of an event, until Ctrl-C.

    It begins with the next change. It reads the storage twice a second, more seldom
    where that takes long. Where more than ten thousand done events are kept, an
    event that comes and is done between two looks is not printed.
    """
    wanted = EventFilter([EventState.DEAD] if dead else [*EventState], site, event_type)
    with contextlib.suppress(KeyboardInterrupt):
        run(functools.partial(_tail, storage, wanted, as_json))


async def _list(
    url: str | None, wanted: EventFilter, after: str, limit: int, as_json: bool
) -> None:
    async with opened_inbox(url) as inbox:
        found = await first_events(inbox, wanted, after=after, limit=limit + 1)
    page = found[:limit]
    if as_json:
        _print_list([event_facts(record) for record in page])
    elif page:
        typer.echo(row_head())
        for record in page:
            print_row(record)
    else:
        typer.echo("There is no event.", err=True)
    if len(found) > limit:
        typer.echo(f"more: --after {listed([page[-1].event_id])}", err=True)


async def _show(url: str | None, event_id: str, wants_payload: bool, as_json: bool) -> None:
    async with opened_inbox(url) as inbox:
        kept = await the_event(inbox, event_id)
    event, trouble = _unsealed(inbox, kept)
    handlers = dict(Outcomes.read(kept.record.outcomes).handlers)
    payload = None if event is None else {"data": event.data, "identity": dict(event.identity)}
    if as_json:
        opens = None if kept.record.payload is None else trouble is None
        facts = event_facts(kept.record) | {"handlers": handlers, "opens": opens}
        shown = payload or {} if wants_payload else {}
        typer.echo(json.dumps(facts | {"trouble": trouble} | shown, indent=2))
    else:
        print_facts(kept.record, handlers, trouble or "sealed; the keys open it")
        if wants_payload and payload is not None:
            typer.echo(json.dumps(payload, indent=2))
    if wants_payload and payload is None:
        fail(f"The payload cannot be printed: {trouble}")


def _unsealed(inbox: Inbox, kept: KeptEvent) -> tuple[SignedEvent | None, str | None]:
    """Return the event, or the reason why it cannot be read."""
    if kept.record.payload is None:
        return None, "gone, as of every event that is done"
    try:
        return inbox.open(kept), None
    except UnsealError as exc:
        return None, exc.message
    except ValueError:
        return None, "It was written by another release of wix-asgi."


async def _retry(
    url: str | None, ids: Sequence[str] | None, wanted: EventFilter, as_json: bool
) -> None:
    async with opened_inbox(url) as inbox:
        if ids:
            outcomes = [await _retry_named(inbox, given) for given in ids]
        else:
            outcomes = [
                (kept.id, await _retry_one(inbox, kept))
                async for kept in inbox.all(EventState.DEAD)
                if wanted.wants(kept.record)
            ]
    if as_json:
        _print_list([{"id": event_id, "outcome": outcome} for event_id, outcome in outcomes])
    elif outcomes:
        for event_id, outcome in outcomes:
            typer.echo(f"{listed([event_id])} {_OUTCOMES[outcome]}.")
    else:
        typer.echo("There is no dead letter.", err=True)
    if ids and any(outcome != _RETRIED for _, outcome in outcomes):
        raise typer.Exit(1)


async def _retry_named(inbox: Inbox, given: str) -> tuple[str, str]:
    found = await found_events(inbox, given)
    if len(found) == 1:
        return found[0].id, await _retry_one(inbox, found[0])
    return given, "ambiguous" if found else "not_there"


async def _retry_one(inbox: Inbox, kept: KeptEvent) -> str:
    # Again where a process has had it since it was read: what that one noted counts.
    while not await inbox.retry(
        kept, outcomes=str(Outcomes.read(kept.record.outcomes).for_retry())
    ):
        now = await inbox.find(kept.id)
        if now is None:
            return "not_there"
        if now.record.state is EventState.DONE or now.record.is_taken:
            return "done" if now.record.state is EventState.DONE else "running"
        kept = now
    return _RETRIED


async def _drop(url: str | None, event_id: str, yes: bool, as_json: bool) -> None:
    async with opened_inbox(url) as inbox:
        kept = await the_event(inbox, event_id)
        record = kept.record
        if record.state is EventState.DONE:
            fail("It is done already: nothing was dropped.")
        if not yes:
            what = f"{listed([record.event_type])} of {listed([record.instance_id])}"
            typer.confirm(f"Drop the event {short_id(kept.id)}, {what}?", abort=True, err=as_json)
        if not await inbox.drop(kept, keep=WebhookPolicy().keep_keys):
            fail("It was done or forgotten in the meantime: nothing was dropped.")
    if as_json:
        typer.echo(json.dumps({"id": kept.id, "outcome": "dropped"}))
    else:
        typer.echo("Dropped.")


async def _tail(url: str | None, wanted: EventFilter, as_json: bool) -> None:
    async with opened_inbox(url) as inbox:
        tail = Tail(inbox)
        await tail.look()
        tell = _tell_json if as_json else _tell_rows()
        while True:
            for record in await tail.next():
                if wanted.wants(record):
                    tell(record)


def _tell_json(record: EventRecord) -> None:
    typer.echo(json.dumps(event_facts(record)))


def _tell_rows() -> Callable[[EventRecord], None]:
    """Return a function that prints rows, with a head above the first."""
    typer.echo(row_head())
    return print_row


def _print_list(objects: Sequence[dict[str, Any]]) -> None:
    """Print a JSON list with an object on each line."""
    lines = ",\n".join(json.dumps(each) for each in objects)
    typer.echo(f"[\n{lines}\n]" if objects else "[]")
