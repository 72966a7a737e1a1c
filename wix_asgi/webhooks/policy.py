"""Every number of the webhooks, with its unit, its reason and where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["WebhookPolicy"]

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPolicy:
    """The bounds, waits and pauses of webhooks; the defaults hold for every app.

    All durations are seconds.
    """

    # The request

    max_body: int = 1_000_000
    """Bytes of a body that are read at most (R42); real tokens have some kilobytes."""

    body_timeout: float = 10.0
    """How long a body may take to arrive; Wix itself gives up after 1.25 s."""

    max_bodies: int = 500
    max_bytes: int = 32_000_000
    """Bodies under way on an event loop, and their bytes. Above it the oldest body is given up.

    A body of Wix's arrives within milliseconds, so that the oldest one is a stranger's. To have a
    body of 50 ms given up, a stranger has to begin 10,000 others in a second.
    """

    small_body: int = 64_000
    """Bytes of a body that is verified at once, in 0.4 ms, or 0.1 ms for a forgery (measured).

    No event of Wix's was seen to be longer. Those that are, whose forgeries take up to 2.3 ms, are
    verified in a thread, one at a time in a process.
    """

    max_long_bodies: int = 16
    long_body_wait: float = 0.5
    """Longer bodies that wait for their turn, and how long, before they are answered 503."""

    clock_leeway: float = 60.0
    """How far ahead of our clock an event may be issued (R42), and so how much sooner than
    `keep_keys` it is too old to be run."""

    keep_wait: float = 1.0
    """How long an answer waits for the storage. Wix waits for 1.25 s ("Webhook Resend Policy");
    the rest is for the way of the request and of the answer."""

    max_keeping: int = 4
    """Events that an event loop writes at one time; more wait for their turn. A process has ten
    connections, and refreshes and installs need some, too."""

    retry_after: int = 60
    """The `Retry-After` of a 503: Wix's first repetition comes after a minute."""

    # The keys of events

    keep_keys: float = 72 * _HOUR
    """How long an event is known after it was received, and how old an event may be to be run.

    Wix repeats for 47 h 11 min after the first failure ("Webhook Resend Policy"); the rest is for
    clocks that differ, and for a database that was restored from a copy of the day before.
    """

    keep_dead: float = 30 * _DAY
    """How long a dead letter waits for an operator: longer than a holiday."""

    warn_dead: float = _DAY
    """How long before its end a dead letter is told of in the log."""

    # Installations

    clock_difference: float = 60.0
    """By how much Wix's clock and that of the store may differ, where the moment of an event is
    compared with that of an installation (as for `iat` in R42)."""

    recent: float = 60.0
    """How old an event may be for its news not to have reached all of Wix's servers."""

    repeats: tuple[float, ...] = (0.5, 1.5)
    """The pauses after which Wix is asked again where its answer is against a recent event.

    Wix documents no delay between its events and its token endpoint, and none was observed: a
    choice, whose two seconds reinstalls pay, and sites that remove the app at once.
    """

    # The inbox

    max_waiting: int = 100_000
    """Waiting events, from which on new ones are answered 503, so that Wix keeps them.

    At two kilobytes each they take 200 MB.
    """

    count_interval: float = 1.0
    calm_count_interval: float = 100.0
    count_after: int = 1000
    """How seldom a process counts the waiting events: once in the first interval, in the second
    while less than half of `max_waiting` wait, or after that number of new events of its own.

    To count 100,000 events takes a Postgres some 10 ms.
    """

    # Leases and attempts

    lease: float = 20.0
    """How long a process has an event, renewed each third of it while the handlers run.

    A killed process delays its events by it, and a storage that restarts is back within it.
    """

    lease_margin: float = 5.0
    """How long before the end of its lease an async handler is cancelled, if it is not renewed.

    The seconds are for the handler to end before another process begins; two renewals come before
    them, the second while one has failed. (`OnlyOnePolicy` has three of ten seconds.)
    """

    first_delay: float = 10.0
    delay_factor: float = 5.2
    max_delay: float = 12 * _HOUR
    """The pause before the second attempt, and by how much each pause is longer than the last.

    With a jitter of a quarter up or down: 10 s, 52 s, 4.5 min, 23 min, 2 h, 10.5 h, 12 h. Eight
    attempts are spread over about a day, as Wix spreads its own over two.
    """

    # Events without a handler in the process that takes them

    pass_pause: float = 5.0
    pass_factor: float = 2.0
    max_pass_pause: float = _HOUR
    """The pause after which another process may have the event, and by how much each is longer.

    With a jitter of a quarter up or down. The first ones are for processes with different handlers,
    where chance decides which of them takes an event; the longer ones for a deploy under way.
    """

    max_passes: int = 32
    """How often an event is passed on before it ends: over 23 hours with the pauses above, the day
    that the attempts of a handler are spread over. A night's failure of the workers that have the
    handler loses none of their events."""

    crowded: int = 80_000
    """Waiting events from which on events without a handler end at once, as they would at the end
    of the day: they must not fill an inbox of `max_waiting`, and have events with one refused."""

    # Taking

    poll_pause: float = 0.5
    max_poll_pause: float = 10.0
    """Between two looks for others' events: twice as long after each look that finds none.

    Times 0.5 to 1.5, by chance. A look is one statement.
    """

    storage_pause: float = 1.0
    """Between two tries to note the end of an event, while the storage fails."""

    # Handlers

    max_attempts: int = 8
    """How often an event is prepared (its installation is brought up to date) or unsealed at most.

    These attempts count against no handler. With the delays above they cover a day: an outage of
    Wix, or a deploy that brings a key.
    """

    prepare_timeout: float = 300.0
    """How long the preparation of an event may take: a few calls to Wix with their repetitions, and
    an `on_install` hook, which may take as long as a handler."""

    still_running: float = 1000.0
    """How long after its time-out a handler that goes on keeps the event from other processes.

    A thread cannot be cancelled. A thread that waits for a dead connection ends by itself after 925
    seconds (Linux, `tcp_retries2` of 15); a thread that goes on for longer may never end, and its
    event is tried again beside it. Its slot stays taken.
    """

    cancel_patience: float = 1.0
    """How long a cancelled async handler may clean up until it is told of as still running."""

    shutdown_grace: float = 8.0
    """How long a shutdown waits for running handlers.

    Docker kills a container ten seconds after it was told to stop; the rest of them is for giving
    the events back, which takes some milliseconds each.
    """

    shutdown_cleanup: float = 5.0
    """How long a shutdown then waits at most for cancelled handlers, and for their events to be
    given back: a slow storage must not lose that (as `DetachedTasks` has it)."""

    # Operating

    log_pause: float = 60.0
    """The least time between two log lines about a storage that fails."""

    watch_interval: float = 60.0
    """How often waiting events and dead letters are counted, by a single process."""

    watch_lease: float = 150.0
    """How long a killed process that counted them delays the next one: two and a half intervals."""

    warn_waiting: int = 1000
    warn_age: float = 900.0
    """How many waiting events, or seconds since the oldest came, are told of in the log.

    A healthy inbox is empty within seconds; a deploy or a restart of the database takes minutes. A
    thousand events are more than the four handlers of a process do in a minute, at 0.2 s each.
    """

    warn_growth: float = 2.0
    """The growth of either after which it is told of again: seven lines for a day's age."""

    def delay_after(self, attempt: int, jitter: float) -> float:
        """Return the pause after a failed attempt, 1 for the first; `jitter` is from 0 to 1."""
        return _grown(self.first_delay, self.delay_factor, self.max_delay, attempt, jitter)

    def pause_after(self, passes: int, jitter: float) -> float:
        """Return the pause after an event was passed on so often, at least once."""
        return _grown(self.pass_pause, self.pass_factor, self.max_pass_pause, passes, jitter)


def _grown(first: float, factor: float, most: float, number: int, jitter: float) -> float:
    steps = min(number - 1, math.log(most / first, factor))
    return first * math.pow(factor, steps) * (0.75 + jitter / 2)
