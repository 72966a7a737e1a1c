"""The measurements that the worker hands to its observer, whose errors harm nobody."""

from __future__ import annotations

import logging

from wix_asgi._frames import without_locals
from wix_asgi.models import EventCounts
from wix_asgi.reporting.line_limit import LineLimit
from wix_asgi.webhooks.handlers import Handler
from wix_asgi.webhooks.inbox import KeptEvent
from wix_asgi.webhooks.observer import Observer

__all__ = ["Observing"]

logger = logging.getLogger("wix_asgi")


class Observing:
    """Hands measurements on; shared by all events."""

    def __init__(self, observer: Observer, lines: LineLimit) -> None:
        """Tell `observer`; a failure of it is logged as seldom as `lines` say."""
        self._observer = observer
        self._lines = lines

    def call(self, kept: KeptEvent, handler: Handler, outcome: str, seconds: float) -> None:
        """Tell how long a call of a handler took."""
        attributes = {
            "event_type": kept.record.event_type,
            "handler": handler.name,
            "outcome": outcome,
        }
        self._tell("webhook.handler.seconds", seconds, attributes)

    def wait(self, kept: KeptEvent, seconds: float) -> None:
        """Tell how long after its issue by Wix an event is handled."""
        self._tell("webhook.event.wait", seconds, {"event_type": kept.record.event_type})

    def counts(self, counts: EventCounts) -> None:
        """Tell the counts of the inbox."""
        self._tell("webhook.events.waiting", counts.waiting, {})
        self._tell("webhook.events.dead", counts.dead, {})
        self._tell("webhook.events.oldest_age", counts.oldest_age, {})

    def _tell(self, name: str, value: float, attributes: dict[str, str]) -> None:
        try:
            self._observer(name, value, attributes)
        except Exception as exc:
            if self._lines.admit("observer") is not None:
                logger.warning(
                    "the observer of webhooks raised %s",
                    type(exc).__name__,
                    exc_info=without_locals(exc),
                )
