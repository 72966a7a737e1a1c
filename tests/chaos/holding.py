"""Workers that are killed or frozen while they refresh a token, and those that wait for it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Final

import anyio

from tests.chaos.crew import Outcome
from tests.chaos.crowding import ACCESS, Stage, stage
from tests.chaos.figures import Figure, at_most, exactly
from tests.chaos.places import KINDS, Places
from wix_asgi.lease import TTL

__all__ = ["HOLDERS", "clocks_apart", "measure", "replaced", "rotating", "woken"]

REFRESH: Final = {"path": ACCESS, "grant_type": "refresh_token"}
HOLDERS: Final = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP}
ROUNDS: Final = 10
HOUR: Final = 3600.0
# Of two processors: a refresh and the round trips to the store, at their slowest.
_SLACK: Final = 1.0


def replaced(kind: str, url: str, how: str, *, tasks: int, rounds: int) -> list[Figure]:
    """Kill or freeze who refreshes, once Wix was asked; the tasks of two others want the token."""
    total, calls = Outcome(), 0
    with stage(url, 1) as on:
        for _ in range(rounds):
            total.add(_replaced_once(on, HOLDERS[how], tasks))
        calls = on.refreshes
    holder = f"the holder {how}"
    return [
        exactly(f"{holder}: calls of others served", kind, total.served, 2 * tasks * rounds),
        exactly(f"{holder}: calls of others failed", kind, len(total.failed), 0),
        exactly(f"{holder}: token calls, {rounds} rounds", kind, calls, 2 * rounds),
        at_most(
            f"{holder}: others' longest wait, s", kind, total.longest, TTL + _SLACK, timed=True
        ),
    ]


def _replaced_once(on: Stage, signum: signal.Signals, tasks: int) -> Outcome:
    on.age()
    with on.crew(3) as crew, on.fake.hold(**REFRESH) as gate:
        holder, *others = crew.workers
        holder.call(on.sites)
        anyio.run(lambda: gate.arrived(1))
        holder.send_signal(signum)
        for other in others:
            other.call(on.sites, tasks)
        anyio.run(lambda: gate.arrived(2, timeout=30))
        gate.release()
        total = Outcome()
        for other in others:
            total.add(other.outcome())
        if signum == signal.SIGSTOP:
            # Whoever wakes up is served as well, and takes nothing away.
            holder.send_signal(signal.SIGCONT)
            if holder.outcome().served != 1:
                total.failed.append("the woken holder")
    return total


def woken(kind: str, url: str, *, rounds: int) -> list[Figure]:
    """Freeze who refreshes when Wix has rotated the token, and have Wix refuse the others."""
    total = Outcome()
    with stage(url, 1, rotate_refresh_tokens=True) as on:
        for _ in range(rounds):
            total.add(_woken_once(on))
    return [
        exactly(
            "a woken holder with the only good token: calls served", kind, total.served, rounds
        ),
        exactly("a woken holder: calls after it served", kind, len(total.failed), 0),
    ]


def _woken_once(on: Stage) -> Outcome:
    on.age()
    with on.crew(2) as crew:
        holder, other = crew.workers
        with on.fake.hold(**REFRESH) as gate:
            holder.call(on.sites)
            anyio.run(lambda: gate.arrived(1))
            holder.send_signal(signal.SIGSTOP)
            on.fake.fail(ACCESS, status=400, body={"error": "invalid_grant"})
            gate.release()
            other.call(on.sites)
            refused = other.outcome()
            assert ["NotInstalled"] == refused.failed
        holder.send_signal(signal.SIGCONT)
        total = holder.outcome()
        other.call(on.sites)
        total.failed += other.outcome().failed
    return total


def rotating(kind: str, url: str, *, workers: int, tasks: int, rounds: int) -> list[Figure]:
    """Refresh at a Wix that rotates tokens, and revokes all of a family when one is used twice."""
    total = Outcome()
    with stage(url, 1, rotate_refresh_tokens=True) as on, on.crew(workers) as crew:
        for _ in range(rounds):
            on.age()
            crew.forget()
            total.add(crew.call(on.sites, tasks))
        calls = on.refreshes
    return [
        exactly(f"rotating tokens, {rounds} rounds: token calls", kind, calls, rounds),
        exactly("rotating tokens: calls served", kind, total.served, workers * tasks * rounds),
    ]


def clocks_apart(kind: str, url: str, *, rounds: int) -> list[Figure]:
    """Refresh on hosts whose clocks are an hour ahead, an hour behind, and right."""
    total = Outcome()
    with stage(url, 1) as on, on.crew(3, clocks_off=[HOUR, -HOUR]) as crew:
        for _ in range(rounds):
            on.age()
            crew.forget()
            for worker in crew.workers:
                # One after another: a clock that is believed would ask for a token each time.
                worker.call(on.sites, 5)
                total.add(worker.outcome())
        calls = on.refreshes
        refused = sum(call.status == 401 for call in on.fake.calls)
    return [
        exactly(f"clocks an hour apart, {rounds} rounds: token calls", kind, calls, rounds),
        exactly("clocks an hour apart: dead tokens used", kind, refused, 0),
        exactly("clocks an hour apart: calls served", kind, total.served, 3 * 5 * rounds),
    ]


def measure(places: Places) -> Iterator[Figure]:
    """Kill, freeze and rotate on every store."""
    runs: list[Callable[[str, str], list[Figure]]] = [
        *(
            lambda kind, url, how=how: replaced(kind, url, how, tasks=20, rounds=ROUNDS)
            for how in HOLDERS
        ),
        lambda kind, url: woken(kind, url, rounds=ROUNDS),
        lambda kind, url: rotating(kind, url, workers=4, tasks=50, rounds=2 * ROUNDS),
        lambda kind, url: clocks_apart(kind, url, rounds=ROUNDS),
    ]
    for kind in KINDS:
        for run in runs:
            with places.empty(kind) as url:
                yield from run(kind, url)
