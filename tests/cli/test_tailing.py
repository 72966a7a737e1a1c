"""Following the events of an inbox."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import pytest

from tests.cli.commands import run
from tests.cli.kept_events import change
from tests.operations.events import end, id_of, keep
from wix_asgi.cli import _events
from wix_asgi.cli._tailing import Tail, TailPolicy
from wix_asgi.models import EventRecord, EventState
from wix_asgi.webhooks.inbox import Inbox, KeptEvent

pytestmark = pytest.mark.usefixtures("kept_inbox")


def told(records: list[EventRecord]) -> list[tuple[str, str, bool]]:
    """Return id, state, and whether it runs, of each record."""
    return [(record.event_id, record.state.value, record.is_taken) for record in records]


def test_changes_are_told_once() -> None:
    """An event is told when it is new, runs, and has ended, and at no look in between."""

    async def work(inbox: Inbox) -> list[list[tuple[str, str, bool]]]:
        tail, looks = Tail(inbox), []
        looks.append(told(await tail.look()))
        await keep(inbox, "first")
        looks.extend([told(await tail.look()), told(await tail.look())])
        (kept,) = await inbox.take("test-owner", limit=1, lease=60.0)
        looks.append(told(await tail.look()))
        await inbox.finish(kept, "test-owner", keep=60.0, outcomes="")
        looks.extend([told(await tail.look()), told(await tail.look())])
        return looks

    first = id_of("first")

    assert [
        [],
        [(first, "waiting", False)],
        [],
        [(first, "waiting", True)],
        [(first, "done", False)],
        [],
    ] == change(work)


def test_events_that_are_done_between_two_looks_are_told() -> None:
    """Handlers are quick: such an event is told as done, in the order in which it came."""

    async def work(inbox: Inbox) -> list[tuple[str, str, bool]]:
        tail = Tail(inbox)
        await keep(inbox, "old")
        await end(inbox, "old")
        await tail.look()
        await keep(inbox, "first")
        await end(inbox, "first")
        await keep(inbox, "second")
        return told(await tail.look())

    assert [(id_of("first"), "done", False), (id_of("second"), "waiting", False)] == change(work)


def test_many_done_events_are_not_read() -> None:
    """Beyond a number of them, the end of an event is told by its absence among the others."""

    async def work(inbox: Inbox) -> list[list[tuple[str, str, bool]]]:
        tail = Tail(inbox, policy=TailPolicy(max_done=1))
        await keep(inbox, "first")
        await end(inbox, "first")
        looks = [told(await tail.look())]
        for name in ("second", "third"):
            await keep(inbox, name)
            await end(inbox, name)
        looks.append(told(await tail.look()))
        await keep(inbox, "fourth")
        looks.append(told(await tail.look()))
        await end(inbox, "fourth")
        looks.append(told(await tail.look()))
        assert not tail.reads_done
        return looks

    fourth = id_of("fourth")
    looks = change(work)

    assert [(id_of("first"), "done", False)] == looks[0]
    assert [[(fourth, "waiting", False)], [(fourth, "done", False)]] == looks[2:]


def test_events_that_move_between_pages_are_told() -> None:
    """An event that is retried while a look reads is in no page of it, and told all the same."""

    class Moving(Inbox):
        """An inbox whose dead letter is retried before its page of dead letters is read."""

        moves = False

        async def all(
            self, state: EventState | None = None, *, after: str = ""
        ) -> AsyncGenerator[KeptEvent, None]:
            if state is EventState.DEAD and self.moves:
                kept = await self.find(id_of("first"))
                assert kept is not None
                await self.retry(kept, outcomes="")
            async for kept in super().all(state, after=after):
                yield kept

    async def work(inbox: Inbox) -> list[tuple[str, str, bool]]:
        moving = Moving(inbox._app_id, inbox._storage, inbox._vault)
        tail = Tail(moving)
        await keep(inbox, "first")
        await end(inbox, "first", is_dead=True)
        await tail.look()
        moving.moves = True
        return told(await tail.look())

    assert [(id_of("first"), "waiting", False)] == change(work)


def test_forgotten_events_are_not_told() -> None:
    """A done event whose time is over is no change."""

    async def work(inbox: Inbox) -> list[tuple[str, str, bool]]:
        tail = Tail(inbox)
        await keep(inbox, "first")
        await tail.look()
        (kept,) = await inbox.take("test-owner", limit=1, lease=60.0)
        await inbox.finish(kept, "test-owner", keep=-1.0, outcomes="")
        await inbox.purge()
        return told(await tail.look())

    assert [] == change(work)


def test_looks_take_a_share_of_the_time() -> None:
    """The pause is half a second, or four times the look before it where that is more."""
    now, pauses = [0.0], []

    def clock() -> float:
        now[0] += 3.0
        return now[0]

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def work(inbox: Inbox) -> None:
        slow, quick = Tail(inbox, clock=clock, sleep=sleep), Tail(inbox, sleep=sleep)
        for tail in (slow, quick):
            await tail.look()
            await tail.next()

    change(work)

    assert [12.0, 0.5] == pauses


@pytest.fixture(name="once")
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two events come to a tail, before somebody presses Ctrl-C."""

    class Once(Tail):
        looks = 0

        async def next(self) -> list[EventRecord]:
            Once.looks += 1
            if Once.looks == 2:
                raise KeyboardInterrupt
            await keep(self._inbox, "first")
            await end(self._inbox, "first", is_dead=True)
            await keep(self._inbox, "second")
            return await self.look()

    monkeypatch.setattr(_events, "Tail", Once)


@pytest.mark.usefixtures("once")
def test_tail_has_lines_of_json() -> None:
    """With `--json` each change is an object of its own; site, type and state narrow them."""
    result = run("events", "tail", "--dead", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]

    assert (0, "") == (result.exit_code, result.stderr)
    assert [(id_of("first"), "dead")] == [(line["id"], line["state"]) for line in lines]


@pytest.mark.usefixtures("once")
def test_tail_has_a_table() -> None:
    """Without it there is a head, and a row for each change."""
    result = run("events", "tail")

    assert (0, "") == (result.exit_code, result.stderr)
    assert ["ID", id_of("first")[:12], id_of("second")[:12]] == [
        line.split()[0] for line in result.stdout.splitlines()
    ]
