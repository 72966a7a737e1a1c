"""The decorators of `Wix`, by which an app registers its functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar, overload

from wix_asgi.events import WebhookEvent
from wix_asgi.hooks import Hook, Hooks
from wix_asgi.webhooks.handlers import Handlers

__all__ = ["Registration"]

H = TypeVar("H", bound=Hook)
E = TypeVar("E", bound=WebhookEvent)
R = TypeVar("R")


class Registration(ABC):
    """The part of a `Wix` that takes the app's functions."""

    def __init__(self, hooks: Hooks, handlers: Handlers) -> None:
        """Add functions to `hooks` and `handlers`."""
        self._hooks = hooks
        self._handlers = handlers

    @abstractmethod
    def _handler_added(self) -> None:
        """Note that there is one more handler of events."""

    def on_install(self, hook: H) -> H:
        """Register `hook(installation, request)`, called after an install is stored.

        It is called at least once for each installation, and once where no process dies in it; the
        request is None for an installation that no browser brought, such as that of a copied site.
        It may be async, else it runs in a thread; it may leave out `request`, and may return a
        Response that becomes the answer. `request.state.wix` is the client of the new
        installation. If it raises, the browser gets a 500 and the installation stays.
        """
        self._hooks.on_install.append(hook)
        return hook

    def on_uninstall(self, hook: H) -> H:
        """Register `hook(installation)`, called after an installation was removed.

        It may be async, else it runs in a thread; of two arguments the second is the request, which
        is None. It is called at least once for each installation that is removed, and once where no
        process dies in it: the debt of a killed process is paid with the next event of Wix about
        the site, which comes again, with the next `wix.remove()` of it, or before its next
        `on_install`. If it raises, that is logged, and the installation stays removed.
        """
        self._hooks.on_uninstall.append(hook)
        return hook

    def on_error(self, hook: H) -> H:
        """Register `hook(refusal, request)`, called with a `HandshakeRefused` before its answer.

        It is also called with a `NotInstalled` and None, once for an installation for which Wix
        refuses every grant. It may be async, else it runs in a thread; it may leave out `request`,
        and may return a Response to show instead. While refusals come faster than it ends, some go
        without it.
        """
        self._hooks.on_error.append(hook)
        return hook

    # The handler of a class takes its events. Of Any is what comes back, so that a function of
    # several classes may be registered for one after another.
    @overload
    def on(  # type: ignore[overload-overlap] # a class goes to the first
        self, event_type: type[E], *, max_attempts: int = 8, handler_timeout: float = 300.0
    ) -> Callable[[Callable[[E], R]], Callable[[Any], R]]: ...

    @overload
    def on(
        self,
        event_type: str | type[WebhookEvent],
        *,
        max_attempts: int = 8,
        handler_timeout: float = 300.0,
    ) -> Callable[[H], H]: ...

    def on(
        self,
        event_type: str | type[WebhookEvent],
        *,
        max_attempts: int = 8,
        handler_timeout: float = 300.0,
    ) -> Callable[[Any], Any]:
        """Return a decorator that registers `handler(event)` for a type of event, `"*"` for all.

        It is called at least once for each event, in this or another process, and in no order; an
        async handler on the event loop, and a plain one in a thread. A handler that raises, or
        takes more than `handler_timeout` seconds, is called again after 10 s, then 52 s, and so on,
        up to `max_attempts` times in about a day; no other handler of the event is.

        Raises:
            TypeError: An argument is of another type.
            ValueError: An argument is empty or too low.
        """
        register = self._handlers.on(
            event_type, max_attempts=max_attempts, handler_timeout=handler_timeout
        )

        def decorate(handler: H) -> H:
            register(handler)
            self._handler_added()
            return handler

        return decorate
