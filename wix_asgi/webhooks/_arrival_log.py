"""The log lines of the webhook path: no payload is in them, and strangers cannot fill the log."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Hashable
from typing import Final

from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.reporting.one_line import one_line
from wix_asgi.webhooks._refusal import WebhookRefused

__all__ = ["ArrivalLog"]

logger = logging.getLogger("wix_asgi")

_SECONDS: Final = 60.0
"""From one line of a kind to the next: its news stays true until an operator reads it."""

_SHORT_SECONDS: Final = 1.0
"""The same for lines that are looked for at once: a bug, and a test that an operator has begun."""

_HOUR: Final = 3600.0

_HINTS: Final = {
    401: " (if Wix sent it, compare WIX_PUBLIC_KEY with the public key in the app's dashboard)",
    503: " (Wix sends it again)",
}


class ArrivalLog:
    """Writes one line of each kind in a period, with the number of lines left out."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no line logged; `clock` gives monotonic seconds."""
        self._lines = LineLimit(_SECONDS, clock=clock)
        self._bugs = LineLimit(_SHORT_SECONDS, clock=clock)
        self._tests = LineLimit(_SHORT_SECONDS, clock=clock)
        self._types = LineLimit(math.inf, clock=clock)

    def note_refusal(self, refusal: WebhookRefused) -> None:
        """Log why an event is not answered 200."""
        self._warn(
            refusal.reason,
            "a webhook was answered %d: %s%s%s",
            refusal.status,
            one_line(refusal.reason).removesuffix("."),
            _HINTS.get(refusal.status, ""),
            level=logging.ERROR if refusal.needs_operator else logging.WARNING,
        )

    def note_bug(self, exc: Exception, incident: str) -> None:
        """Log an error that nobody foresaw."""
        left_out = self._bugs.admit(type(exc).__name__)
        if left_out is not None:
            logger.error(
                "a webhook failed, incident %s%s",
                incident,
                and_more(left_out),
                exc_info=exc,
                extra={"incident": incident},
            )

    def note_kept(self, event: SignedEvent, *, is_new: bool) -> None:
        """Log an event that is in the inbox."""
        if not logger.isEnabledFor(logging.DEBUG):
            return
        told = "kept" if is_new else "known already"
        logger.debug("event %s of site %s: %s", *_names(event), told, extra=_extra(event))

    def note_sample(self, event: SignedEvent) -> None:
        """Log a test of the dashboard; an operator has just asked for it, and looks for it here."""
        left_out = self._tests.admit(event.event_type)
        if left_out is not None:
            logger.warning(
                "a test event of Wix's dashboard came: %s, with a good signature. The webhook "
                "works; the event names another app or site, so that it was answered 200 and kept "
                "nowhere%s",
                one_line(event.event_type),
                and_more(left_out),
                extra=_extra(event),
            )

    def note_old(self, event: SignedEvent, age: float) -> None:
        """Log an event that is not run, since it may have been run before."""
        self._warn(
            ("old", event.event_type),
            "event %s of site %s is %.0f hours old, older than any that Wix sends again: it was "
            "answered 200, and is not run (if it is new, this host's clock is wrong)%s",
            *_names(event),
            age / _HOUR,
            extra=_extra(event),
        )

    def note_unwanted(self, event: SignedEvent) -> None:
        """Log a type of event, once, for which there is no handler."""
        if self._types.admit(event.event_type) is not None:
            logger.warning(
                "events %s have no handler here: they are answered 200 and kept nowhere. Register "
                'one by @wix.on("%s"), or set webhooks=store if another process has it, or remove '
                "the webhook in the app's dashboard",
                *[one_line(event.event_type)] * 2,
                extra=_extra(event),
            )

    def _warn(
        self,
        kind: Hashable,
        text: str,
        *values: object,
        level: int = logging.WARNING,
        extra: dict[str, str] | None = None,
    ) -> None:
        left_out = self._lines.admit(kind)
        if left_out is not None:
            logger.log(level, text, *values, and_more(left_out), extra=extra)


def _names(event: SignedEvent) -> tuple[str, str]:
    return one_line(event.event_type), one_line(event.instance_id)


def _extra(event: SignedEvent) -> dict[str, str]:
    event_type, instance_id = _names(event)
    return {"event_type": event_type, "instance_id": instance_id}
