"""Passes events on to other processes where this one has no handler for them.

Processes of an app may have different handlers: by design, or while a deploy goes from one to the
next. Which of them takes an event is chance.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace

from wix_asgi.webhooks._capacity import Capacity
from wix_asgi.webhooks._event_log import EventLog
from wix_asgi.webhooks.handlers import Handlers
from wix_asgi.webhooks.inbox import Inbox, KeptEvent
from wix_asgi.webhooks.outcomes import HandlerOutcome, Outcomes
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["PassingOn"]


class PassingOn:
    """Tells which events are for other processes, and for how long; shared by all attempts."""

    def __init__(
        self,
        inbox: Inbox,
        handlers: Handlers,
        *,
        prepared_types: Container[str],
        policy: WebhookPolicy,
        log: EventLog,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        """Know the `handlers` of this process; events of `prepared_types` need none."""
        self._handlers = handlers
        self._prepared_types = prepared_types
        self._policy = policy
        self._log = log
        self._jitter = jitter
        self._capacity = Capacity(inbox, replace(policy, max_waiting=policy.crowded), clock=clock)

    def is_for_others(self, event_type: str, outcomes: Outcomes) -> bool:
        """Whether this process has nothing to call for an event, and another one may have."""
        handlers = self._handlers.of(event_type)
        if any(not outcomes.has_ended(handler.name) for handler in handlers):
            return False
        if HandlerOutcome.FAILED in outcomes.handlers.values():
            # That of a handler which is not registered here: the others have ended.
            return True
        return not handlers and event_type not in self._prepared_types

    async def pause(self, kept: KeptEvent, outcomes: Outcomes) -> float | None:
        """Return the seconds after which another process may have the event; None if it ends."""
        if outcomes.passed >= self._policy.max_passes:
            self._log.ends_unhandled(kept, "no process that has taken them has one")
            return None
        if not await self._capacity.has_room():
            self._log.ends_unhandled(kept, "the inbox is too full to wait for a process with one")
            return None
        return self._policy.pause_after(outcomes.passed + 1, self._jitter())
