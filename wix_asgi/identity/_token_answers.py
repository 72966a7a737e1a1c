"""Wix's answers about access tokens, as a process remembers them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from wix_asgi.protocol.token_info import TokenInfo

__all__ = ["TokenAnswers"]


class _Answer(NamedTuple):
    info: TokenInfo
    until: float


class TokenAnswers:
    """A bounded number of answers by the digests of their tokens; safe to share among threads.

    The answer used least recently goes first.
    """

    def __init__(self, max_answers: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep at most `max_answers`; `clock` gives monotonic seconds."""
        self._max_answers = max_answers
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()

    def get(self, key: bytes) -> TokenInfo | None:
        """Return the answer about a token, while it is good."""
        with self._lock:
            answer = self._answers.get(key)
            if answer is None:
                return None
            if self._clock() >= answer.until:
                del self._answers[key]
                return None
            self._answers.move_to_end(key)
            return answer.info

    def put(self, key: bytes, info: TokenInfo, seconds: float) -> None:
        """Remember an answer for this number of seconds."""
        with self._lock:
            self._answers[key] = _Answer(info, self._clock() + seconds)
            self._answers.move_to_end(key)
            if len(self._answers) > self._max_answers:
                self._answers.popitem(last=False)
