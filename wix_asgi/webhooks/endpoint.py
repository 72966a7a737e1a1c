"""The webhook path: each event is verified, kept, answered, and only then run.

Wix wants 200 within 1250 ms, or sends the event again, twelve times in 47 hours ("Webhook Resend
Policy"). So 200 means that the event survives a crash. Strangers cause no write.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final

import anyio
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from wix_asgi._frames import without_locals
from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks, Interrupted
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.concurrency.slots import Slots
from wix_asgi.errors import StorageUnavailable
from wix_asgi.pages.headers import PRIVATE
from wix_asgi.protocol.sample_event import is_sample
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.protocol.webhook_token import WebhookTokens
from wix_asgi.webhooks._arrival_log import ArrivalLog
from wix_asgi.webhooks._bodies import Bodies, Body
from wix_asgi.webhooks._capacity import Capacity
from wix_asgi.webhooks._refusal import WebhookRefused
from wix_asgi.webhooks._verification import Verification
from wix_asgi.webhooks.inbox import Inbox, event_keys
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["WebhookEndpoint"]

_HEADERS: Final = {
    **PRIVATE,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

_OK: Final = Response(status_code=200, headers=_HEADERS)


class _Outcome(Enum):
    """The outcome of an attempt to keep an event."""

    ADDED = auto()
    KNOWN = auto()
    NO_ROOM = auto()


class _BugError(Exception):
    """An unforeseen error, which the log has under its incident."""

    def __init__(self, incident: str) -> None:
        super().__init__(incident)
        self.incident = incident


class WebhookEndpoint:
    """Answers the requests of the webhook path, as an ASGI app; shared by all event loops."""

    def __init__(
        self,
        *,
        app_id: str,
        tokens: WebhookTokens,
        inbox: Inbox,
        is_wanted: Callable[[str], bool],
        wake: Callable[[], None],
        ready: Callable[[], Awaitable[None]],
        detached: DetachedTasks,
        is_ready: Callable[[], bool] = lambda: False,
        policy: WebhookPolicy | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep in `inbox` the events whose type `is_wanted`, and `wake` the worker for each.

        `ready` is awaited before the inbox is used, unless it `is_ready`; `clock` gives the seconds
        since the epoch.
        """
        self._app_id = app_id
        self._inbox = inbox
        self._is_wanted = is_wanted
        self._wake = wake
        self._ready = ready
        self._is_ready = is_ready
        self._detached = detached
        self._policy = policy or WebhookPolicy()
        self._clock = clock
        self._bodies = Bodies(self._policy)
        self._verification = Verification(tokens, self._policy)
        self._capacity = Capacity(inbox, self._policy)
        self._slots = Slots(self._policy.max_keeping)
        self._writes: PerLoop[dict[str, DetachedTask[_Outcome]]] = PerLoop(dict)
        self._log = ArrivalLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI app; there is no answer to a client that has hung up."""
        try:
            response = await self._answer(scope, receive)
        except ClientDisconnect:
            return
        except WebhookRefused as refusal:
            self._log.note_refusal(refusal)
            response = _refused(refusal)
        except Exception as exc:
            incident = exc.incident if isinstance(exc, _BugError) else self._log_bug(exc)
            response = PlainTextResponse(f"incident {incident}", 500, _HEADERS)
        await response(scope, receive, send)

    def _log_bug(self, exc: Exception) -> str:
        incident = secrets.token_hex(6)
        self._log.note_bug(without_locals(exc), incident)
        return incident

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return Response(status_code=405, headers={**_HEADERS, "Allow": "POST"})
        body = await self._bodies.read(scope, receive)
        event = await self._verification.verified(body, scope)
        if self._is_to_be_kept(event):
            await self._keep(event, body)
        return _OK

    def _is_to_be_kept(self, event: SignedEvent) -> bool:
        """Return whether a verified event is kept, and log why not."""
        if is_sample(event, self._app_id):
            self._log.note_sample(event)
            return False
        age = self._clock() - event.issued_at.timestamp()
        if age > self._policy.keep_keys - self._policy.clock_leeway:
            # Its keys may be forgotten, and its token is good for 41 days.
            self._log.note_old(event, age)
            return False
        if not self._is_wanted(event.event_type):
            self._log.note_unwanted(event)
            return False
        return True

    async def _keep(self, event: SignedEvent, body: Body) -> None:
        """Keep an event.

        Raises:
            WebhookRefused: It is not known to be kept.
        """
        refusal = self._unavailable(f"the storage took over {self._policy.keep_wait:g} s")
        try:
            outcome = await self._outcome(event, body)
        except StorageUnavailable as exc:
            refusal = self._unavailable(f"the storage failed: {exc}")
        except Interrupted:
            refusal = self._unavailable("the process is shutting down", needs_operator=False)
        else:
            if outcome is _Outcome.NO_ROOM:
                refusal = self._unavailable(
                    f"the inbox is full, with {self._policy.max_waiting} waiting events",
                    needs_operator=False,
                )
            elif outcome is not None:
                return
        raise refusal

    async def _outcome(self, event: SignedEvent, body: Body) -> _Outcome | None:
        """Write an event, in a task that ends it where the client hangs up; None for no answer yet.

        A storage that never waits is done before a client can hang up, and needs no task.
        """
        if self._inbox.never_waits and self._is_ready():
            return await self._write_guarded(self._add(event, body))
        with anyio.move_on_after(self._policy.keep_wait):
            return await self._writing(event, body).result()
        return None

    def _writing(self, event: SignedEvent, body: Body) -> DetachedTask[_Outcome]:
        """Return the task that writes an event, which copies of the same moment share.

        In a database copies wait for each other, and would keep all turns from other events.
        """
        writes = self._writes.here()
        key, _ = event_keys(event, bytes(body))
        task = writes.get(key)
        if task is None:

            async def write() -> _Outcome:
                try:
                    return await self._write_guarded(self._write(event, body, writes[key]))
                finally:
                    del writes[key]

            task = writes[key] = self._detached.start(write, is_waited_for=False)
        return task

    async def _write_guarded(self, write: Awaitable[_Outcome]) -> _Outcome:
        try:
            return await write
        except StorageUnavailable:
            raise
        except Exception as exc:
            # Here, since the request may have been answered 503, or be gone.
            raise _BugError(self._log_bug(exc)) from None

    def _unavailable(self, reason: str, *, needs_operator: bool = True) -> WebhookRefused:
        return WebhookRefused(
            503, reason, retry_after=self._policy.retry_after, needs_operator=needs_operator
        )

    async def _write(
        self, event: SignedEvent, body: Body, task: DetachedTask[_Outcome]
    ) -> _Outcome:
        await self._ready()
        with self._slots.slot() as slot:
            if not slot.take() and not await slot.wait(self._policy.keep_wait):
                raise StorageUnavailable("too many events wait for the storage")
            # From here on a shutdown waits for it; before it, a Wix that is closing would wait for
            # a task that waits for the Wix to open.
            task.is_waited_for = True
            return await self._add(event, body)

    async def _add(self, event: SignedEvent, body: Body) -> _Outcome:
        if not await self._capacity.has_room():
            return _Outcome.NO_ROOM
        is_new = await self._inbox.add(event, body=bytes(body))
        self._log.note_kept(event, is_new=is_new)
        if not is_new:
            return _Outcome.KNOWN
        self._capacity.note_added()
        self._wake()
        return _Outcome.ADDED


def _refused(refusal: WebhookRefused) -> Response:
    headers = dict(_HEADERS)
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return Response(status_code=refusal.status, headers=headers)
