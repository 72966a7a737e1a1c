"""`wix-asgi events list` and `show`, in process."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from tests.cli.commands import run
from tests.cli.kept_events import (
    FIELDS,
    HANDLERS,
    change,
    keep,
    kill,
    listed,
    take,
)
from tests.operations.events import CREATED, MAIL, event, id_of
from tests.operations.sealed import LOST
from wix_asgi.sealing.vault import Vault
from wix_asgi.webhooks.inbox import Inbox

pytestmark = pytest.mark.usefixtures("kept_inbox")


def cells(row: str) -> list[str]:
    """Return the cells of a row, without the age, which is some seconds."""
    found = re.split(r"  +", row)
    ages = [cell for cell in found if re.fullmatch(r"\d+ (s|min)", cell)]
    assert 1 == len(ages)
    return [cell for cell in found if cell not in ages]


def test_help_says_what_is_printed() -> None:
    """The help has the commands, the fields, and the exit codes."""
    group, table, one = (
        run("events", *words).output for words in ((), ("list", "--help"), ("show", "--help"))
    )

    for name in ("list", "show", "retry", "drop", "tail"):
        assert name in group
    for field in FIELDS:
        assert field in table
    assert "status is 1" in one


def test_events_are_listed() -> None:
    """A row tells type, site, state, attempts, age, the next attempt, and the last failure."""
    dead, waiting = id_of("first"), id_of("second", site="site-b")
    keep("first")
    kill(dead)
    keep("second", site="site-b")
    result = run("events", "list")
    head, *rows = result.stdout.splitlines()
    by_id = {row.split()[0]: row.split(None, 1)[1] for row in rows}

    assert (0, "") == (result.exit_code, result.stderr)
    assert ["ID", "TYPE", "SITE", "STATE", "ATTEMPTS", "AGE", "NEXT", "FAILURE"] == head.split()
    assert {dead[:12], waiting[:12]} == set(by_id)
    assert [CREATED, "site-b", "waiting", "0", "now"] == cells(by_id[waiting[:12]])
    assert [CREATED, "site-a", "dead", "1", "ValueError in app.count"] == cells(by_id[dead[:12]])


def test_long_types_shift_no_column() -> None:
    """A type that is longer than its column is cut at its beginning, in the table alone."""
    event_type = "wix.ecom.v1.order_payment_status_updated_by_the_owner"
    keep("first", event_type=event_type)
    head, row = run("events", "list").stdout.splitlines()

    assert head.index("SITE") == row.index("site-a")
    assert f"...{event_type[-33:]}" in row
    assert event_type == listed()[0]["type"]


def test_json_has_all_facts() -> None:
    """It is one JSON document; ids are whole, and times are UTC."""
    dead, waiting = id_of("first"), id_of("second")
    keep("first")
    kill(dead)
    keep("second")
    found_by_id = {one["id"]: one for one in listed()}
    first, second = found_by_id[dead], found_by_id[waiting]

    assert [FIELDS, FIELDS] == [list(first), list(second)]
    assert ("dead", False, 1, None, "ValueError in app.count") == (
        first["state"],
        first["running"],
        first["attempts"],
        first["next_attempt_at"],
        first["failure"],
    )
    assert ("waiting", 0, None, None) == (
        second["state"],
        second["attempts"],
        second["forgotten_at"],
        second["failure"],
    )
    assert "2026-11-01T12:00:00Z" == second["issued_at"]
    assert first["received_at"] < first["forgotten_at"]
    assert second["received_at"] <= second["next_attempt_at"]


def test_lists_are_narrowed() -> None:
    """Dead letters, a site, a type, or done events, too: any of them can be asked for."""
    dead, done = id_of("dead"), id_of("done")
    keep("dead", "done")
    kill(dead)
    kill(done, is_dead=False)
    (other,) = keep("other", site="site-b", event_type="AppRemoved")

    assert [dead] == [one["id"] for one in listed("--dead")]
    assert [dead] == [one["id"] for one in listed("--dead", "--all")]
    assert sorted([dead, other]) == [one["id"] for one in listed()]
    assert sorted([dead, done, other]) == [one["id"] for one in listed("--all")]
    assert [other] == [one["id"] for one in listed("--site", "site-b")]
    assert [other] == [one["id"] for one in listed("--type", "AppRemoved")]
    assert [] == listed("--type", "AppRemoved", "--site", "site-a")


def test_pages_of_events_follow_one_another() -> None:
    """`--limit` ends a page over all states, and says on stderr how to get the next one."""
    ids = keep(*(f"event-{number}" for number in range(5)))
    kill(ids[1], ids[4])
    page = run("events", "list", "--limit", "2")
    rest = run("events", "list", "--limit", "3", "--after", ids[1])

    assert f"more: --after {ids[1]}\n" == page.stderr
    assert [one[:12] for one in ids[:2]] == [
        line.split()[0] for line in page.stdout.split("\n")[1:3]
    ]
    assert [one[:12] for one in ids[2:]] == [
        line.split()[0] for line in rest.stdout.splitlines()[1:]
    ]
    assert "" == rest.stderr
    assert ids[2:3] == [one["id"] for one in listed("--limit", "1", "--after", ids[1])]


def test_no_event_is_no_error() -> None:
    """An empty inbox is printed as such."""
    result = run("events", "list")

    assert (0, "", "There is no event.\n") == (result.exit_code, result.stdout, result.stderr)
    assert "[]\n" == run("events", "list", "--json").stdout


def test_one_event_is_shown_without_its_payload() -> None:
    """`show` tells what became of it in each handler, and that the keys open it (R35)."""
    (event_id,) = keep("first")
    kill(event_id)
    result = run("events", "show", event_id)
    told = json.loads(run("events", "show", event_id[:6], "--json").stdout)

    assert (0, "") == (result.exit_code, result.stderr)
    assert f"id            {event_id}\n" in result.stdout
    assert "state         dead\n" in result.stdout
    assert "handler       app.welcome: returned\n" in result.stdout
    assert "handler       app.count: given up\n" in result.stdout
    assert "payload       sealed; the keys open it\n" in result.stdout
    assert [*FIELDS, "handlers", "opens", "trouble"] == list(told)
    assert (event_id, HANDLERS, True, None) == (
        told["id"],
        told["handlers"],
        told["opens"],
        told["trouble"],
    )
    assert MAIL not in result.output + json.dumps(told)


def test_a_payload_is_printed_on_request() -> None:
    """With `--payload` the data and the identity are printed; JSON has them as fields."""
    (event_id,) = keep("first")
    text = run("events", "show", event_id, "--payload").stdout
    told = json.loads(run("events", "show", event_id, "--payload", "--json").stdout)

    assert {"data": event("first").data, "identity": {"identityType": "APP"}} == json.loads(
        text[text.index("{") :]
    )
    assert (event("first").data, {"identityType": "APP"}) == (told["data"], told["identity"])


def test_running_events_are_told_as_such() -> None:
    """An event that a process has now is running; its next attempt is not told in the table."""
    (event_id,) = keep("first")
    take()
    row = run("events", "list").stdout.splitlines()[1]

    assert [event_id[:12], CREATED, "site-a", "running", "1"] == cells(row)
    assert listed()[0]["running"]
    assert "next attempt  none\n" in run("events", "show", event_id).stdout


def test_postponed_events_tell_their_next_attempt() -> None:
    """The pause before the next attempt is told in its largest unit."""
    (event_id,) = keep("first")

    async def postpone(inbox: Inbox) -> None:
        (kept,) = await inbox.take("test-owner", limit=1, lease=60.0)
        await inbox.postpone(kept, "test-owner", delay=9000.0, outcomes="", failure="ValueError")

    change(postpone)

    assert run("events", "list").stdout.splitlines()[1].endswith("in 2 h  ValueError")
    assert "next attempt  in 2 h\n" in run("events", "show", event_id).stdout


def test_done_events_have_no_payload() -> None:
    """`show` says so; where the payload is wanted, the status is 1."""
    (event_id,) = keep("first")
    kill(event_id, is_dead=False)
    told = json.loads(run("events", "show", event_id, "--json").stdout)
    wanted = run("events", "show", event_id, "--payload")

    assert ("done", None) == (told["state"], told["opens"])
    assert 1 == wanted.exit_code
    assert "payload       gone, as of every event that is done\n" in wanted.stdout
    assert "wix-asgi: The payload cannot be printed: gone" in wanted.stderr


def test_events_of_a_lost_key_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`list` opens nothing, and `show` names the missing key (R33)."""
    monkeypatch.setenv("WIX_ENCRYPTION_KEYS", LOST.hex())
    (event_id,) = keep("first")
    monkeypatch.delenv("WIX_ENCRYPTION_KEYS")
    key = Vault([LOST]).newest_id
    told = json.loads(run("events", "show", event_id, "--json").stdout)

    assert [event_id] == [one["id"] for one in listed()]
    assert told["opens"] is False
    assert key in told["trouble"]
    assert key in run("events", "show", event_id, "--payload").stderr


