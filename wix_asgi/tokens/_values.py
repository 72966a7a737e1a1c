"""The values of the token cache: a token with its moments, and the tokens that nobody wants."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wix_asgi.models import AccessToken

__all__ = ["CachedToken", "UnwantedValues"]


@dataclass(slots=True)
class CachedToken:
    """A cached token, its windows and its rechecks, as moments of the monotonic clock.

    Attributes:
        quiet_until: Until then a call needs nothing but the token: one comparison, since most calls
            come here.
    """

    token: AccessToken
    advisory_at: float
    mandatory_at: float
    recheck_at: float = -math.inf
    overdue_at: float = -math.inf
    quiet_until: float = -math.inf
    useless_until: float = -math.inf

    def plan(self) -> None:
        """Set `quiet_until` anew, after a change of another moment."""
        self.quiet_until = min(self.advisory_at, self.recheck_at)


class UnwantedValues:
    """Values of tokens that a refresh must not return; secrets, so nothing shows them."""

    # No set: error trackers walk through sets, and never ask them for a repr.
    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: set[str] = set()

    def __repr__(self) -> str:
        return f"<{len(self._values)} tokens>"

    def __contains__(self, value: object) -> bool:
        return value in self._values

    def add(self, value: str) -> None:
        self._values.add(value)
