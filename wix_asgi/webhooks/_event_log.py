"""Log lines about events and their handlers: with types, ids and names, and no payload."""

from __future__ import annotations

import logging
import math

from wix_asgi._frames import without_locals
from wix_asgi.errors import StorageUnavailable, WixUnavailable
from wix_asgi.reporting.line_limit import LineLimit
from wix_asgi.reporting.one_line import one_line
from wix_asgi.webhooks.handlers import Handler
from wix_asgi.webhooks.inbox import KeptEvent

__all__ = ["EventLog"]

logger = logging.getLogger("wix_asgi")


class EventLog:
    """The log of a worker; shared by all events."""

    def __init__(self) -> None:
        """Begin with no type told of."""
        self._types = LineLimit(math.inf)
        self._unhandled = LineLimit(math.inf)

    def no_handler(self, kept: KeptEvent) -> None:
        """Tell once a type that this process has no handler for an event."""
        event_type = kept.record.event_type
        if self._types.admit(event_type) is not None:
            logger.info("events of type %s have no handler in this process", one_line(event_type))

    def ends_unhandled(self, kept: KeptEvent, reason: str) -> None:
        """Tell once a type that its events end, or become dead letters, for want of a handler."""
        event_type = one_line(kept.record.event_type)
        if self._unhandled.admit(event_type) is not None:
            logger.warning(
                "events of type %s end without a handler: %s. Register one by "
                '@wix.on("%s"), or remove the webhook in the app\'s dashboard',
                event_type,
                reason,
                event_type,
                extra=_extra(kept),
            )

    def failed(
        self, kept: KeptEvent, handler: Handler, how: str, error: BaseException | None, attempt: int
    ) -> None:
        """Tell of a call that failed: as a warning if the handler is called again."""
        is_last = attempt >= handler.max_attempts
        logger.log(
            logging.ERROR if is_last else logging.WARNING,
            "handler %s %s with %s (attempt %d of %d)%s",
            handler.name,
            how,
            _name(kept),
            attempt,
            handler.max_attempts,
            "; it is given up, and the event is kept as a dead letter" if is_last else "",
            exc_info=None if error is None else without_locals(error),
            extra=_extra(kept),
        )

    def was_killed(self, kept: KeptEvent, handler: Handler) -> None:
        """Tell of a handler whose process never came to the end of its last attempt."""
        logger.error(
            "handler %s is given up with %s: its process did not live to the end of attempt %d",
            handler.name,
            _name(kept),
            handler.max_attempts,
            extra=_extra(kept),
        )

    def not_prepared(self, kept: KeptEvent, how: str, error: BaseException | None) -> None:
        """Tell that an event was postponed before any handler was called."""
        is_expected = isinstance(error, WixUnavailable | StorageUnavailable)
        # Frames of an HTTP library or a driver hold tokens and passwords.
        exc_info = None if error is None or is_expected else without_locals(error)
        logger.warning(
            "%s could not be prepared, and is tried again later: %s",
            _name(kept),
            one_line(f"{type(error).__name__}: {error}") if is_expected else how,
            exc_info=exc_info,
            extra=_extra(kept),
        )

    def unreadable(self, kept: KeptEvent, error: Exception, *, is_dead: bool) -> None:
        """Tell that an event cannot be unsealed."""
        logger.error(
            "%s cannot be read, and is %s: %s",
            _name(kept),
            "kept as a dead letter" if is_dead else "tried again later",
            one_line(str(error)),
            extra=_extra(kept),
        )

    def is_dead(self, kept: KeptEvent, failure: str) -> None:
        """Tell of an event that no handler was called for in all of its attempts."""
        logger.error(
            "%s is kept as a dead letter: %s", _name(kept), one_line(failure), extra=_extra(kept)
        )

    def lost(self, kept: KeptEvent) -> None:
        """Tell of an event that another process may have by now."""
        logger.warning(
            "the lease of %s was lost: its handler was cancelled, and is called again",
            _name(kept),
            extra=_extra(kept),
        )

    def not_noted(self, kept: KeptEvent) -> None:
        """Tell that the end of an event could not be noted, since another process has it."""
        logger.warning(
            "%s ended here after its lease: another process handles it again, or it was dropped",
            _name(kept),
            extra=_extra(kept),
        )

    def broke(self, kept: KeptEvent, error: Exception) -> None:
        """Tell of an error of our own; the event comes back when its lease ends."""
        logger.error(
            "%s could not be handled, and comes back when its lease ends: %s",
            _name(kept),
            type(error).__name__,
            exc_info=without_locals(error),
            extra=_extra(kept),
        )


def _name(kept: KeptEvent) -> str:
    record = kept.record
    return one_line(f"event {record.event_type} {record.event_id} of site {record.instance_id}")


def _extra(kept: KeptEvent) -> dict[str, str]:
    record = kept.record
    return {
        "event_type": record.event_type,
        "event_id": record.event_id,
        "instance_id": record.instance_id,
    }
