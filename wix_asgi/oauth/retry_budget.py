"""A budget for retries: a share of the calls, so that a failing endpoint gets little more load."""

from __future__ import annotations

from typing import Final

__all__ = ["RetryBudget"]

_CALLS_PER_RETRY: Final = 5
"""Calls that earn one retry: a failing Wix gets at most a fifth more calls than a working one."""

_MAX_RETRIES_SAVED: Final = 10
"""Retries that can be saved up, which a process has from its start.

Enough for a short failure after a quiet time; a process whose calls all fail soon makes each once.
"""


class RetryBudget:
    """Lets one call in five be repeated, and ten in advance (as botocore's `RetryQuota` does)."""

    def __init__(self) -> None:
        """Begin with all the retries that can be saved up."""
        self._earned = _MAX_RETRIES_SAVED * _CALLS_PER_RETRY

    def note_call(self) -> None:
        """Earn a fifth of a retry."""
        self._earned = min(self._earned + 1, _MAX_RETRIES_SAVED * _CALLS_PER_RETRY)

    def spend(self) -> bool:
        """Spend one retry; False where there is none left."""
        if self._earned < _CALLS_PER_RETRY:
            return False
        self._earned -= _CALLS_PER_RETRY
        return True
