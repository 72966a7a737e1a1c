"""Text of others in a log line: in one line, bounded, and without quoted bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["describe_failure", "one_line"]

_MAX_TEXT: Final = 500
"""Characters of a text whose length others choose; the messages of drivers are about 200."""

_QUOTED_BYTES: Final = re.compile(r"[\s:]*\b(?:bytearray\(|b['\"]).*", re.DOTALL)
"""Bytes of a request or an answer, from which h11 quotes in its errors ("Illegal header value
b'…'"): a token may be among them."""


def one_line(text: str) -> str:
    """Return at most 500 characters of `text` for the log, in which it can begin no line."""
    kept = text[:_MAX_TEXT]
    return "".join(char if char.isprintable() else " " for char in kept)


def describe_failure(error: BaseException) -> str:
    """Return the class of a connection's error, and the text of the first error beneath it.

    httpx says "All connection attempts failed"; the error of the operating system says why. No URL,
    no header and no byte of a body is in these texts.
    """
    texts = (_QUOTED_BYTES.sub("", str(cause)) for cause in reversed([*_causes(error)]))
    text = one_line(next(filter(None, texts), ""))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, BaseExceptionGroup):
            # All addresses of a host failed, mostly for one reason.
            link = link.exceptions[0]
        yield link
        link = link.__cause__
