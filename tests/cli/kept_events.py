"""Events in the inbox of the app whose settings are in the environment."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from tests.cli.commands import run
from tests.operations.events import event, id_of
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import EventStorage, open_storage
from wix_asgi.webhooks.inbox import Inbox, KeptEvent
from wix_asgi.webhooks.outcomes import HandlerOutcome, Outcomes

__all__ = [
    "BROKEN",
    "FIELDS",
    "HANDLERS",
    "change",
    "found",
    "keep",
    "kill",
    "listed",
    "take",
]

T = TypeVar("T")

HANDLERS = {"app.welcome": HandlerOutcome.RETURNED, "app.count": HandlerOutcome.GIVEN_UP}
BROKEN = str(Outcomes(HANDLERS))
FIELDS = [
    "id",
    "type",
    "instance_id",
    "state",
    "running",
    "attempts",
    "issued_at",
    "received_at",
    "next_attempt_at",
    "forgotten_at",
    "failure",
]


def change(work: Callable[[Inbox], Awaitable[T]], url: str | None = None) -> T:
    """Do something with the inbox, as the app does."""

    async def main() -> T:
        settings = WixSettings.load(storage=url)
        async with open_storage(settings.storage.get_secret_value()) as storage:
            assert isinstance(storage, EventStorage)
            return await work(Inbox(settings.app_id, storage, Vault(settings.key_ring())))

    return anyio.run(main)


def keep(*names: str, url: str | None = None, **fields: str) -> list[str]:
    """Keep events of these names; return their ids, which are ordered as `list` orders them."""

    async def work(inbox: Inbox) -> None:
        for name in names:
            assert await inbox.add(event(name, **fields), body=b"")

    change(work, url)
    return sorted(id_of(name, **fields) for name in names)


def take(*, limit: int = 1) -> None:
    """Have a process that runs handlers at this moment."""
    change(lambda inbox: inbox.take("test-process", limit=limit, lease=60.0))


def kill(*ids: str, outcomes: str = BROKEN, is_dead: bool = True, url: str | None = None) -> None:
    """End waiting events: as dead letters, or as done."""
    failure = "ValueError in app.count" if is_dead else None
    ending: dict[str, Any] = {
        "keep": 3600.0,
        "outcomes": outcomes,
        "failure": failure,
        "is_dead": is_dead,
    }

    async def work(inbox: Inbox) -> None:
        for kept in await inbox.take("test-owner", limit=100, lease=60.0):
            if kept.id in ids:
                assert await inbox.finish(kept, "test-owner", **ending)
            else:
                back: dict[str, Any] = {"delay": 0.0, "outcomes": "", "is_counted": False}
                assert await inbox.postpone(kept, "test-owner", **back)

    change(work, url)


def found(event_id: str, url: str | None = None) -> KeptEvent:
    """Return an event as it is kept."""
    kept = change(lambda inbox: inbox.find(event_id), url)
    assert kept is not None
    return kept


def listed(*options: str) -> list[dict[str, Any]]:
    """Return the objects that `list` prints."""
    result = run("events", "list", "--json", *options)
    assert 0 == result.exit_code, result.output
    objects: list[dict[str, Any]] = json.loads(result.stdout)
    return objects
