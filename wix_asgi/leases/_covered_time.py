"""The time that work has under its lease, as the renewals go on, and the cause of its end."""

from __future__ import annotations

from collections.abc import Callable

from wix_asgi.concurrency.deadline import Deadline
from wix_asgi.errors import StorageUnavailable
from wix_asgi.leases.lease import Lease
from wix_asgi.reporting.one_line import one_line

__all__ = ["CoveredTime"]


class CoveredTime:
    """Moves the deadline of work with the renewals of its lease.

    The margin is the time before the end of the lease in which the work has to end. Each renewal
    has as long for its answer as one at its usual moment, at the cost of half the margin at most: a
    renewal comes late where the process was held up, and nobody else can have the lease yet.

    Attributes:
        deadline: The scope of the work.
    """

    def __init__(
        self, lease: Lease, *, margin: float, usual: float, clock: Callable[[], float]
    ) -> None:
        """Begin with a lease that was just taken.

        `margin` and `usual`, the time for an answer, are seconds; `clock` gives monotonic seconds.
        """
        self._lease = lease
        self._margin = margin
        self._usual = usual
        self._clock = clock
        self._asked_at: float | None = None
        self._error: Exception | None = None
        self._cause: str | None = None
        seconds = self._longest
        self._ends_at = clock() + seconds
        self.deadline = Deadline(seconds)

    @property
    def cause(self) -> str:
        """The cause of the loss, for a message that ends with it."""
        if self._cause is not None:
            return self._cause
        if self._asked_at is not None:
            waited = self._ends_at - self._asked_at
            return f"the storage did not answer its renewal for {waited:.1f} s"
        if self._error is not None:
            known = isinstance(self._error, StorageUnavailable)
            text = one_line(str(self._error)) if known else type(self._error).__name__
            return f"it could not be renewed: {text}"
        late = self._usual + self._margin / 2
        return (
            f"its renewal came over {late:.1f} s late, as the process or its event loop was held up"
        )

    def note_asking(self) -> None:
        """Note that a renewal begins."""
        if not self._is_over:
            self._asked_at = self._clock()
            self._move(max(self._shortest, min(self._usual, self._longest)))

    def note_failed(self, error: Exception) -> None:
        """Note that the storage has failed a renewal."""
        if not self._is_over:
            self._asked_at, self._error = None, error
            self._move(self._shortest)

    def note_renewed(self) -> None:
        """Note that the storage has answered a renewal, with a yes or a no."""
        if self._is_over:
            return
        self._asked_at = self._error = None
        if not self._lease.is_held:
            self._cause = "another worker has it"
        self._move(self._longest)

    @property
    def _is_over(self) -> bool:
        return self._clock() >= self._ends_at

    @property
    def _shortest(self) -> float:
        return max(0.0, self._lease.seconds_left - self._margin)

    @property
    def _longest(self) -> float:
        return max(0.0, self._lease.seconds_left - self._margin / 2)

    def _move(self, seconds: float) -> None:
        self._ends_at = self._clock() + seconds
        self.deadline.move(seconds)