def test_events_of_another_release_are_shown() -> None:
    """A payload in a form that is not known is named as such, and not printed."""

    async def work(inbox: Inbox) -> None:
        assert await inbox.add(dataclasses.replace(event("first"), text="{}"), body=b"")

    change(work)
    result = run("events", "show", id_of("first"))

    assert 0 == result.exit_code
    assert "payload       It was written by another release of wix-asgi.\n" in result.stdout


@pytest.mark.parametrize("command", ["show", "drop"])
def test_unknown_events_are_a_failure(command: str) -> None:
    """The status is 1 for ids that nobody or several events have, and 2 without an id."""
    keep(*(f"event-{number}" for number in range(40)))
    unknown, nothing = run("events", command, "z"), run("events", command, "")
    several, usage = run("events", command, listed()[0]["id"][:1]), run("events", command)

    assert [1, 1] == [unknown.exit_code, nothing.exit_code]
    assert unknown.stderr.startswith("wix-asgi: There is no such event")
    assert (1, 2) == (several.exit_code, usage.exit_code)
    assert several.stderr.startswith("wix-asgi: Several ids begin with ")


def test_types_of_strangers_cannot_forge_lines() -> None:
    """Characters that a terminal would obey are escaped in every field (R36)."""
    (event_id,) = keep("first", site="\x1b[2J\n", event_type="\x9b2J\u202e")
    kill(event_id, outcomes='{"handlers":{"\\u001b[2J":"returned"}}')
    output = run("events", "list").stdout + run("events", "show", event_id).stdout

    assert r"\x1b[2J\n" in output
    assert r"\x9b2J\u202e" in output
    assert r"\x1b[2J: returned" in output
    assert output.isascii()
    assert output.replace("\n", "").isprintable()


def test_odd_rows_end_no_list() -> None:
    """Moments of an operator's hand, and of a time before ours, are printed all the same."""
    keep("first", "second")

    async def work(inbox: Inbox) -> None:
        (kept,) = await inbox.take("test-owner", limit=1, lease=60.0)
        assert await inbox.postpone(kept, "test-owner", delay=1e15, outcomes="")

    change(work)

    assert [None] == [one["next_attempt_at"] for one in listed() if one["attempts"]]
    assert 3 == len(run("events", "list").stdout.splitlines())


def test_wrong_settings_and_storages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command says what is wrong, and shows no value (R35, R47)."""
    for url, told in (
        ("nosql://me:test-hunter2@db", "No storage backend for nosql://"),
        ("plain://", "wix-asgi: The storage has no inbox for events (EventStorage)."),
    ):
        monkeypatch.setenv("WIX_STORAGE", url)
        for words in (["list"], ["show", "a"], ["retry", "a"], ["drop", "a"], ["tail"]):
            result = run("events", *words)

            assert (1, "") == (result.exit_code, result.stdout)
            assert told in result.stderr
            assert "hunter2" not in result.stderr
