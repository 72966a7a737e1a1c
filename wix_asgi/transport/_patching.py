"""Whether something has patched httpx or httpcore, to see or to answer the requests of a process.

Respx, pytest-httpx, VCR.py and OpenTelemetry do so, each while it is at work. Requests go by
httpcore meanwhile, so that all of them are caught.
"""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType

from wix_asgi._http import httpx

__all__ = ["is_patched"]

_CLASSES = ("AsyncConnectionPool", "AsyncHTTPConnection", "AsyncHTTP11Connection")


def is_patched() -> bool:
    """Return whether a request that goes by httpcore runs through code that is not its own."""
    if not _is_its_own(httpx, "AsyncHTTPTransport"):
        return True
    # Where nobody has imported it, nobody has patched it. Another thread may have begun to.
    httpcore = sys.modules.get("httpcore")
    return httpcore is not None and not all(
        _is_its_own(httpcore, name) for name in _CLASSES if hasattr(httpcore, name)
    )


def _is_its_own(library: ModuleType, class_name: str) -> bool:
    """Return whether the class sends requests by a function that the library has defined."""
    function = vars(getattr(library, class_name)).get("handle_async_request")
    # The globals of a function cannot be copied, as its name and module are by wrappers.
    return (
        type(function) is FunctionType
        and function.__globals__["__name__"].partition(".")[0] == library.__name__
    )
