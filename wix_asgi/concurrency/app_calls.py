"""Calls of the app's own functions: async ones on the event loop, plain ones in a thread.

All of them go through this module, by which `_frames` tells the frames of the app.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from types import FunctionType
from typing import Any, TypeAlias

__all__ = [
    "Call",
    "Outcome",
    "call_function",
    "check_arguments",
    "is_async",
    "outcome_of",
    "result_of",
]

Call: TypeAlias = Callable[[], Any]


async def call_function(
    function: Callable[..., Any],
    args: tuple[object, ...],
    in_thread: Callable[[Call], Awaitable[Any]],
    *,
    bound: AbstractAsyncContextManager[object] | None = None,
) -> Any:
    """Call `function` with the first of `args`, up to its number of parameters.

    A plain function is called by `in_thread`; its result is awaited on the event loop where it can
    be. `bound` is around all that is awaited on the event loop.

    Raises:
        BaseException: The error of the function.
    """
    call = functools.partial(function, *args[: _arity(function)])
    result = call() if is_async(function) else await in_thread(call)
    if inspect.isawaitable(result):
        async with bound or nullcontext():
            result = await result
    return result


def is_async(function: Callable[..., Any]) -> bool:
    """Whether `function` is an async function or object, or a partial or decorator of either.

    Such a decorator may need the event loop before it returns its coroutine.
    """
    call = getattr(function, "__call__", None)  # noqa: B004 - of an object, not whether there is one
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call):
        return True
    if isinstance(function, functools.partial):
        return is_async(function.func)
    inner = getattr(function, "__wrapped__", None)
    return inner is not None and is_async(inner)


def check_arguments(function: Callable[..., Any], count: int) -> None:
    """Check that `call_function` can call `function` with `count` arguments.

    Raises:
        TypeError: It needs more of them, or has no signature.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        raise TypeError("It cannot be told which arguments the function takes.") from None
    arity = _arity(function)
    signature.bind(*[None] * (count if arity is None else min(arity, count)))


class Outcome:
    """The result or the error of a call in a thread.

    The error is no exception of the thread's: the frames of anyio would show trackers their
    locals, among which are all context variables.
    """

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: BaseException | None) -> None:
        """Hold a result, or an error."""
        self.value = value
        self.error = error


def outcome_of(call: Call) -> Outcome:
    """Return the outcome of `call`, which may raise anything."""
    try:
        return Outcome(call(), None)
    except BaseException as exc:
        return Outcome(None, exc)


def result_of(outcome: Outcome) -> Any:
    """Return the value of a call.

    Raises:
        BaseException: The error of the call.
    """
    if outcome.error is None:
        return outcome.value
    try:
        raise outcome.error
    finally:
        # The error holds this frame, and must not be held by it.
        del outcome


def _arity(function: Callable[..., Any]) -> int | None:
    """Return how many positional arguments `function` takes; None for any number."""
    if isinstance(function, FunctionType) and not function.__dict__:
        # Undecorated, as most are: `inspect` takes 20 us, more than the rest of a call.
        code = function.__code__
        return None if code.co_flags & inspect.CO_VARARGS else code.co_argcount
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return sum(kind in positional for kind in kinds)
