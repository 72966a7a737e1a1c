"""The app's own functions, called during an install: sync or async, with one argument or two."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from wix_asgi.asgi.scopes import without_secrets
from wix_asgi.errors import HandshakeRefused
from wix_asgi.models import Installation

__all__ = ["Hook", "Hooks"]

Hook = Callable[..., Any]


class Hooks:
    """The functions of one app, in the order they were registered.

    Each may be sync or async. It gets the first arguments, up to its number of parameters. Its
    request has neither code, state and token nor our cookies: an error tracker shows the request
    of a hook that raises.
    """

    def __init__(self, *, on_install: Hook | None = None, on_error: Hook | None = None) -> None:
        """Begin with the functions that were given as settings; decorators add more."""
        self.on_install = [] if on_install is None else [on_install]
        self.on_error = [] if on_error is None else [on_error]

    async def installed(self, installation: Installation, request: Request) -> Response | None:
        """Call each `on_install(installation, request)`; return the first Response of them.

        Raises:
            Exception: The error of a hook; the hooks after it are not called.
        """
        return await _call_all(self.on_install, installation, request)

    async def refused(self, refusal: HandshakeRefused, request: Request) -> Response | None:
        """Call each `on_error(refusal, request)`; return the first Response of them.

        Raises:
            Exception: The error of a hook; the hooks after it are not called.
        """
        return await _call_all(self.on_error, refusal, request)


async def _call_all(hooks: list[Hook], event: object, request: Request) -> Response | None:
    if not hooks:
        # Anybody can cause refusals, and most apps have no hook for them.
        return None
    response, args = None, (event, without_secrets(request))
    for hook in hooks:
        result = hook(*args[: _arity(hook)])
        if inspect.isawaitable(result):
            result = await result
        if response is None and isinstance(result, Response):
            response = result
    return response


def _arity(hook: Hook) -> int | None:
    """Return how many positional arguments `hook` takes; None for any number."""
    kinds = [parameter.kind for parameter in inspect.signature(hook).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return sum(kind in positional for kind in kinds)
