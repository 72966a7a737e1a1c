"""The outcome of each handler of an event, in the text that the inbox keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

__all__ = ["HandlerOutcome", "Outcomes"]


class HandlerOutcome(StrEnum):
    """The outcome of a handler of an event; a handler without an outcome was not called yet."""

    RETURNED = "returned"
    """It is not called again."""

    FAILED = "failed"
    """It is called again."""

    GIVEN_UP = "given up"
    """It has failed for the last time."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes of an event so far.

    Attributes:
        handlers: The outcomes by the names of the handlers.
        is_prepared: Whether the installation is up to date with the event (`Lifecycle`).
        spared: The attempts that ended before any handler; they count against none.
        passed: How often processes without a handler for it have passed it on since the latest call
            of a handler.
    """

    handlers: Mapping[str, HandlerOutcome] = field(default_factory=dict)
    is_prepared: bool = False
    spared: int = 0
    passed: int = 0

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the outcomes of a stored text; unknown words of another release are left out.

        A handler whose outcome is not known is called: an event is handled at least once.
        """
        if not text:
            # A first attempt, as nearly all are: an error costs ten times the rest.
            return cls()
        try:
            written = json.loads(text)
        except ValueError:
            return cls()
        if not isinstance(written, dict):
            return cls()
        known = frozenset(HandlerOutcome)
        handlers = {
            name: HandlerOutcome(word)
            for name, word in _mapping(written.get("handlers")).items()
            if word in known
        }
        return cls(
            handlers,
            written.get("prepared") is True,
            _count(written.get("spared")),
            _count(written.get("passed")),
        )

    def __str__(self) -> str:
        """Return the text for the inbox."""
        written: dict[str, Any] = {}
        if self.handlers:
            written["handlers"] = dict(self.handlers)
        if self.is_prepared:
            written["prepared"] = True
        if self.spared:
            written["spared"] = self.spared
        if self.passed:
            written["passed"] = self.passed
        return json.dumps(written, separators=(",", ":")) if written else ""

    def has_ended(self, handler: str) -> bool:
        """Whether the handler is not to be called again."""
        return self.handlers.get(handler) in {HandlerOutcome.RETURNED, HandlerOutcome.GIVEN_UP}

    @property
    def is_dead(self) -> bool:
        """Whether an event that ends now is a dead letter: a handler has not returned."""
        return any(outcome is not HandlerOutcome.RETURNED for outcome in self.handlers.values())

    def of(self, handler: str, outcome: HandlerOutcome) -> Self:
        """Return these outcomes with that of `handler`."""
        return replace(self, handlers={**self.handlers, handler: outcome}, passed=0)

    def prepared(self) -> Self:
        """Return these outcomes with a preparation that has returned."""
        return replace(self, is_prepared=True)

    def with_spared_attempt(self) -> Self:
        """Return these outcomes with one attempt more that counts against no handler."""
        return replace(self, spared=self.spared + 1)

    def passed_on(self) -> Self:
        """Return these outcomes, passed on once more by a process without a handler."""
        return replace(self, passed=self.passed + 1)

    def for_retry(self) -> Self:
        """Return the outcomes with which the attempts begin anew: the returned handlers."""
        returned = {
            name: outcome
            for name, outcome in self.handlers.items()
            if outcome is HandlerOutcome.RETURNED
        }
        return replace(self, handlers=returned, spared=0, passed=0)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) else 0
