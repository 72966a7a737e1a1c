"""The app's own functions, called as installations begin and end: sync or async."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from wix_asgi._frames import without_locals
from wix_asgi.asgi.client_network import client_network
from wix_asgi.asgi.scopes import without_secrets
from wix_asgi.concurrency.app_calls import Call, Outcome, call_function, outcome_of, result_of
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.concurrency.fair_slots import FairSlots
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.errors import HandshakeRefused, NotInstalled
from wix_asgi.models import Installation
from wix_asgi.reporting.line_limit import LineLimit, and_more

__all__ = ["Hook", "HookPolicy", "Hooks"]

Hook = Callable[..., Any]

logger = logging.getLogger("wix_asgi")


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPolicy:
    """The bounds of plain hooks, each of which runs in a thread; the defaults hold for every app.

    The threads are none of the forty that an app's plain routes share (anyio,
    `current_default_thread_limiter`): hooks that hang, or strangers that cause refusals, would
    take these away from the app. All durations are seconds.
    """

    install_threads: int = 10
    """Plain `on_install` and `on_uninstall` hooks that run at one time on an event loop.

    The rest queue in order.

    The number is a choice: with hooks of 0.2 s it is fifty installs a second, as many as ask Wix
    (`MAX_EXCHANGES`). Whoever comes this far has installed the app, so none is left out.
    """

    error_threads: int = 4
    """Plain `on_error` hooks that run at one time in a process.

    Anybody can cause refusals, and a thread that computes keeps the interpreter for 5 ms before
    the event loop has its turn (`sys.getswitchinterval`): four cost each turn up to 20 ms.
    """

    error_queue: int = 40
    """Refusals of a process that wait for such a thread, each with its request in memory.

    Four threads serve as many in a second where a hook takes 0.1 s; the rest would wait in vain.
    """

    error_wait: float = 1.0
    """How long a refusal waits for such a thread, until it is answered without the hook.

    A person is told within about a second, and the queue is a strangers' at longer waits.
    """

    line_interval: float = 60.0
    """Seconds between two log lines about refusals without their hook."""


class Hooks:
    """The functions of one app, in the order they were registered.

    Each may be sync or async. Async functions are called on the event loop, and plain ones in a
    thread, with the context variables of their caller; what these return is awaited on the event
    loop where it can be. A hook gets the first arguments, up to its number of parameters. Its
    request has neither code, state and token nor our cookies: an error tracker shows the request
    of a hook that raises.
    """

    def __init__(
        self,
        *,
        on_install: Hook | None = None,
        on_uninstall: Hook | None = None,
        on_error: Hook | None = None,
        detached: DetachedTasks,
        policy: HookPolicy | None = None,
    ) -> None:
        """Begin with the functions that were given as settings; decorators add more."""
        self.on_install = [] if on_install is None else [on_install]
        self.on_uninstall = [] if on_uninstall is None else [on_uninstall]
        self.on_error = [] if on_error is None else [on_error]
        policy = policy or HookPolicy()
        self._detached = detached
        self._install_threads = PerLoop(lambda: CapacityLimiter(policy.install_threads))
        # Never waited for: the slots of the process are as many.
        self._error_threads = PerLoop(lambda: CapacityLimiter(policy.error_threads))
        self._error_slots = FairSlots(
            policy.error_threads, max_queue=policy.error_queue, max_wait=policy.error_wait
        )
        self._lines = LineLimit(policy.line_interval)

    async def installed(
        self, installation: Installation, request: Request | None
    ) -> Response | None:
        """Call each `on_install(installation, request)`; return the first Response of them.

        The request is None for an installation that no browser brought.

        Raises:
            Exception: The error of a hook; the hooks after it are not called.
        """
        return await _call_all(self.on_install, installation, request, self._in_thread)

    async def uninstalled(self, installation: Installation) -> None:
        """Call each `on_uninstall(installation, None)`; an error is logged, and stops no other."""
        for hook in self.on_uninstall:
            try:
                await _call_all([hook], installation, None, self._in_thread)
            except (Exception, SystemExit) as exc:
                # An app's sys.exit(), in a task of ours, would end the whole server.
                logger.exception(
                    "an on_uninstall hook raised; the installation on site %s stays removed",
                    installation.instance_id,
                    exc_info=without_locals(exc),
                    extra={"instance_id": installation.instance_id},
                )

    def tell(self, refusal: NotInstalled) -> None:
        """Call each `on_error(refusal, None)` in the background: no request has caused it."""
        if self.on_error:
            self._detached.start(functools.partial(self._tell, refusal))

    async def _tell(self, refusal: NotInstalled) -> None:
        try:
            # Not the threads of refusals, which strangers can fill: this is told only once.
            await _call_all(self.on_error, refusal, None, self._in_thread)
        except (Exception, SystemExit) as exc:
            # Its frames were chosen above, which `exception` would not know.
            logger.log(
                logging.ERROR,
                "an on_error hook raised (site %s)",
                refusal.instance_id,
                exc_info=without_locals(exc),
                extra={"instance_id": refusal.instance_id},
            )

    async def refused(
        self, refusal: HandshakeRefused | NotInstalled, request: Request | None
    ) -> Response | None:
        """Call each `on_error(refusal, request)`; return the first Response of them.

        A plain hook is left out, with a line in the log, while its threads are taken.

        Raises:
            Exception: The error of a hook; the hooks after it are not called.
        """

        async def in_thread(call: Call) -> Any:
            network = "" if request is None else client_network(request.scope)
            if not await self._error_slots.acquire(network):
                self._note_left_out()
                return None
            # Detached, since a server may cancel the request whose client hung up: the slot is
            # taken for as long as the thread runs, or strangers could begin any number of them.
            task = self._detached.start(functools.partial(self._run_in_slot, call))
            return result_of(await task.result())

        return await _call_all(self.on_error, refusal, request, in_thread)

    async def _in_thread(self, call: Call) -> Any:
        limiter = self._install_threads.here()
        return result_of(await to_thread.run_sync(outcome_of, call, limiter=limiter))

    async def _run_in_slot(self, call: Call) -> Outcome:
        try:
            return await to_thread.run_sync(outcome_of, call, limiter=self._error_threads.here())
        finally:
            self._error_slots.release()

    def _note_left_out(self) -> None:
        left_out = self._lines.admit("on_error")
        if left_out is not None:
            logger.warning(
                "a refusal was answered without on_error, whose threads are all taken%s",
                and_more(left_out),
            )


async def _call_all(
    hooks: list[Hook],
    event: object,
    request: Request | None,
    in_thread: Callable[[Call], Awaitable[Any]],
) -> Response | None:
    if not hooks:
        # Anybody can cause refusals, and most apps have no hook for them.
        return None
    response, args = None, (event, request and without_secrets(request))
    for hook in hooks:
        result = await call_function(hook, args, in_thread)
        if response is None and isinstance(result, Response):
            response = result
    return response
