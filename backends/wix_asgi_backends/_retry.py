"""How long a statement is repeated, and what the errors of a driver are."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

__all__ = ["Retry", "causes", "forget_locals", "origin", "sqlstate"]


@dataclass(frozen=True, slots=True)
class Retry:
    """Pauses that double, each of a random length up to its bound, while the time lasts.

    Attributes:
        total: Seconds for all attempts and pauses together.
        first: Seconds that the first pause takes at most.
        longest: Seconds that any pause takes at most.
        sleep: Waits for so many seconds.
    """

    total: float = 10.0
    first: float = 0.05
    longest: float = 1.0
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep

    async def pause(self, attempt: int) -> None:
        """Wait after `attempt`, the first of which is 0."""
        bound = min(self.longest, self.first * 2 ** min(attempt, 16))
        await self.sleep(random.uniform(0, bound))  # noqa: S311 # spreads load, hides nothing


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it was made from, the driver's own error last."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = getattr(following, "orig", None) or following.__cause__


def origin(error: Exception) -> Exception:
    """Return the driver's own error, from which `error` was made."""
    # Where a time ran out, the last of the causes is a cancellation.
    *_, found = (cause for cause in causes(error) if isinstance(cause, Exception))
    return found


def sqlstate(error: BaseException) -> str | None:
    """Return the five characters by which a Postgres says what went wrong, or None."""
    codes = (getattr(cause, "sqlstate", None) for cause in causes(error))
    return next((code for code in codes if isinstance(code, str)), None)


def forget_locals(error: BaseException) -> None:
    """Clear the variables of the drivers' frames, which hold the password and the parameters."""
    following: BaseException | None = error
    while following is not None:
        traceback.clear_frames(following.__traceback__)
        following = following.__cause__ or following.__context__
