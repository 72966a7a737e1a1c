"""One attempt of one event: prepared, and then each handler called that has not returned yet."""

from __future__ import annotations

import copy
import functools
from collections.abc import Awaitable, Callable, Container
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import anyio
from anyio import CapacityLimiter

from wix_asgi.concurrency.app_calls import Call, call_function
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import StorageUnavailable, UnknownKey, UnsealError
from wix_asgi.events import WebhookEvent
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.reporting.line_limit import LineLimit
from wix_asgi.webhooks._event_lease import EventLease
from wix_asgi.webhooks._event_log import EventLog
from wix_asgi.webhooks._handler_run import Ending, HandlerRun, RunEnd, Start
from wix_asgi.webhooks._observing import Observing
from wix_asgi.webhooks._passing_on import PassingOn
from wix_asgi.webhooks._renewing import Renewing
from wix_asgi.webhooks.handlers import Handler, Handlers
from wix_asgi.webhooks.inbox import Inbox, KeptEvent
from wix_asgi.webhooks.outcomes import HandlerOutcome
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["EventAttempt", "WorkerParts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """The parts that all attempts of a worker share."""

    inbox: Inbox
    handlers: Handlers
    prepare: Callable[[SignedEvent], Awaitable[None]]
    prepared_types: Container[str]
    make_event: Callable[[SignedEvent, str, int], WebhookEvent]
    passing_on: PassingOn
    detached: DetachedTasks
    policy: WebhookPolicy
    observing: Observing
    clock: Callable[[], float]
    jitter: Callable[[], float]
    log: EventLog
    lines: LineLimit


@dataclass(frozen=True, slots=True)
class _End:
    """The end of an attempt: its event is over, or comes back after a delay."""

    delay: float | None = None
    failure: str | None = None
    is_dead: bool = False
    is_counted: bool = True
    is_for_others: bool = False


class _LeaseLostError(Exception):
    """Another process may have the event."""


class _ShutdownError(Exception):
    """The process is ending, and the event is given back."""


class EventAttempt:
    """One attempt, under the lease with which the event was taken.

    Attributes:
        is_unwritten: Whether its end is known, and the storage has failed to note it.
    """

    def __init__(
        self,
        parts: WorkerParts,
        kept: KeptEvent,
        owner: str,
        *,
        asked_at: float,
        threads: CapacityLimiter,
        note_due: Callable[[float], object],
    ) -> None:
        """Handle `kept`; `note_due` is called with the delay of an event that comes back."""
        self._parts = parts
        self._policy = parts.policy
        self._kept = kept
        self._threads = threads
        self._note_due = note_due
        self._lease = EventLease(
            parts.inbox,
            kept,
            owner,
            asked_at=asked_at,
            policy=parts.policy,
            lines=parts.lines,
            clock=parts.clock,
        )
        self._number = max(1, kept.record.attempts - self._lease.outcomes.spared)
        self._run: HandlerRun | None = None
        self._is_interrupted = False
        self.is_unwritten = False

    async def run(self) -> None:
        """Handle the event, and note its end; raise nothing."""
        async with Renewing(self._lease, self._renewed, detached=self._parts.detached):
            try:
                await self._handle()
            except Exception as exc:
                self._parts.log.broke(self._kept, exc)
        if self._run is not None and not self._run.has_ended:
            # The slot is taken until the thread ends, or a process would have any number of them.
            await self._run.wait_for_thread()

    def interrupt(self) -> None:
        """Cancel the handler that runs, begin no other, and give the event back."""
        self._is_interrupted = True
        if self._run is not None:
            self._run.interrupt()

    def _renewed(self) -> None:
        if self._run is not None:
            self._run.renewed()

    async def _handle(self) -> None:
        try:
            end = await self._pass_on() or await self._prepare() or await self._call_handlers()
        except _LeaseLostError:
            self._parts.log.lost(self._kept)
            return
        except _ShutdownError:
            # A thread goes on until the process ends: nobody begins beside it before that.
            is_thread = self._run is not None and not self._run.has_ended
            end = _End(self._policy.lease if is_thread else 0.0, is_counted=False)
        await self._write(end)

    # Before the handlers

    async def _pass_on(self) -> _End | None:
        """Give the event back where others have its handlers; return None if it is for us."""
        outcomes, passing_on = self._lease.outcomes, self._parts.passing_on
        if not passing_on.is_for_others(self._kept.record.event_type, outcomes):
            return None
        if (pause := await passing_on.pause(self._kept, outcomes)) is None:
            return _End(is_dead=outcomes.is_dead)
        self._lease.outcomes = outcomes.passed_on()
        return _End(pause, is_counted=False, is_for_others=True)

    async def _prepare(self) -> _End | None:
        """Bring the installation up to date; return how the event ends if that failed."""
        try:
            signed = self._parts.inbox.open(self._kept)
        except UnknownKey as exc:
            # A deploy that brings the key may be under way.
            return self._unreadable(exc, is_dead=self._is_last)
        except (UnsealError, ValueError) as exc:
            return self._unreadable(exc, is_dead=True)
        self._parts.observing.wait(
            self._kept, (datetime.now(UTC) - signed.issued_at).total_seconds()
        )
        is_to_be_prepared = self._kept.record.event_type in self._parts.prepared_types
        if is_to_be_prepared and not self._lease.outcomes.is_prepared:
            run_end = await self._end_of(
                functools.partial(_await, self._parts.prepare, signed),
                title=f"the preparation of event {self._kept.id}",
                seconds=self._policy.prepare_timeout,
            )
            if run_end.ending is not Ending.RETURNED:
                return self._not_prepared(run_end)
            self._lease.outcomes = self._lease.outcomes.prepared()
        try:
            self._event = self._parts.make_event(signed, self._kept.id, self._number)
        except Exception as exc:
            return self._not_prepared(RunEnd(Ending.RAISED, exc))
        return None

    @property
    def _is_last(self) -> bool:
        return self._kept.record.attempts >= self._policy.max_attempts

    def _unreadable(self, error: Exception, *, is_dead: bool) -> _End:
        self._parts.log.unreadable(self._kept, error, is_dead=is_dead)
        return self._spared(type(error).__name__, is_dead=is_dead)

    def _not_prepared(self, run_end: RunEnd) -> _End:
        failure = f"{run_end.kind} in preparation"
        if self._is_last:
            self._parts.log.is_dead(self._kept, failure)
        else:
            self._parts.log.not_prepared(self._kept, run_end.how, run_end.error)
        return self._spared(failure, is_dead=self._is_last)

    def _spared(self, failure: str, *, is_dead: bool) -> _End:
        if is_dead:
            return _End(failure=failure, is_dead=True)
        self._lease.outcomes = self._lease.outcomes.with_spared_attempt()
        return _End(self._delay(self._kept.record.attempts), failure)

    # The handlers

    async def _call_handlers(self) -> _End:
        """Call the handlers; return how the event ends."""
        handlers = self._parts.handlers.of(self._kept.record.event_type)
        if not handlers:
            self._parts.log.no_handler(self._kept)
        waiting = [each for each in handlers if not self._lease.outcomes.has_ended(each.name)]
        failure = None
        for handler in waiting:
            if self._number > handler.max_attempts:
                # Its last attempt has neither returned nor failed.
                self._parts.log.was_killed(self._kept, handler)
                outcome, failure = HandlerOutcome.GIVEN_UP, f"killed in {handler.name}"
            else:
                run_end = await self._call(handler)
                outcome = self._outcome_of(handler, run_end)
                if outcome is not HandlerOutcome.RETURNED:
                    failure = f"{run_end.kind} in {handler.name}"
            self._lease.outcomes = self._lease.outcomes.of(handler.name, outcome)
            if handler is not waiting[-1]:
                # At once, so that a killed process calls no handler again that has returned.
                await self._renew()
        outcomes = self._lease.outcomes
        if HandlerOutcome.FAILED in outcomes.handlers.values():
            return _End(self._delay(self._number), failure)
        return _End(failure=failure, is_dead=outcomes.is_dead)

    async def _call(self, handler: Handler) -> RunEnd:
        begun_at = self._parts.clock()
        # Each handler has data of its own, which it may change.
        event = replace(self._event, data=copy.deepcopy(self._event.data))
        run_end = await self._end_of(
            functools.partial(call_function, handler.call, (event,)),
            title=f"handler {handler.name} of event {self._kept.id}",
            seconds=handler.timeout,
        )
        self._parts.observing.call(
            self._kept, handler, run_end.ending.name.lower(), self._parts.clock() - begun_at
        )
        return run_end

    def _outcome_of(self, handler: Handler, run_end: RunEnd) -> HandlerOutcome:
        if run_end.ending is Ending.RETURNED:
            return HandlerOutcome.RETURNED
        self._parts.log.failed(self._kept, handler, run_end.how, run_end.error, self._number)
        is_last = self._number == handler.max_attempts
        return HandlerOutcome.GIVEN_UP if is_last else HandlerOutcome.FAILED

    async def _end_of(self, start: Start, *, title: str, seconds: float) -> RunEnd:
        """Make one call.

        Raises:
            _LeaseLostError: The event is not ours any more.
            _ShutdownError: It was interrupted, or is not begun any more.
        """
        if self._is_interrupted:
            raise _ShutdownError
        self._run = HandlerRun(
            start,
            title=title,
            timeout=seconds,
            lease=self._lease,
            detached=self._parts.detached,
            threads=self._threads,
            policy=self._policy,
            clock=self._parts.clock,
        )
        run_end = await self._run.end()
        if run_end.ending is Ending.LEASE_LOST:
            raise _LeaseLostError
        if run_end.ending is Ending.INTERRUPTED:
            raise _ShutdownError
        return run_end

    # The end

    def _delay(self, attempt: int) -> float:
        return self._policy.delay_after(attempt, self._parts.jitter())

    async def _renew(self) -> None:
        try:
            await self._lease.renew()
        except StorageUnavailable:
            return  # The next renewal notes it.
        self._renewed()

    async def _write(self, end: _End) -> None:
        """Write the end of the event, repeated while the storage fails."""
        while True:
            try:
                was_ours = await self._lease.end(functools.partial(self._write_once, end))
            except StorageUnavailable:
                self.is_unwritten = True
                await anyio.sleep(self._policy.storage_pause)
            else:
                break
        if not was_ours:
            self._parts.log.not_noted(self._kept)
        elif end.delay is not None:
            # The looks of others come first.
            self._note_due(end.delay + 2 * self._policy.max_poll_pause * end.is_for_others)

    async def _write_once(self, end: _End, inbox: Inbox, kept: KeptEvent, owner: str) -> bool:
        outcomes = str(self._lease.outcomes)
        if end.delay is not None:
            return await inbox.postpone(
                kept,
                owner,
                delay=end.delay,
                outcomes=outcomes,
                failure=end.failure,
                is_counted=end.is_counted,
            )
        return await inbox.finish(
            kept,
            owner,
            keep=self._policy.keep_dead if end.is_dead else self._policy.keep_keys,
            outcomes=outcomes,
            failure=end.failure,
            is_dead=end.is_dead,
        )


async def _await(
    function: Callable[[SignedEvent], Awaitable[None]],
    signed: SignedEvent,
    _in_thread: Callable[[Call], Awaitable[Any]],
    *,
    bound: AbstractAsyncContextManager[object],
) -> None:
    async with bound:
        await function(signed)
