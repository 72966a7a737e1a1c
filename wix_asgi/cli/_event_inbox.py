"""The inbox that commands read, and the events in it that an operator names."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import NamedTuple

from wix_asgi.cli._operating import fail, listed, opened
from wix_asgi.models import EventRecord, EventState
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import EventStorage
from wix_asgi.webhooks.inbox import Inbox, KeptEvent

__all__ = ["EventFilter", "first_events", "found_events", "opened_inbox", "the_event"]


class EventFilter(NamedTuple):
    """The events that a command is about.

    Attributes:
        states: Their states.
        site: The instance id; None for any.
        event_type: Wix's word for the kind of event; None for any.
    """

    states: Sequence[EventState]
    site: str | None
    event_type: str | None

    def wants(self, record: EventRecord) -> bool:
        """Return whether the command is about this event."""
        return (
            record.state in self.states
            and self.site in {None, record.instance_id}
            and self.event_type in {None, record.event_type}
        )


@contextlib.asynccontextmanager
async def opened_inbox(url: str | None) -> AsyncIterator[Inbox]:
    """Open the app's inbox for a block, in the storage of `url` or of the settings.

    Raises:
        typer.Exit: The storage has no inbox.
        SettingsError: A setting is wrong, or the storage does not exist.
        StorageUnavailable: The storage cannot be reached.
    """
    settings = WixSettings.load(storage=url)
    async with opened(settings.storage.get_secret_value(), "The storage") as storage:
        if not isinstance(storage, EventStorage):
            fail("The storage has no inbox for events (EventStorage).")
        yield Inbox(settings.app_id, storage, Vault(settings.key_ring()))


async def first_events(
    inbox: Inbox, wanted: EventFilter, *, after: str, limit: int
) -> list[EventRecord]:
    """Return up to `limit` events behind the id `after`, ordered by id, without their payloads."""
    found: list[EventRecord] = []
    for state in wanted.states:
        most = len(found) + limit
        async with aclosing(inbox.all(state, after=after)) as events:
            async for kept in events:
                if wanted.wants(kept.record):
                    found.append(dataclasses.replace(kept.record, payload=None))
                    if len(found) == most:
                        break
    return sorted(found, key=lambda record: record.event_id)[:limit]


async def the_event(inbox: Inbox, given: str) -> KeptEvent:
    """Return the one event with this id, or with an id that begins so.

    Raises:
        typer.Exit: There is none, or there are several.
    """
    found = await found_events(inbox, given)
    if not found:
        fail("There is no such event: look at the id, WIX_APP_ID and the storage.")
    if len(found) > 1:
        fail(f"Several ids begin with {listed([given])}: give more of it.")
    return found[0]


async def found_events(inbox: Inbox, given: str) -> list[KeptEvent]:
    """Return the event of an id, or the events whose ids begin so, two of them at most."""
    whole = await inbox.find(given)
    if whole is not None or not given:
        return [whole] if whole else []
    found: list[KeptEvent] = []
    # The first ids behind a beginning have this beginning.
    async with aclosing(inbox.all(after=given)) as events:
        async for kept in events:
            if len(found) == 2 or not kept.id.startswith(given):
                break
            found.append(kept)
    return found
