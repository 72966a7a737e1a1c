"""The flows of this process: those under way, and the used states that it remembers."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

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


class FlowRun:
    """A flow under way in this process: the first load's work, which other loads wait for.

    Attributes:
        use: The use of its state by the first load.
        begun_at: Seconds since the epoch by the clock of the host at which the flow began.
        incident: The id in the log and on the pages that tell of the unfinished install.
        task: The work. Its result is the response for all loads; None where the outcome that was
            kept answers them.
    """

    task: DetachedTask[Copies | None]

    def __init__(self, use: StateUse, *, begun_at: float) -> None:
        """Belong to the running event loop."""
        self.use = use
        self.begun_at = begun_at
        self.incident = secrets.token_hex(6)
        self.claims: Mapping[str, Any] | None = None
        self._is_granted = False
        self._is_certain = anyio.Event()

    def note_grant(self) -> None:
        """Note that Wix has granted tokens: from here on the install goes on until it is stored."""
        self._is_granted = True
        self._is_certain.set()

    async def run(self, work: Callable[[], Awaitable[Copies | None]]) -> Copies | None:
        """Do the work."""
        try:
            return await work()
        finally:
            self._is_certain.set()

    async def next_response(self, seconds: float) -> Response | None:
        """Wait for the end of the flow, and return the response for one more load.

        Raises:
            TimeoutError: The install goes on after these `seconds`, with its grant in hand.
            Exception: The errors of `DetachedTask.result`.
        """
        with anyio.move_on_after(seconds):
            await self.task.wait()
        # A claim and an exchange end by themselves, and may end in "load this again".
        await self._is_certain.wait()
        if self._is_granted and not self.task.is_done:
            raise TimeoutError
        copies = await self.task.result()
        return copies.next() if copies else None


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
        self, flow: Flow, use: StateUse, work: Callable[[FlowRun], Awaitable[Copies | None]]
    ) -> FlowRun:
        """Start the work of a flow, which no cancellation of its browser reaches."""
        name, running = name_of(flow), self._loops.here().running
        run = FlowRun(use, begun_at=flow.begun_at)

        async def run_and_leave() -> Copies | None:
            try:
                return await run.run(lambda: work(run))
            finally:
                del running[name]

        run.task = self._detached.start(run_and_leave)
        running[name] = run
        return run

    def remember(self, flow: Flow, used: UsedState) -> None:
        """Remember that a state is used up, and its outcome; the oldest memory goes."""
        memory = self._loops.here().used
        memory[name_of(flow)] = used
        if len(memory) > self._policy.max_known:
            memory.popitem(last=False)

    def forget(self, flow: Flow) -> None:
        """Forget a state that was given back."""
        self._loops.here().used.pop(name_of(flow), None)
