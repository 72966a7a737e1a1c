"""The outcome of a flow, as the winner of its state tells all processes."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from wix_asgi.errors import Reason

__all__ = ["Installed", "Outcome", "Refused", "parse_outcome"]

_INSTALLED = "installed"
_REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Installed:
    """The app was installed.

    Attributes:
        instance_id: The installation that Wix confirmed; never that of an address.
    """

    instance_id: str

    def __str__(self) -> str:
        return f"{_INSTALLED}:{quote(self.instance_id, safe='')}"


@dataclass(frozen=True, slots=True)
class Refused:
    """The install was refused, and its state is used up."""

    reason: Reason

    def __str__(self) -> str:
        return f"{_REFUSED}:{self.reason}"


Outcome = Installed | Refused


def parse_outcome(text: str | None) -> Outcome | None:
    """Return the outcome that `text` begins with; None where it is none, such as a random owner."""
    kind, _, value = (text or "").partition(":")
    value = value.partition(":")[0]
    if kind == _INSTALLED:
        return Installed(unquote(value))
    if kind == _REFUSED:
        # A later release may know further reasons.
        known = value in set(Reason)
        return Refused(Reason(value) if known else Reason.STATE_REUSED)
    return None
