"""`wix-asgi storage`: copies a storage, checks one, and makes or shows its tables."""

from __future__ import annotations

import functools
from typing import Annotated, Final

import typer

from wix_asgi.cli._operating import Progress, count, fail, listed, opened, run, shown
from wix_asgi.operations.copy_events import EventCopy, copy_events
from wix_asgi.operations.copy_installations import Copy, copy_installations, is_same_storage
from wix_asgi.settings import read_app_id
from wix_asgi.storage import (
    EventStorage,
    RestoringStorage,
    Storage,
    TableStorage,
    open_storage,
    shortcomings,
)
from wix_asgi.testing.storage_check import CHECK_SECONDS
from wix_asgi.testing.storage_check import check as check_storage
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Move an app to another storage, check one, and make or show its tables.",
)


_UNCHECKED: Final = 3
"""The exit status of a check that found nothing wrong and was cut short; 2 is that of a misuse."""


@app.command()
def copy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="The URL of the storage the app has.", envvar="WIX_COPY_FROM"
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="The URL of the storage it is to have.", envvar="WIX_COPY_TO"
        ),
    ],
    *,
    app_id: Annotated[str, typer.Option(metavar="ID", envvar="WIX_APP_ID", help="The app's ID.")],
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show progress, not only on a terminal.")
    ] = False,
) -> None:
    """Copy an app's installations, and the inbox of its webhooks, to another storage.

    1. Run it while the app runs on FROM. Where installations change all the
    time, it ends with status 1 and says so: that is enough for now.

    2. Stop the app and run it again. It copies all later changes.

    3. With status 0, TO has all installations of FROM. Set WIX_STORAGE to TO,
    and start the app.

    The app must not run on TO before that, and on FROM no more after it: each
    would refresh the same tokens on its own.

    Tokens are copied as they are sealed: no key is needed, and the app goes on
    with the keys and secrets it has.

    It may be interrupted, and run again at any time: a record that TO has already
    is not written again. In TO a record is written over only while it is as a copy
    left it. A record that an app has written there stays, and is named. Nothing is
    deleted: a site that was removed from FROM after it was copied is named, and
    stays in TO until `wix-asgi installations remove`, or else fails at its next
    refresh.

    It ends when it has read both sides from the first record to the last, with
    nothing left to write, and compared them byte for byte, but for the times.
    Tokens end when they would have ended. `installed_at` stays as it is in FROM, if
    TO can keep it (RestoringStorage), as the backends that come along do.

    Every user of this machine can read its command lines: give a URL with a
    password in it as WIX_COPY_FROM or WIX_COPY_TO.
    """
    run(functools.partial(_copy, source, target, app_id, Progress(verbose=verbose)))


@app.command()
def check(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The URL of the storage.", envvar="WIX_STORAGE")
    ],
    *,
    seconds: Annotated[
        float,
        typer.Option(metavar="N", min=0, help="Seconds after which the check is cut short."),
    ] = CHECK_SECONDS,
) -> None:
    """Check whether a storage keeps the promises that wix-asgi relies on.

    It may be in use. The check writes under app ids of its own, which begin with
    wix-asgi-check-, and removes all of that again.

    The status is 1 where something is wrong, and 3 where nothing was found wrong
    but the time was up before every rule was checked. Capabilities that the storage lacks
    are named, with their consequences, and are no error. Promises that show only
    in an empty or a failing storage are left to the tests of a backend's author.
    """
    run(functools.partial(_check, url, seconds))


@app.command()
def sql(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The URL of the storage.", envvar="WIX_STORAGE")
    ],
    role: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The role of the app in Postgres; the URL's user by default."
        ),
    ] = None,
) -> None:
    """Print the statements that make the tables of a storage, or bring them up to date.

    They are for an administrator, where the app's own user may make no tables.
    The URL tells the engine: nothing is connected to, and postgresql:// alone
    will do. Existing tables keep their rows, and in Postgres get the columns
    that an older version lacks, while its workers run; row level security hides
    the rows from all but their owner and the role of the app. Run them again after
    an update of wix-asgi, before the app starts.
    """
    run(functools.partial(_sql, url, role))


@app.command()
def init(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The URL of the storage.", envvar="WIX_STORAGE")
    ],
) -> None:
    """Make the tables and columns of a storage that are missing, and say which.

    An app makes its tables at its first start, and brings those of an older
    version up to date. Run this before it, as a step of a deployment, where the
    app's own user may do neither. It may be repeated.

    It also makes an index that is missing from a table, which an app only warns
    of. Tables that are there and are not those of a storage are named, with
    status 1, and left alone.
    """
    run(functools.partial(_init, url))


async def _sql(url: str, role: str | None) -> None:
    typer.echo(_in_tables(open_storage(url), url).sql(role), nl=False)


async def _init(url: str) -> None:
    storage = open_storage(url)
    try:
        made = await _in_tables(storage, url).make_tables()
    finally:
        await storage.aclose()
    done = f"made {', '.join(made)}." if made else "everything was there already."
    typer.echo(f"{shown(url)}: {done}")


