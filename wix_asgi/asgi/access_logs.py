"""Keeping the short-lived secrets of URLs out of the access logs of servers."""

from __future__ import annotations

import copy
import logging
import re
from typing import Any, Final

__all__ = ["redact_access_logs"]

# At the start of the text, too: some servers log the query by itself.
_SECRET: Final = re.compile(r"(^|[?&])(code|state|token|access_token|instance)=[^&\s\"]*")
_ACCESS_LOGS: Final = (
    "uvicorn.access",
    "gunicorn.access",
    "hypercorn.access",
    "granian.access",
    "uvicorn.error",  # which logs the URLs of accepted websockets
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
    return _SECRET.sub(r"\1\2=***", value) if isinstance(value, str) else value
