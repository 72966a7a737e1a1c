"""A worker in process: its inbox notes each step, and fails or waits where a test says so."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import anyio
import sniffio
import trio.lowlevel
import trio.testing
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import StorageUnavailable
from wix_asgi.events import WebhookEvent
from wix_asgi.models import EventRecord, EventState
from wix_asgi.protocol.webhook_event import SignedEvent, read_event
from wix_asgi.sealing.vault import Vault
from wix_asgi.testing.fake_wix._signal import Signal
from wix_asgi.webhooks.handlers import Handlers
from wix_asgi.webhooks.inbox import Inbox, KeptEvent
from wix_asgi.webhooks.outcomes import Outcomes
from wix_asgi.webhooks.policy import WebhookPolicy
from wix_asgi.webhooks.worker import EventWorker
from wix_asgi_backends.memory import MemoryStorage

__all__ = ["APP", "EventSteps", "Working", "jumping", "make_event", "signed_event", "working"]

T = TypeVar("T")


APP: Final = "app"
KEY: Final = b"k" * 32


_MONTH: Final = 30 * 86_400.0
"""The patience by a clock that jumps."""


def jumping() -> tuple[str, dict[str, Any]]:
    """Return an event loop whose clock jumps to the next moment at which there is work to do."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class EventSteps(MemoryStorage):
    """A storage that notes the steps of its inbox, and waits or fails before them as told."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.steps: list[str] = []
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}
        self.changed = Signal()

    def fail(self, *steps: str, error: Exception | None = None) -> None:
        """Raise at each of these steps from now on."""

        async def raise_error() -> None:
            raise error or StorageUnavailable("The test database is down.")

        self.before.update(dict.fromkeys(steps, raise_error))

    def heal(self) -> None:
        """Neither wait nor raise any more."""
        self.before.clear()

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        await self._begin(f"take {limit}")
        return await super().take_events(app_id, owner, limit=limit, lease=lease)

    async def renew_event(self, *args: Any, **options: Any) -> bool:
        await self._begin("renew")
        return await super().renew_event(*args, **options)

    async def finish_event(self, *args: Any, **options: Any) -> bool:
        await self._begin("finish")
        is_ours = await super().finish_event(*args, **options)
        self.changed.notify()
        return is_ours

    async def postpone_event(self, *args: Any, **options: Any) -> bool:
        await self._begin("postpone")
        is_ours = await super().postpone_event(*args, **options)
        self.changed.notify()
        return is_ours

    async def purge_events(self) -> int:
        await self._begin("purge")
        return await super().purge_events()

    async def _begin(self, step: str) -> None:
        await checkpoint()
        self.steps.append(step)
        self.changed.notify()
        if (before := self.before.get(step.partition(" ")[0])) is not None:
            await before()


def signed_event(
    event_type: str = "AppRemoved", number: int = 1, data: object = None
) -> SignedEvent:
    """Return an event as Wix signed it."""
    layer = {
        "eventType": event_type,
        "instanceId": SITE,
        "data": json.dumps(data or {"number": number}),
        "webhookId": f"wId_{number}",
    }
    return read_event(json.dumps(layer), datetime.now(UTC))


def make_event(signed: SignedEvent, event_id: str, attempt: int) -> WebhookEvent:
    """Return the event for a handler; it has no client."""
    return WebhookEvent(
        event_type=signed.event_type,
        instance_id=signed.instance_id,
        data=signed.data,
        identity=signed.identity,
        id=event_id,
        issued_at=signed.issued_at,
        attempt=attempt,
        client=None,  # type: ignore[arg-type] # nothing is called
    )


class Working:
    """One app's inbox and handlers, and workers of any number of processes on it."""

    def __init__(
        self, storage: EventSteps | None = None, policy: WebhookPolicy | None = None
    ) -> None:
        """Begin with an empty inbox, by the clock of the event loop."""
        self.clock = anyio.current_time
        is_jumping = sniffio.current_async_library() == "trio" and isinstance(
            trio.lowlevel.current_clock(), trio.testing.MockClock
        )
        self.patience = _MONTH if is_jumping else PATIENCE
        self.storage = storage or EventSteps(self.clock)
        self.policy = policy or WebhookPolicy()
        self.vault = Vault([KEY])
        self.inbox = Inbox(APP, self.storage, self.vault)
        self.handlers = Handlers()
        self.detached = DetachedTasks()
        self.prepared: list[SignedEvent] = []
        self.calls: list[Any] = []
        self.measured: list[tuple[str, float, dict[str, str]]] = []
        self._numbers = itertools.count(1)

    async def prepare(self, signed: SignedEvent) -> None:
        """Note what is prepared."""
        await checkpoint()
        self.prepared.append(signed)

    async def note(self, event: WebhookEvent) -> None:
        """Note an event. A plain handler would run in a thread, beside which time jumps."""
        self.calls.append(event)

    def worker(self, **options: Any) -> EventWorker:
        """Return a worker of its own, as another process has one."""
        defaults: dict[str, Any] = {
            "app_id": APP,
            "storage": self.storage,
            "prepare": self.prepare,
            "prepared_types": frozenset({"AppRemoved"}),
            "make_event": make_event,
            "detached": self.detached,
            "concurrency": 4,
            "ready": checkpoint,
            "policy": self.policy,
            "observer": lambda *measured: self.measured.append(measured),
            "clock": self.clock,
            "jitter": lambda: 0.5,
        }
        return EventWorker(self.inbox, self.handlers, **{**defaults, **options})

    async def add(self, event_type: str = "AppRemoved", times: int = 1, **options: Any) -> None:
        """Keep new events of this type."""
        for number in itertools.islice(self._numbers, times):
            event = signed_event(event_type, number, **options)
            assert await self.inbox.add(event, body=b"")

    def on(self, event_type: str = "*", **options: Any) -> Callable[[T], T]:
        """Register a handler."""
        register: Any = self.handlers.on(event_type, **options)
        registered: Callable[[T], T] = register
        return registered

    async def kept(self) -> list[KeptEvent]:
        """Return all events of the inbox."""
        return [kept async for kept in self.inbox.all()]

    async def only(self) -> EventRecord:
        """Return the only event of the inbox."""
        (kept,) = await self.kept()
        return kept.record

    async def outcomes(self) -> dict[str, str]:
        """Return what has become of the handlers of the only event, by their short names."""
        handlers = Outcomes.read((await self.only()).outcomes).handlers
        return {name.rpartition(".")[2]: str(outcome) for name, outcome in handlers.items()}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds, which is checked at each step of the storage."""
        with anyio.fail_after(self.patience):
            await self.storage.changed.wait_until(condition)

    async def until_step(self, step: str, times: int = 1) -> None:
        """Return once the storage was asked so often, since the beginning."""
        await self.until(lambda: sum(each.startswith(step) for each in self.storage.steps) >= times)

    async def until_over(self, state: EventState = EventState.DONE, times: int = 1) -> None:
        """Return once so many events are in this state."""
        events = self.storage._inboxes[APP].events
        await self.until(
            lambda: sum(each.record.state is state for each in events.values()) >= times
        )


@asynccontextmanager
async def working(
    policy: WebhookPolicy | None = None, **options: Any
) -> AsyncIterator[tuple[Working, EventWorker]]:
    """Have a worker for as long as a block lasts."""
    app = Working(policy=policy)
    worker = app.worker(**options)
    try:
        yield app, worker
    finally:
        with anyio.CancelScope(shield=True):
            await worker.stop()
            await app.detached.aclose(PATIENCE)
