"""docs/queues.md: its example runs as it is printed, and does what the page says."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from types import ModuleType

import anyio
import pytest
from starlette.applications import Starlette

from tests.client.clients import install
from tests.limits import PATIENCE
from tests.servers import ROOT
from tests.support import SITE, make_wix
from wix_asgi import Wix, WixMiddleware
from wix_asgi.models import EventRecord, EventState
from wix_asgi.storage import EventStorage
from wix_asgi.testing import FakeWix

PAGE = (ROOT / "docs" / "queues.md").read_text("utf-8")
(SNIPPET,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ORDER = "wix.ecom.v1.order_created"
COUNTED = "/orders/v1/counted"


@pytest.fixture
def anyio_backend() -> str:
    """Run on the event loop that the queue needs."""
    return "asyncio"


class Seen:
    """The table of the app's own that has the ids of handled events."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def add(self, event_id: str) -> bool:
        """Return whether the id is new."""
        is_new = event_id not in self.ids
        self.ids.append(event_id)
        return is_new


@pytest.fixture(name="jobs")
def _jobs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give a module for the snippet: the queue looks its tasks up there."""
    module = ModuleType("jobs")
    monkeypatch.setitem(sys.modules, "jobs", module)
    return module


def run(jobs: ModuleType, wix: Wix, seen: Seen) -> None:
    """Run the snippet in its module, with these names in reach."""
    vars(jobs).update(wix=wix, seen=seen)
    exec(compile(SNIPPET, "queues.md", "exec", dont_inherit=True), vars(jobs))  # noqa: S102 - ours


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition of which nobody tells."""
    with anyio.fail_after(PATIENCE):
        while not await condition():  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def events_of(wix: Wix, state: EventState) -> list[EventRecord]:
    """Return the events in this state that no process has."""
    assert isinstance(wix.storage, EventStorage)
    found = await wix.storage.events(FakeWix().app_id, state=state)
    return [record for record in found if not record.is_taken]


async def test_events_are_handed_on(fake: FakeWix, jobs: ModuleType) -> None:
    """The task calls Wix as the site of the event, with its data; a second job changes nothing."""
    fake.echo(COUNTED)
    seen = Seen()
    async with make_wix(fake) as wix:
        await install(wix, fake)
        run(jobs, wix, seen)
        await fake.send_event(WixMiddleware(Starlette(), wix), ORDER, SITE, {"total": 3})

        async def is_done() -> bool:
            return bool(await events_of(wix, EventState.DONE)) and fake.count(COUNTED) == 1

        await until(is_done)
        (record,) = await events_of(wix, EventState.DONE)
        again = await jobs.count_order.kiq(record.event_id, ORDER, SITE, {"total": 3})
        await again.wait_result(timeout=PATIENCE)
        await jobs.broker.shutdown()
    (call,) = [call for call in fake.calls if call.path == COUNTED]

    assert [record.event_id] * 2 == seen.ids
    assert {"total": 3} == call.json
    assert record.payload is None


async def test_failing_broker_loses_nothing(
    fake: FakeWix, jobs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the broker is down, the handler raises, and its event waits for another attempt."""

    async def down(*_arguments: object) -> None:
        raise ConnectionError("test-broker is down")

    async with make_wix(fake) as wix:
        await install(wix, fake)
        run(jobs, wix, Seen())
        monkeypatch.setattr(jobs.broker, "kick", down)
        await fake.send_event(WixMiddleware(Starlette(), wix), ORDER, SITE, {"total": 3})

        async def has_failed() -> bool:
            return any(record.failure for record in await events_of(wix, EventState.WAITING))

        await until(has_failed)
        (record,) = await events_of(wix, EventState.WAITING)
        await jobs.broker.shutdown()

    assert (1, "SendTaskError in jobs.enqueue") == (record.attempts, record.failure)
    assert record.due_in > 0
