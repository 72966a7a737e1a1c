"""The flows of this process: those under way, and the used states that it remembers."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
from starlette.responses import Response

from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.handshake._outcome import Outcome
from wix_asgi.handshake._state_use import StateUse, name_of
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.handshake.responses import copy_response
from wix_asgi.handshake.state import Flow

__all__ = ["Copies", "FlowRun", "Flows", "UsedState"]

_MAX_KEPT_BODY: Final = 16 * 1024
"""Bytes of a body that is kept to be sent again: pages and redirects have less, and 4,096 responses
(`CallbackPolicy.max_known`) take 64 MB at most."""


class Copies:
    """One response for all loads of a flow; each load gets a copy with headers of its own.

    Other middleware may add to the headers of a response that is sent, cookies of a session among
    them.
    """

    def __init__(self, response: Response) -> None:
        """Hand out `response`, which no load has got yet."""
        self._response: Response | None = response

    def next(self) -> Response | None:
        """Return the response for one more load; None where it cannot be sent again."""
        if self._response is None:
            return None
        copied = copy_response(self._response)
        body = getattr(copied, "body", None)
        # A stream is spent once it is sent, and a long body is not kept in memory for a rare load.
        is_kept = body is not None and len(body) <= _MAX_KEPT_BODY
        self._response = self._response if is_kept else None
        # Background tasks run once, as the hook does that made them.
        if self._response is not None:
            self._response.background = None
        return copied


@dataclass(slots=True)
class FlowRun:
    """A flow under way in this process.

    Attributes:
        incident: The id in the log and on the pages that tell of the unfinished install.
        use: The use of its state by the first load.
        task: The first load's work. Its result is the response for all loads; None where another
            process has used the state up.
    """

    incident: str
    use: StateUse
    task: DetachedTask[Copies | None]

    async def next_response(self, seconds: float) -> Response | None:
        """Wait for the end of the flow, and return the response for one more load.

        Raises:
            TimeoutError: The state is used up, and the flow goes on after these `seconds`.
            Exception: The errors of `DetachedTask.result`.
        """
        while True:
            with anyio.move_on_after(seconds):
                copies = await self.task.result()
                return copies.next() if copies else None
            # A claim ends by itself, and may end in "load this again".
            if self.use.is_taken:
                raise TimeoutError


@dataclass(slots=True)
class UsedState:
    """A state that is used up.

    Attributes:
        outcome: None where this process does not know it yet.
        response: The response of an `on_install` hook, for a load that comes again.
    """

    outcome: Outcome | None = None
    response: Copies | None = None
    incident: str = field(default_factory=lambda: secrets.token_hex(6))


@dataclass(slots=True)
class _LoopFlows:
    """The flows of one event loop: no other loop can wait for its tasks."""

    running: dict[str, FlowRun] = field(default_factory=dict)
    used: OrderedDict[str, UsedState] = field(default_factory=OrderedDict)


class Flows:
    """Finds the flow of a load that comes twice; the memory is bounded, and the event loop's."""

    def __init__(self, detached: DetachedTasks, policy: CallbackPolicy) -> None:
        """Run flows in `detached`, and remember used states within the bounds of `policy`."""
        self._detached = detached
        self._policy = policy
        self._loops = PerLoop(_LoopFlows)

    def running(self, flow: Flow) -> FlowRun | None:
        """Return the run of this flow in this process, if it is under way."""
        return self._loops.here().running.get(name_of(flow))

    def used(self, flow: Flow) -> UsedState | None:
        """Return the memory of this flow's used state, if there is any."""
        return self._loops.here().used.get(name_of(flow))

    def start(
        self, flow: Flow, use: StateUse, work: Callable[[], Awaitable[Copies | None]]
    ) -> FlowRun:
        """Start the work of a flow, which no cancellation of its browser reaches."""
        name, running = name_of(flow), self._loops.here().running

        async def run() -> Copies | None:
            try:
                return await work()
            finally:
                del running[name]

        run_of_flow = running[name] = FlowRun(secrets.token_hex(6), use, self._detached.start(run))
        return run_of_flow

    def remember(self, flow: Flow, used: UsedState) -> UsedState:
        """Remember that a state is used up, and its outcome; the oldest memory goes."""
        memory = self._loops.here().used
        memory[name_of(flow)] = used
        if len(memory) > self._policy.max_known:
            memory.popitem(last=False)
        return used

    def forget(self, flow: Flow) -> None:
        """Forget a state that was given back."""
        self._loops.here().used.pop(name_of(flow), None)
