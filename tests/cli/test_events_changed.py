"""`wix-asgi events retry` and `drop`, in process."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tests.cli.commands import run
from tests.cli.kept_events import change, found, keep, kill, listed, take
from tests.operations.events import id_of
from wix_asgi.cli._app import app
from wix_asgi.models import EventState
from wix_asgi.webhooks.inbox import Inbox, KeptEvent
from wix_asgi.webhooks.outcomes import HandlerOutcome, Outcomes

pytestmark = pytest.mark.usefixtures("kept_inbox")


def test_dead_letter_is_retried() -> None:
    """It is due now, for the handlers that were given up, and for none that has returned (R44)."""
    (event_id,) = keep("first")
    kill(event_id)
    result = run("events", "retry", event_id[:8])
    after = found(event_id).record

    assert (0, f"{event_id} is due now.\n") == (result.exit_code, result.stdout)
    assert (EventState.WAITING, 0) == (after.state, after.attempts)
    assert after.due_in <= 0
    assert {"app.welcome": HandlerOutcome.RETURNED} == Outcomes.read(after.outcomes).handlers


def test_attempts_count_from_the_latest_retry() -> None:
    """The number is that of the log's lines, `attempt 1 of 8`; output and help say so."""
    (event_id,) = keep("first")
    kill(event_id)
    before = run("events", "show", event_id).stdout
    run("events", "retry", event_id)
    after = run("events", "show", event_id).stdout
    helps = [" ".join(run("events", name, "--help").output.split()) for name in ("list", "retry")]

    assert "attempts      1 since it came, or was last retried\n" in before
    assert "attempts      0 since it came, or was last retried\n" in after
    assert "attempts (since it came, or was last retried)" in helps[0]
    assert "Their attempts count from 0 again" in helps[1]


def test_postponed_event_is_retried_now() -> None:
    """An event that waits for its next attempt waits no longer."""
    (event_id,) = keep("first")

    async def postpone(inbox: Inbox) -> None:
        (kept,) = await inbox.take("test-owner", limit=1, lease=60.0)
        await inbox.postpone(kept, "test-owner", delay=7200.0, outcomes="")

    change(postpone)
    result = run("events", "retry", event_id)

    assert 0 == result.exit_code
    assert found(event_id).record.due_in <= 0


def test_outcomes_of_the_meantime_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that returned after the event was read is not called again (R44)."""
    (event_id,) = keep("first")
    retry, noted = Inbox.retry, str(Outcomes().of("app.welcome", HandlerOutcome.RETURNED))

    async def retry_late(inbox: Inbox, kept: KeptEvent, *, outcomes: str) -> bool:
        monkeypatch.setattr(Inbox, "retry", retry)
        (taken,) = await inbox.take("test-owner", limit=1, lease=60.0)
        await inbox.postpone(taken, "test-owner", delay=7200.0, outcomes=noted)
        return await inbox.retry(kept, outcomes=outcomes)

    monkeypatch.setattr(Inbox, "retry", retry_late)
    result = run("events", "retry", event_id)
    after = found(event_id).record

    assert 0 == result.exit_code
    assert after.due_in <= 0
    assert noted == after.outcomes


def test_all_dead_letters_are_retried() -> None:
    """`--dead` is for all of them, or for those of a site or a type; waiting events stay."""
    first, second = id_of("first"), id_of("second")
    other = id_of("other", site="site-b")
    keep("first", "second")
    keep("other", site="site-b")
    kill(first, other)
    narrowed = json.loads(run("events", "retry", "--dead", "--site", "site-b", "--json").stdout)
    result = run("events", "retry", "--dead")
    nothing = run("events", "retry", "--dead")

    assert [{"id": other, "outcome": "retried"}] == narrowed
    assert (0, f"{first} is due now.\n") == (result.exit_code, result.stdout)
    assert (0, "", "There is no dead letter.\n") == (
        nothing.exit_code,
        nothing.stdout,
        nothing.stderr,
    )
    assert "[]\n" == run("events", "retry", "--dead", "--json").stdout
    assert sorted([first, second, other]) == [one["id"] for one in listed()]


def test_events_that_cannot_be_retried_are_named() -> None:
    """The others are retried all the same, and the status is 1."""
    done, dead, running = id_of("done"), id_of("dead"), id_of("running")
    keep("done", "dead")
    kill(done, is_dead=False)
    kill(dead)
    keep("running")
    take()
    ids = [done, dead, running, "z"]
    result = run("events", "retry", *ids, "--json")
    text = run("events", "retry", done, running, "z").stdout
    keep(*(f"event-{number}" for number in range(40)))

    assert 1 == result.exit_code
    assert ["done", "retried", "running", "not_there"] == [
        one["outcome"] for one in json.loads(result.stdout)
    ]
    assert (
        f"{done} is done already.\n"
        f"{running} is running now: look again when that has ended.\n"
        "z is not there.\n"
    ) == text
    assert "ambiguous" in run("events", "retry", listed()[0]["id"][:1], "--json").stdout


def test_events_forgotten_meanwhile_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that is purged while it is to be retried is named as gone."""
    (event_id,) = keep("first")
    kill(event_id)

    async def nothing(*_arguments: object, **_options: object) -> bool:
        return False

    async def none(*_arguments: object) -> None:
        return None

    monkeypatch.setattr(Inbox, "retry", nothing)
    monkeypatch.setattr(Inbox, "drop", nothing)
    dropped = run("events", "drop", event_id, "--yes")
    kept = found(event_id)
    finds = iter([kept, None])

    async def find(*_arguments: object) -> object:
        return next(finds)

    monkeypatch.setattr(Inbox, "find", find)
    retried = run("events", "retry", event_id)

    assert (1, f"{event_id} is not there.\n") == (retried.exit_code, retried.stdout)
    assert 1 == dropped.exit_code
    assert "done or forgotten in the meantime" in dropped.stderr


def test_retrying_needs_ids_or_dead_letters() -> None:
    """Neither, both, and a site beside ids, are misuse."""
    for words in ([], ["a", "--dead"], ["a", "--site", "b"], ["a", "--type", "b"]):
        assert 2 == run("events", "retry", *words).exit_code


def test_event_is_dropped() -> None:
    """Its payload is deleted, its key stays for three days, and no handler is called."""
    (event_id,) = keep("first")
    result = run("events", "drop", event_id, "--yes")
    record = found(event_id).record
    again = run("events", "drop", event_id, "--yes")

    assert (0, "Dropped.\n") == (result.exit_code, result.stdout)
    assert (EventState.DONE, None) == (record.state, record.payload)
    assert record.expires_in is not None
    assert 71 < record.expires_in / 3600 <= 72
    assert (1, "wix-asgi: It is done already: nothing was dropped.\n") == (
        again.exit_code,
        again.stderr,
    )


def test_dropping_is_confirmed() -> None:
    """Without `--yes` it asks, and names the event; a no changes nothing."""
    (event_id,) = keep("first")
    no, yes = (
        CliRunner().invoke(app, ["events", "drop", event_id, "--json"], input=answer)
        for answer in ("n\n", "y\n")
    )

    assert 1 == no.exit_code
    assert f"Drop the event {event_id[:12]}, wix.contacts" in no.stderr
    # Behind the answer, which the runner prints as a terminal does.
    assert (0, {"id": event_id, "outcome": "dropped"}) == (
        yes.exit_code,
        json.loads(yes.stdout.splitlines()[-1]),
    )
