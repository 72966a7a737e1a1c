"""Measurements of the worker, for any collector; there is no dependency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Observer", "observe_nothing"]


class Observer(Protocol):
    """Gets each measurement at once, on the event loop; an error of it is logged, and harms none.

    | name | value | attributes |
    |---|---|---|
    | `webhook.handler.seconds` | how long a call took | `event_type`, `handler`, `outcome` |
    | `webhook.event.wait` | seconds from the event's issue by Wix to an attempt | `event_type` |
    | `webhook.events.waiting` | waiting events | |
    | `webhook.events.dead` | dead letters | |
    | `webhook.events.oldest_age` | seconds since the oldest waiting event was received | |
    """

    def __call__(self, name: str, value: float, attributes: Mapping[str, str], /) -> None:
        """Take one measurement; seconds and counts, and words that are no secret."""


def observe_nothing(name: str, value: float, attributes: Mapping[str, str], /) -> None:
    """Take a measurement that nobody collects."""
