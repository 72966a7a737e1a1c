"""Seals every event of the inbox anew with the newest key, beside workers that handle events."""

from __future__ import annotations

from collections.abc import Callable

from wix_asgi.errors import UnknownKey, UnsealError
from wix_asgi.models import EventState
from wix_asgi.operations.rotate_keys import Rotation
from wix_asgi.webhooks.inbox import Inbox, KeptEvent

__all__ = ["reseal_events"]


async def reseal_events(
    inbox: Inbox, *, report: Callable[[Rotation], object] = lambda _: None
) -> Rotation:
    """Seal the payload of every waiting event and dead letter with the newest key, and count them.

    It is safe while workers take, handle and postpone events, for none of these writes a payload:
    it is written by comparison, and an event that was done meanwhile has none. Every payload is
    unsealed, also those under the newest key, so that the counts prove which keys are still needed.
    Events that came during the rotation may not be counted: a process that knows the newest key has
    sealed them with it. `report` is called after each event.

    Raises:
        StorageUnavailable: The storage cannot be reached. The events resealed until then stay, and
            another rotation goes on from there.
    """
    rotation, seen = Rotation(), set[str]()
    # Waiting events again: a dead letter may have been retried between the reading of the two.
    for state in (EventState.WAITING, EventState.DEAD, EventState.WAITING):
        async for kept in inbox.all(state):
            if kept.id not in seen:
                seen.add(kept.id)
                await _reseal(inbox, kept, rotation)
                report(rotation)
    return rotation


async def _reseal(inbox: Inbox, kept: KeptEvent, rotation: Rotation) -> None:
    now: KeptEvent | None = kept
    try:
        while now is not None and not inbox.is_newest(now):
            if await inbox.reseal(now):
                rotation.resealed += 1
                return
            # Another rotation has written it, or it was done in between.
            now = await inbox.find(kept.id)
        if now is not None and now.record.payload is not None:
            inbox.unseal(now)
    except UnknownKey as exc:
        rotation.unknown[exc.key_id] = rotation.unknown.get(exc.key_id, 0) + 1
    except UnsealError:
        rotation.damaged += 1
    else:
        rotation.current += 1