def _in_tables(storage: Storage, url: str) -> TableStorage:
    if not isinstance(storage, TableStorage):
        fail(f"{shown(url)} is not kept in tables that anybody could make.")
    return storage


async def _check(url: str, seconds: float) -> None:
    async with opened(url, "The storage") as storage:
        try:
            findings = await check_storage(storage, seconds=seconds)
        except RuntimeError as exc:
            fail(str(exc))
    broken = [finding for finding in findings if not finding.unchecked]
    unchecked = [finding for finding in findings if finding.unchecked]
    for finding in broken:
        typer.echo(f"{finding.rule} ({finding.capability})\n    {finding.case}: {finding.seen}")
    for finding in unchecked:
        typer.echo(f"Not checked: {finding.seen}.")
    for told in shortcomings(storage):
        typer.echo(told)
    if broken:
        fail(f"{shown(url)} does not keep {len(broken)} of the rules.")
    if unchecked:
        fail(
            f"{shown(url)} keeps the rules that were checked within {seconds:g} s. Give the others "
            "more time by --seconds.",
            status=_UNCHECKED,
        )
    typer.echo(f"{shown(url)} keeps all the rules that can be checked while it is in use.")


async def _copy(source_url: str, target_url: str, app_id: str, progress: Progress) -> None:
    app_id = read_app_id(app_id)
    async with (
        opened(source_url, "FROM") as source,
        opened(target_url, "TO", is_there=False) as target,
    ):
        if await is_same_storage(source, target):
            fail("FROM and TO are the same storage.")
        done = await copy_installations(
            app_id, source, target, report=lambda now: progress.tell(now.seen, _progress(now))
        )
        events, left = await _copy_inbox(app_id, source, target, progress)
    typer.echo(f"{shown(source_url)} to {shown(target_url)}: {_tally(done)}")
    for told in shortcomings(target):
        typer.echo(f"TO: {told}")
    if done.written and not isinstance(target, RestoringStorage):
        typer.echo(
            "TO: It cannot keep dates of install (RestoringStorage): installed_at of what was "
            "written is the moment of the copy."
        )
    if events.seen:
        typer.echo(f"{shown(source_url)} to {shown(target_url)}: {_event_tally(events)}")
    if not done.seen:
        fail("FROM has no installation of this app: look at its URL and at the app ID.")
    if left:
        fail(f"TO has no inbox (EventStorage): {count(left, 'event')} of FROM cannot be copied.")
    if not done.is_complete:
        fail(_trouble(done))
    if not events.is_complete:
        fail(
            f"Events changed in FROM during each of {events.passes} passes. Stop the app and run "
            "this again."
        )


async def _copy_inbox(
    app_id: str, source: Storage, target: Storage, progress: Progress
) -> tuple[EventCopy, int]:
    """Copy the events, and return the number of events that `target` cannot keep."""
    if not isinstance(source, EventStorage):
        return EventCopy(), 0
    if not isinstance(target, EventStorage):
        counts = await source.count_events(app_id, limit=WebhookPolicy().max_waiting)
        return EventCopy(), counts.waiting + counts.dead
    copy = await copy_events(
        app_id,
        source,
        target,
        report=lambda now: progress.tell(
            now.seen,
            _event_progress(now),
        ),
    )
    return copy, 0


def _event_progress(now: EventCopy) -> str:
    return f"Pass {now.passes}: {count(now.seen, 'event')} read, {now.written:,} written."


def _event_tally(copy: EventCopy) -> str:
    return (
        f"{count(copy.seen, 'event')} in FROM; {copy.written:,} written, {copy.same:,} compared "
        f"and the same, {copy.kept:,} left as an app wrote them in TO."
    )


def _progress(now: Copy) -> str:
    return f"Pass {now.passes}: {count(now.seen)} read, {now.written:,} written."


def _tally(done: Copy) -> str:
    extra = (
        f" TO has {len(done.extra):,} more, which are not in FROM ({listed(done.extra)})."
        if done.extra
        else ""
    )
    return (
        f"{count(done.seen)} in FROM, {done.in_target:,} in TO; {done.written:,} written, "
        f"{done.same:,} compared and the same.{extra}"
    )


def _trouble(done: Copy) -> str:
    """Return the message about the records that TO lacks, with the reason and the remedy."""
    parts = []
    if done.kept:
        parts.append(
            f"Written by an app in TO, and left as it is there: {count(len(done.kept))} "
            f"({listed(done.kept)})."
        )
    if done.damaged:
        parts.append(
            f"Not what was written in TO: {count(len(done.damaged))} ({listed(done.damaged)})."
        )
    if done.unsettled:
        parts.append(
            f"Changed in FROM during the last of {done.passes} passes: {count(done.unsettled)}. "
            "Stop the app and run this again."
        )
    return " ".join(["TO does not have all that FROM has.", *parts])
