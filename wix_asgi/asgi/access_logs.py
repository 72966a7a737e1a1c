"""Keeping the short-lived secrets of URLs out of the access logs of servers."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from wix_asgi.asgi.redaction import redact_query

__all__ = ["redact_access_logs"]

_WORD: Final = re.compile(r"[^\s\"']+")
"""An address in a line, perhaps: the mask of a value must not swallow the rest of the line."""

_ACCESS_LOGS: Final = (
    "uvicorn.access",
    "gunicorn.access",
    "hypercorn.access",
    "granian.access",
    "werkzeug",  # the access log of `flask run`, among its other lines
    "uvicorn.error",  # which logs the URLs of accepted websockets
    "uvicorn.asgi",  # which logs whole scopes, at its level TRACE
)


def redact_access_logs() -> None:
    """Replace codes, states, tokens and signed instances in the access logs of servers.

    Holds until the end of the process; calling it again changes nothing.
    """
    for name in _ACCESS_LOGS:
        logging.getLogger(name).addFilter(_redact)


def _redact(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(_clean(arg) for arg in record.args)
    elif isinstance(record.args, dict):
        # A copy of the same class: those of gunicorn and hypercorn have values for missing keys.
        cleaned = copy.copy(record.args)
        cleaned.update((name, _clean(arg)) for name, arg in record.args.items())
        record.args = cleaned
    record.msg = _clean(record.msg)
    return True


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _WORD.sub(lambda word: redact_query(word[0]), value)
    if isinstance(value, bytes):
        return redact_query(value)
    if isinstance(value, Mapping):
        return {name: _clean(each) for name, each in value.items()}
    return value
