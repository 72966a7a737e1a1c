"""The app's handlers of events, in the order of their registration (`wix.on`)."""

from __future__ import annotations

import functools
import itertools
import math
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final, TypeVar

from wix_asgi.concurrency.app_calls import check_arguments
from wix_asgi.events import WebhookEvent

__all__ = ["ALL_EVENTS", "Handler", "Handlers"]

H = TypeVar("H", bound=Callable[..., Any])

ALL_EVENTS: Final = "*"
"""Stands for every type of event."""

_MAIN: Final = frozenset({"__main__", "__mp_main__"})
"""Names of the module that Python was started with, in its process and in a spawned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One registration of a function for a type of event.

    Attributes:
        name: Module and qualified name of the function, such as `shop.events.greet`, with a number
            from `#2` on where one event would call two handlers of the same name. It is the same in
            every process and after a deploy: an event knows by it which of its handlers returned.
        event_type: Wix's word for the kind of event, or `*` for all.
        call: The function.
        max_attempts: How often it is called for one event at most, unless a process is killed.
        timeout: Seconds after which a call is cancelled.
    """

    name: str
    event_type: str
    call: Callable[..., Any] = field(repr=False)
    max_attempts: int
    timeout: float

    def takes(self, event_type: str) -> bool:
        """Whether it is called for events of this type."""
        return self.event_type in {event_type, ALL_EVENTS}


class Handlers:
    """The handlers of one app; safe to share among threads, and added to at any time."""

    def __init__(self) -> None:
        """Begin without a handler."""
        self._lock = threading.Lock()
        # Never changed in place, so that it is read without the lock.
        self._handlers: tuple[Handler, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is registered."""
        return not self._handlers

    def of(self, event_type: str) -> Sequence[Handler]:
        """Return the handlers of events of this type, in the order of their registration."""
        return [handler for handler in self._handlers if handler.takes(event_type)]

    def on(
        self,
        event_type: str | type[WebhookEvent],
        *,
        max_attempts: int = 8,
        handler_timeout: float = 300.0,
    ) -> Callable[[H], H]:
        """Return a decorator, which registers a function for a type of event and returns it.

        Raises:
            TypeError: `event_type` is neither a text nor a class of `wix_asgi.events`, or another
                argument is no number; or, by the decorator, the function cannot be called with
                an event.
            ValueError: `event_type` is empty or has white space around it, or a number is too low.
        """
        name = _type_name(event_type)
        if not _is_number(max_attempts, int) or not _is_number(handler_timeout, (int, float)):
            raise TypeError("max_attempts is a whole number, and handler_timeout one of seconds.")
        if max_attempts < 1 or not 0 < handler_timeout < math.inf:
            raise ValueError("max_attempts is 1 or more, and handler_timeout above 0 and finite.")

        def register(function: H) -> H:
            if not callable(function):
                raise TypeError("A handler is a function, or another object that can be called.")
            # Here, since a mistake would be found only when an event comes.
            check_arguments(function, 1)
            self._add(function, name, max_attempts, float(handler_timeout))
            return function

        return register

    def _add(
        self, function: Callable[..., object], event_type: str, max_attempts: int, timeout: float
    ) -> None:
        with self._lock:
            # Only handlers that one event may call need different names: a registration for
            # another type changes no name, and so no event is handled twice after a deploy.
            taken = {
                handler.name
                for handler in self._handlers
                if handler.takes(event_type) or event_type == ALL_EVENTS
            }
            base = _function_name(function)
            numbered = (f"{base}#{number}" for number in itertools.count(2))
            name = next(name for name in itertools.chain([base], numbered) if name not in taken)
            handler = Handler(
                name=name,
                event_type=event_type,
                call=function,
                max_attempts=max_attempts,
                timeout=timeout,
            )
            self._handlers = (*self._handlers, handler)


def _type_name(event_type: str | type[WebhookEvent]) -> str:
    if isinstance(event_type, type) and issubclass(event_type, WebhookEvent):
        if event_type is WebhookEvent:
            return ALL_EVENTS
        if event_type.__module__ == WebhookEvent.__module__:
            # Each is named after Wix's word for its kind.
            return event_type.__name__
    if not isinstance(event_type, str):
        raise TypeError(
            'wix.on is called with the type of an event, as in @wix.on("AppRemoved"), or with a '
            "class of wix_asgi.events."
        )
    if not event_type or event_type != event_type.strip():
        raise ValueError('The type of an event is Wix\'s word for it, or "*" for all.')
    return event_type


def _is_number(value: object, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _function_name(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{_module_name(named.__module__)}.{named.__qualname__}"


def _module_name(name: str) -> str:
    """Return the name by which other processes import the module, also where it is the program."""
    if name not in _MAIN:
        return name
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    return PurePath(getattr(main, "__file__", None) or name).stem
