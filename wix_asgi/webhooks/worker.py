"""The worker of events: one in each process, which calls the app's handlers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Awaitable, Callable, Container

import anyio
from anyio.lowlevel import current_token

from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.events import WebhookEvent
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.reporting.line_limit import LineLimit
from wix_asgi.storage import Storage
from wix_asgi.webhooks._attempt import WorkerParts
from wix_asgi.webhooks._event_log import EventLog
from wix_asgi.webhooks._observing import Observing
from wix_asgi.webhooks._passing_on import PassingOn
from wix_asgi.webhooks._taking import Taking
from wix_asgi.webhooks.handlers import Handlers
from wix_asgi.webhooks.inbox import Inbox
from wix_asgi.webhooks.observer import Observer, observe_nothing
from wix_asgi.webhooks.policy import WebhookPolicy
from wix_asgi.webhooks.watch import InboxWatch

__all__ = ["EventWorker"]


class EventWorker:
    """Takes due events under leases, and calls their handlers: `concurrency` at once in a process.

    It works on one event loop of the process, that of the first `start`, `wake` or `run`; once that
    event loop is over, on that of the next one. A forked process begins anew.
    """

    def __init__(
        self,
        inbox: Inbox,
        handlers: Handlers,
        *,
        app_id: str,
        storage: Storage,
        prepare: Callable[[SignedEvent], Awaitable[None]],
        make_event: Callable[[SignedEvent, str, int], WebhookEvent],
        detached: DetachedTasks,
        concurrency: int,
        ready: Callable[[], Awaitable[None]],
        prepared_types: Container[str] = frozenset(),
        policy: WebhookPolicy | None = None,
        observer: Observer = observe_nothing,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take events from `inbox`, whose `storage` is open once `ready` was awaited.

        `prepare` is called for an event of `prepared_types` before its handlers, and may raise to
        have it tried again; such an event needs no handler beside it. `make_event` gets the event,
        its id, and the number of the attempt. `observer` gets counts and durations. `clock` gives
        monotonic seconds, `jitter` 0 to 1.
        """
        policy = policy or WebhookPolicy()
        lines = LineLimit(policy.log_pause, clock=clock)
        observing, log = Observing(observer, lines), EventLog()
        self._parts = WorkerParts(
            inbox=inbox,
            handlers=handlers,
            prepare=prepare,
            prepared_types=prepared_types,
            make_event=make_event,
            passing_on=PassingOn(
                inbox,
                handlers,
                prepared_types=prepared_types,
                policy=policy,
                log=log,
                clock=clock,
                jitter=jitter,
            ),
            detached=detached,
            policy=policy,
            observing=observing,
            clock=clock,
            jitter=jitter,
            log=log,
            lines=lines,
        )
        self._concurrency = concurrency
        self._ready = ready
        self._watch = InboxWatch(
            inbox,
            storage,
            app_id,
            detached=detached,
            policy=policy,
            observe=observing.counts,
            clock=clock,
        )
        self._lock = threading.Lock()
        self._taking: Taking | None = None
        self._is_stopped = False
        self._is_run = False

    def start(self) -> None:
        """Begin to take events on the running event loop, unless this process does so already."""
        with self._lock:
            self._is_stopped = False
            if self._taking is None or not self._taking.wake():
                self._begin()

    def wake(self) -> None:
        """Look for events at once, from any thread: one was kept, or a handler was registered.

        Where no event loop takes events, the running one begins, unless the worker was stopped.
        """
        with self._lock:
            is_over = self._taking is None or not self._taking.wake()
            if is_over and not self._is_stopped and _has_loop():
                self._begin()

    async def run(self) -> None:
        """Take events until cancelled, which waits for running handlers as `stop` does.

        Raises:
            RuntimeError: It runs in this process already.
        """
        with self._lock:
            if self._is_run:
                raise RuntimeError(
                    "work_events() runs in this process already: set webhook_concurrency for more "
                    "handlers at once, or start another process."
                )
            self._is_run = True
        try:
            self.start()
            await anyio.sleep_forever()
        finally:
            self._is_run = False
            with anyio.CancelScope(shield=True):
                await self.stop()

    async def stop(self) -> None:
        """Take no more events: wait eight seconds for running handlers, and cancel the rest.

        Events that are not finished are given back, due at once, and the attempt is not counted;
        those of plain handlers that go on in their threads are due when their lease would end.
        """
        with self._lock:
            self._is_stopped = True
            taking, self._taking = self._taking, None
        if taking is None:
            return
        if taking.is_here:
            await taking.stop()
        else:
            taking.ask_to_stop()

    def _begin(self) -> None:
        self._taking = Taking(
            self._parts, concurrency=self._concurrency, ready=self._ready, watch=self._watch
        )
        self._taking.start()


def _has_loop() -> bool:
    try:
        current_token()
    except RuntimeError:
        return False
    return True
