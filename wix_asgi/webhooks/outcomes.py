"""The outcomes of an event's handlers, as the text that a storage keeps beside the event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

__all__ = ["Outcome", "for_another_try", "read_outcomes", "write_outcomes"]


class Outcome(StrEnum):
    """The end of one handler for one event; a handler that is still to be called has none."""

    RETURNED = "returned"
    """It has returned, and is not called again for this event."""

    GIVEN_UP = "given_up"
    """It has failed for the last time, and is called again only where an operator wants it."""


def write_outcomes(outcomes: Mapping[str, Outcome]) -> str:
    """Return the text for the storage: JSON, with the names of the handlers; empty for none."""
    return json.dumps(outcomes, separators=(",", ":")) if outcomes else ""


def read_outcomes(text: str) -> dict[str, Outcome]:
    """Return the outcome of each handler that has one.

    Words of another release, and a text from an operator's hand, count as no outcome: the handler
    is called, as "at least once" says.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    words = set(Outcome)
    return {
        name: Outcome(word)
        for name, word in found.items()
        if isinstance(word, str) and word in words
    }


def for_another_try(text: str) -> str:
    """Return the outcomes without those given up: these handlers are called again, and no other."""
    kept = read_outcomes(text)
    return write_outcomes({name: one for name, one in kept.items() if one is Outcome.RETURNED})
