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
    if kept.isprintable():
        return kept
    return "".join(char if char.isprintable() else " " for char in kept)


def describe_failure(error: BaseException) -> str:
    """Return the class of a connection's error, and the operating system's text where it has one.

    httpx says "All connection attempts failed", and nothing at all for a certificate on trio; the
    error of the operating system, of the resolver or of TLS beneath it says why. There is no URL,
    no header and no byte of a body in these texts.
    """
    system = (str(cause) for cause in _causes(error) if isinstance(cause, OSError) and cause.errno)
    text = one_line(_QUOTED_BYTES.sub("", next(system, str(error))))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, BaseExceptionGroup):
            # All addresses of a host failed, mostly for one reason.
            link = link.exceptions[0]
        yield link
        link = link.__cause__ or link.__context__
