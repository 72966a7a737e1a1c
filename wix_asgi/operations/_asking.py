"""Questions to Wix about many installations: some at a time, with pauses while Wix fails."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from wix_asgi.errors import WixUnavailable

__all__ = ["AskPolicy", "PatientAsker"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPolicy:
    """The numbers of the questions; durations are seconds."""

    at_once: int = 8
    """Questions under way at one time.

    At 0.2 s for an answer of Wix that is 40 a second, the rate of a worker's throttle, and a
    thousand sites take half a minute.
    """

    hopeless: int = 8
    """Questions in a row that failed with all their tries, after which no more are asked."""

    first_pause: float = 2.0
    last_pause: float = 30.0
    """The pause after a failure, from the first, doubled, up to the last; times 0.5 to 1.5.

    All questions wait for it. The call has been repeated before, within 15 s.
    """

    max_tries: int = 6
    """Tries of one question: Wix may fail for a minute, and the question of one site for good."""

    max_retry_after: float = 300.0
    """The longest Retry-After that is waited out; a person at a
    terminal takes a longer one for a hang, and can run the command again."""


class PatientAsker:
    """Asks again while Wix fails; one pause holds for all questions."""

    def __init__(
        self,
        policy: AskPolicy,
        *,
        tell_pause: Callable[[str, float], object],
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Call `tell_pause` with the failure and the seconds of each pause.

        `clock` gives monotonic seconds, and `jitter` 0 to 1.
        """
        self._policy = policy
        self._tell_pause = tell_pause
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._pause = policy.first_pause
        self._paused_until = clock()

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer of Wix.

        Raises:
            WixUnavailable: Wix fails all the time, or asks for a longer pause than is made here.
            WixError: The errors of `question`, at once.
        """
        tries = 0
        while True:
            while (rest := self._paused_until - self._clock()) > 0:
                await self._sleep(rest)
            tries += 1
            try:
                answer = await question()
            except WixUnavailable as exc:
                asked = exc.asked or 0.0
                if tries == self._policy.max_tries or asked > self._policy.max_retry_after:
                    raise
                self._begin_pause(exc)
            else:
                self._pause = self._policy.first_pause
                return answer

    def _begin_pause(self, exc: WixUnavailable) -> None:
        now = self._clock()
        if now < self._paused_until:
            return  # of a question that failed at the same moment
        pause = max(exc.asked or 0.0, self._pause * (0.5 + self._jitter()))
        self._pause = min(2 * self._pause, self._policy.last_pause)
        self._paused_until = now + pause
        self._tell_pause(exc.message, pause)
