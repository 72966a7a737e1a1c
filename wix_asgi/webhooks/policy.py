"""Every number of the webhooks, with its unit, its reason and where it comes from."""

from __future__ import annotations

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

    # The inbox

    max_waiting: int = 100_000
    """Waiting events, from which on new ones are answered 503, so that Wix keeps them.

    At two kilobytes each they take 200 MB.
    """

    count_interval: float = 1.0
    count_after: int = 1000
    """How seldom waiting events are counted: once a second, or after so many new events of this
    process, while the inbox is less than half full each hundred seconds."""

    # Leases and attempts

    lease: float = 20.0
    """How long a process has an event, renewed each third of it while the handlers run.

    A killed process costs its events so long, and a storage that restarts is back within it.
    """

    first_delay: float = 10.0
    delay_factor: float = 5.2
    max_delay: float = 12 * _HOUR
    """The pause before the second attempt, and by how much each pause is longer than the last.

    With a jitter of a quarter up or down: 10 s, 52 s, 4.5 min, 23 min, 2 h, 10.5 h, 12 h. Eight
    attempts are spread over about a day, as Wix spreads its own over two.
    """

    # Taking

    poll_pause: float = 0.5
    max_poll_pause: float = 10.0
    """Between two looks for events of other processes: longer each time that none is found."""

    handler_threads: int = 40
    """Plain handlers that run at one time in a process, in threads of their own."""

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
