"""A limit for log lines that anybody can cause: each kind of line once a period, with a count."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

__all__ = ["LineLimit", "and_more"]

_MAX_KINDS: Final = 1000
"""Kinds of lines that are counted; the kind that was logged least recently goes first.

One takes some 200 bytes, and callers may choose a part of a kind, such as the site in it.
"""


@dataclass(slots=True)
class _Kind:
    """One kind of line: when it was last logged, and how many lines were left out since."""

    logged_at: float
    left_out: int = 0


class LineLimit:
    """Lets one line of each kind through in `seconds`; safe to share among threads."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no line logged; `clock` gives monotonic seconds."""
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()

    def admit(self, kind: Hashable) -> int | None:
        """Return how many lines of `kind` were left out since its last one; None for "leave out".

        A caller that gets a number logs its line, and tells the number in it.
        """
        now = self._clock()
        with self._lock:
            known = self._kinds.get(kind)
            if known is not None and now - known.logged_at < self._seconds:
                known.left_out += 1
                return None
            self._kinds[kind] = _Kind(now)
            self._kinds.move_to_end(kind)
            if len(self._kinds) > _MAX_KINDS:
                self._kinds.popitem(last=False)
            return known.left_out if known else 0


def and_more(left_out: int) -> str:
    """Return the end of a line before which `left_out` lines of its kind were left out."""
    return f" (and {left_out} more before it)" if left_out else ""
