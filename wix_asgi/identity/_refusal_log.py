"""The log of refused callers: a line a minute and reason, with a hint for the operator."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from wix_asgi.errors import CallerReason, NotInstalled, Unauthenticated
from wix_asgi.reporting.line_limit import LineLimit, and_more

__all__ = ["RefusalLog"]

logger = logging.getLogger("wix_asgi")

_PERIOD: Final = 60.0
"""Seconds between two lines of one reason. Anybody can cause them, with every request; a minute is
soon enough for an operator whose pages all fail, and 1,440 lines a day fill no disk."""

_HINTS: Final[dict[str, str]] = {
    CallerReason.NO_IDENTITY: "the page was opened outside Wix, or the query was lost on the way.",
    CallerReason.FORGED: "signed instances are refused: is WIX_APP_SECRET this app's? A previous "
    "secret verifies them until WIX_PREVIOUS_SECRETS_UNTIL alone.",
    CallerReason.VISITOR: "visitors of a site never get the app's client, unless "
    "WIX_ALLOWED_SUBJECTS has VISITOR.",
    CallerReason.OTHER_APP: "is WIX_APP_ID this app's?",
    CallerReason.PERMISSIONS: "WIX_ALLOWED_PERMISSIONS says whose instances are allowed, and "
    "WIX_ALLOWED_SUBJECTS whose access tokens.",
    CallerReason.TOO_OLD: "WIX_INSTANCE_MAX_AGE says how old it may be; is the clock of this host "
    "right?",
    CallerReason.ENDED: "Wix said until when it is good; is this host's clock right?",
    CallerReason.TWO_SITES: "a link may have been made to lead into another site.",
    NotInstalled.reason: "if Wix shows the app on that site, is WIX_STORAGE the right storage?",
}

_MAX_ID: Final = 64
"""Characters of an instance ID in a line; Wix's have 36."""

_MAX_MESSAGE: Final = 200
"""Characters of a message in a line: enough for two of Wix's IDs, or one claim of 80."""


class RefusalLog:
    """Writes refusals of one app into the log; safe to share among threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no line written; `clock` gives monotonic seconds."""
        self._limit = LineLimit(_PERIOD, clock=clock)

    def write(self, refusal: Unauthenticated | NotInstalled, instance_id: str | None) -> None:
        """Write `refusal` at WARNING, or count it for the next line of its reason.

        `instance_id` is the site that a genuine proof or the app itself names.
        """
        reason = str(refusal.reason)
        left_out = self._limit.admit(reason)
        if left_out is None:
            return
        # Signed by Wix where it is there, and yet nothing that may forge a line.
        site = ascii(instance_id)[1:-1][:_MAX_ID] if instance_id else None
        logger.warning(
            "caller refused: %s%s: %s Hint: %s%s",
            reason,
            f", site {site}" if site else "",
            ascii(refusal.message)[1:-1][:_MAX_MESSAGE],
            _HINTS[reason],
            and_more(left_out),
            extra={"reason": reason, "instance_id": site},
        )
