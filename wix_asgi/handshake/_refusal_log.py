"""The log lines of refused installs: anybody can cause refusals, and nobody may fill the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Final

from starlette.requests import Request

from wix_asgi.errors import HandshakeRefused, Reason, WixMisconfigured
from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.reporting.one_line import one_line

__all__ = ["RefusalLog"]

logger = logging.getLogger("wix_asgi")

_SECONDS: Final = 1.0
"""From one line of a kind to the next.

Long enough for a log (a flood wrote 5,700 lines a second), and so short that the refusal of an
honest install is mostly logged by itself.
"""

_MISCONFIGURED_SECONDS: Final = 60.0
"""The same where Wix refuses the app's credentials, which every made-up code shows anew.

Nothing changes until an operator has read the line.
"""

_OPERATORS: Final = frozenset({Reason.STORAGE_UNAVAILABLE, Reason.INTERNAL})
"""Reasons that need an operator. Anybody can cause the rest, a failing Wix included: a flood of
made-up codes can make Wix answer 429."""


class RefusalLog:
    """Writes one line of each kind in a second, with a count; the lines left out are at DEBUG."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no line logged; `clock` gives monotonic seconds."""
        self._limit = LineLimit(_SECONDS, clock=clock)
        self._misconfigured = LineLimit(_MISCONFIGURED_SECONDS, clock=clock)

    def note(self, refusal: HandshakeRefused, incident: str, request: Request) -> None:
        """Log why an install stops."""
        needs_operator, left_out = self._admit(refusal)
        level = logging.ERROR if needs_operator else logging.WARNING
        if left_out is None:
            level = logging.DEBUG
        if not logger.isEnabledFor(level):
            return  # a flood is not worth its texts
        logger.log(
            level,
            "install refused: %s, incident %s%s",
            _text(refusal),
            incident,
            and_more(left_out or 0),
            exc_info=refusal.__cause__ if refusal.reason is Reason.INTERNAL else None,
            extra=_extra(refusal, incident, request),
        )

    def note_failed_hook(
        self, exc: BaseException, refusal: HandshakeRefused, incident: str, request: Request
    ) -> None:
        """Log that an `on_error` hook raised `exc`, which every refusal may show anew."""
        left_out = self._limit.admit(("on_error", type(exc)))
        logger.log(
            logging.DEBUG if left_out is None else logging.ERROR,
            "an on_error hook raised, incident %s%s",
            incident,
            and_more(left_out or 0),
            exc_info=exc,
            extra=_extra(refusal, incident, request),
        )

    def _admit(self, refusal: HandshakeRefused) -> tuple[bool, int | None]:
        """Return whether an operator is needed, and the count of `LineLimit.admit`."""
        if isinstance(refusal.__cause__, WixMisconfigured):
            return True, self._misconfigured.admit(refusal.reason)
        kind: Hashable = refusal.reason
        if refusal.reason is Reason.INTERNAL:
            # One bug may not hide another; the messages of this reason are few.
            kind = refusal.reason, refusal.message
        elif refusal.reason is Reason.WIX_UNAVAILABLE:
            # A rush of installs, which anybody can cause, may not hide a connection that fails.
            kind = refusal.reason, type(getattr(refusal.__cause__, "__cause__", None)).__name__
        return refusal.reason in _OPERATORS, self._limit.admit(kind)


def _text(refusal: HandshakeRefused) -> str:
    """Return the reason and the message for the log, in which no line may be forged."""
    reason, message = refusal.reason.value, one_line(refusal.message).removesuffix(".")
    return reason if message == reason else f"{reason} ({message})"


def _extra(refusal: HandshakeRefused, incident: str, request: Request) -> dict[str, str]:
    return {"reason": refusal.reason.value, "incident": incident, "path": request.scope["path"]}
