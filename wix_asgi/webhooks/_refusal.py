"""Why the endpoint keeps no event, with the status that tells Wix so."""

from __future__ import annotations

__all__ = ["WebhookRefused"]


class WebhookRefused(Exception):
    """A webhook that is not answered 200.

    Attributes:
        status: The status of the answer; after any but 200 Wix sends the event again.
        reason: For operators, without a byte of the request.
        retry_after: Seconds after which it may be sent again, or None.
        needs_operator: Whether the app itself fails, which no stranger can cause.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        retry_after: int | None = None,
        needs_operator: bool = False,
    ) -> None:
        """Answer `status`."""
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.needs_operator = needs_operator
