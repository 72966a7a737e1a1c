"""Dead letters that a worker of the new storage takes after a copy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.operations.events import id_of, inbox_in, keep
from tests.operations.sealed import APP, OLD
from tests.webhooks.working import make_event
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.events import WebhookEvent
from wix_asgi.models import EventRecord, EventState
from wix_asgi.operations.copy_events import copy_events
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import EventStorage, Storage
from wix_asgi.webhooks.handlers import Handlers
from wix_asgi.webhooks.inbox import Inbox
from wix_asgi.webhooks.outcomes import Outcomes
from wix_asgi.webhooks.worker import EventWorker


class EndedInbox(Inbox):
    """An inbox that tells of the end of its only event."""

    def __init__(self, storage: EventStorage) -> None:
        super().__init__(APP, storage, Vault([OLD]))
        self.ended = anyio.Event()

    async def finish(self, *arguments: Any, **options: Any) -> bool:
        is_ours = await super().finish(*arguments, **options)
        self.ended.set()
        return is_ours


class App:
    """An app with two handlers, of which the second one is broken until a deploy mends it."""

    def __init__(self) -> None:
        self.handlers = Handlers()
        self.calls: list[str] = []
        self.is_broken = True
        self.handlers.on("*")(self.first)
        self.handlers.on("*", max_attempts=1)(self.second)

    async def first(self, event: WebhookEvent) -> None:
        """Return."""
        self.calls.append("first")

    async def second(self, event: WebhookEvent) -> None:
        """Raise while it is broken."""
        self.calls.append("second")
        if self.is_broken:
            raise ValueError

    @asynccontextmanager
    async def working(self, storage: Storage) -> AsyncIterator[None]:
        """Have a worker end the event while the block runs, and wait for it."""
        assert isinstance(storage, EventStorage)
        inbox, detached = EndedInbox(storage), DetachedTasks()
        worker = EventWorker(
            inbox,
            self.handlers,
            app_id=APP,
            storage=storage,
            prepare=lambda _: checkpoint(),
            make_event=make_event,
            detached=detached,
            concurrency=4,
            ready=checkpoint,
        )
        worker.start()
        try:
            yield
            with anyio.fail_after(PATIENCE):
                await inbox.ended.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await worker.stop()
                await detached.aclose(PATIENCE)


async def record(storage: Storage) -> EventRecord:
    """Return the event as it is kept."""
    kept = await inbox_in(storage, OLD).find(id_of("first"))
    assert kept is not None
    return kept.record


async def test_copied_dead_letters_are_dead_letters_again(
    source: Storage, target: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    """The first worker there calls none of their handlers; a retry calls the broken one (R44)."""
    app = App()
    await keep(inbox_in(source, OLD), "first")
    async with app.working(source):
        pass
    before = await record(source)
    assert isinstance(source, EventStorage)
    assert isinstance(target, EventStorage)
    await copy_events(APP, source, target)
    called, copied = list(app.calls), await record(target)
    caplog.clear()
    async with app.working(target):
        pass
    again, called_again = await record(target), list(app.calls)
    told = list(caplog.messages)
    app.is_broken = False
    async with app.working(target):
        kept = await inbox_in(target, OLD).find(id_of("first"))
        assert kept is not None
        outcomes = str(Outcomes.read(kept.record.outcomes).for_retry())
        assert await inbox_in(target, OLD).retry(kept, outcomes=outcomes)

    assert ["first", "second"] == called == called_again
    assert [EventState.DEAD, EventState.WAITING, EventState.DEAD] == [
        each.state for each in (before, copied, again)
    ]
    assert (before.outcomes, before.failure, before.payload) == (
        again.outcomes,
        again.failure,
        again.payload,
    )
    assert [] == told
    assert ["first", "second", "second"] == app.calls
    assert EventState.DONE is (await record(target)).state
