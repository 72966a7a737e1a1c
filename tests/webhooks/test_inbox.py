"""The inbox: the keys by which a second copy is known, and the seal of an event."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support import SITE
from wix_asgi.errors import UnknownKey, UnsealError
from wix_asgi.models import EventRecord, EventState
from wix_asgi.protocol.webhook_event import SignedEvent, read_event
from wix_asgi.sealing.vault import Vault
from wix_asgi.webhooks.inbox import Inbox, KeptEvent, event_keys
from wix_asgi_backends.memory import MemoryStorage

ISSUED_AT = datetime(2026, 11, 29, 10, 20, tzinfo=UTC)
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))


def event(**changes: Any) -> SignedEvent:
    """Return an event but for `changes` of its second layer."""
    layer = {"eventType": "AppInstalled", "instanceId": SITE, "data": "{}", **changes}
    return read_event(json.dumps(layer), ISSUED_AT)


def with_id(data_id: str, **changes: Any) -> SignedEvent:
    """Return an event whose data have this `id`."""
    return event(data=json.dumps({"id": data_id}), **changes)


class Kept:
    """An inbox in memory."""

    def __init__(self, *keys: bytes, app_id: str = "an-app") -> None:
        self.storage = MemoryStorage()
        self.inbox = Inbox(app_id, self.storage, Vault(keys or [KEY]))

    def of(self, *keys: bytes, app_id: str = "an-app") -> Inbox:
        """Return another inbox in the same storage."""
        return Inbox(app_id, self.storage, Vault(keys or [KEY]))

    async def all(self, state: EventState | None = None) -> list[KeptEvent]:
        """Return all events."""
        return [kept async for kept in self.inbox.all(state)]


async def test_an_event_comes_out_as_it_went_in() -> None:
    """Text, ids and time of an event outlast the storage, and its id tells nothing of Wix's."""
    kept = Kept()
    kept_event = with_id("d-1", webhookId="wId_1", identity='{"identityType": "APP"}')
    assert await kept.inbox.add(kept_event, body=b"a body")
    (taken,) = await kept.inbox.take("me", limit=5, lease=20)

    assert kept_event == kept.inbox.open(taken)
    assert 32 == len(taken.id)
    assert set(taken.id) <= set("0123456789abcdef")


async def test_no_payload_is_in_the_storage() -> None:
    """The storage sees an event's type and installation, and nothing of its data (R32)."""
    kept = Kept()
    await kept.inbox.add(event(data="personal data"), body=b"a body")
    (record,) = [each.record for each in await kept.all()]

    assert ("AppInstalled", SITE) == (record.event_type, record.instance_id)
    assert record.payload is not None
    assert b"personal" not in record.payload


SAME = {
    "both ids": (with_id("d", webhookId="w"), with_id("d", webhookId="w")),
    "another webhookId": (with_id("d", webhookId="w"), with_id("d", webhookId="v")),
    "another data id": (with_id("d", webhookId="w"), with_id("e", webhookId="w")),
    "webhookId lost": (with_id("d", webhookId="w"), with_id("d")),
    "webhookId won": (with_id("d"), with_id("d", webhookId="w")),
    "data id lost": (with_id("d", webhookId="w"), event(webhookId="w")),
    "data id won": (event(webhookId="w"), with_id("d", webhookId="w")),
    "data id alone": (with_id("d"), with_id("d")),
}


@pytest.mark.parametrize(("first", "second"), SAME.values(), ids=SAME)
async def test_one_id_makes_a_copy(first: SignedEvent, second: SignedEvent) -> None:
    """A second copy is known by Wix's `webhookId` or by the `id` of its data (R43)."""
    kept = Kept()

    assert await kept.inbox.add(first, body=b"a body")
    assert not await kept.inbox.add(second, body=b"another body")
    assert 1 == len(await kept.all())


DIFFERENT = {
    "both ids": (with_id("d", webhookId="w"), with_id("e", webhookId="v")),
    "a site": (with_id("d", webhookId="w"), with_id("d", webhookId="w", instanceId="another")),
    "a type": (with_id("d", webhookId="w"), with_id("d", webhookId="w", eventType="AppRemoved")),
    "the kind of id": (event(webhookId="x"), with_id("x")),
    "none": (event(), event()),
    "where parts end": (
        event(instanceId="ab", eventType="c", webhookId="w"),
        event(instanceId="a", eventType="bc", webhookId="w"),
    ),
}


@pytest.mark.parametrize(("first", "second"), DIFFERENT.values(), ids=DIFFERENT)
async def test_other_events_are_kept_beside_it(first: SignedEvent, second: SignedEvent) -> None:
    """An id counts with its site and its type; without ids the body tells two events apart."""
    kept = Kept()

    assert await kept.inbox.add(first, body=b"a body")
    assert await kept.inbox.add(second, body=b"another body")
    assert 2 == len(await kept.all())


async def test_an_event_without_ids_is_known_by_its_body() -> None:
    """The same body is the same event where Wix gave no id (R43)."""
    kept = Kept()

    assert await kept.inbox.add(event(), body=b"a body")
    assert not await kept.inbox.add(event(), body=b"a body")


async def test_apps_know_their_own_events_alone() -> None:
    """Two apps in one storage may get events with the same ids."""
    kept = Kept()

    assert await kept.inbox.add(event(webhookId="w"), body=b"")
    assert await kept.of(app_id="another-app").add(event(webhookId="w"), body=b"")
    assert 1 == len(await kept.all())


def test_the_keys_are_the_same_in_every_release() -> None:
    """A key is kept for days, so that another release has to make the same one."""
    body = b"a body"

    assert ("a09cbf34b55b3f12cdfa5ee12814464d", None) == event_keys(event(webhookId="w"), body)
    assert event_keys(with_id("d"), body)[0] == event_keys(with_id("d"), body)[1]
    assert event_keys(with_id("d"), body)[1] == event_keys(with_id("d", webhookId="w"), body)[1]


CHANGES = {
    "app": {"app_id": "another-app"},
    "site": {"instance_id": "another-site"},
    "event": {"event_id": "0" * 32},
    "payload": {"payload": b"\x01" + bytes(60)},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
async def test_a_row_that_was_moved_opens_nowhere(changes: dict[str, Any]) -> None:
    """A payload opens in the row of its own event, site and app alone (R32)."""
    kept = Kept()
    await kept.inbox.add(event(webhookId="w"), body=b"")
    (found,) = await kept.all()
    moved = KeptEvent(dataclasses.replace(found.record, **changes))
    inbox = kept.of(app_id=moved.record.app_id)

    with pytest.raises(UnsealError):
        inbox.open(moved)


async def test_a_payload_of_a_lost_key_names_the_key() -> None:
    """An event that was sealed by a key outside of the ring is told apart from a changed one."""
    kept = Kept()
    await kept.inbox.add(event(), body=b"")
    (found,) = await kept.all()

    with pytest.raises(UnknownKey):
        kept.of(OTHER_KEY).open(found)


async def test_a_new_key_seals_the_inbox_anew() -> None:
    """A payload is sealed anew by the newest key, and the older key is needed no more (R33)."""
    kept = Kept()
    await kept.inbox.add(event(webhookId="w"), body=b"")
    (before,) = await kept.all()
    rotated = kept.of(OTHER_KEY, KEY)
    first, second = await rotated.reseal(before), await rotated.reseal(before)
    (after,) = await kept.all()

    assert (True, False) == (first, second)
    assert (False, True) == (rotated.is_newest(before), rotated.is_newest(after))
    assert event(webhookId="w") == kept.of(OTHER_KEY).open(after)


async def test_a_done_event_has_no_payload() -> None:
    """A done event keeps its keys, and there is nothing to open or to seal anew."""
    kept = Kept()
    await kept.inbox.add(event(webhookId="w"), body=b"")
    (taken,) = await kept.inbox.take("me", limit=1, lease=20)
    ended = await kept.inbox.finish(taken, "me", keep=3600, outcomes="all done")
    found = await kept.inbox.find(taken.id)

    assert ended
    assert found is not None
    assert EventState.DONE == found.record.state
    assert kept.inbox.is_newest(found)
    assert not await kept.inbox.add(event(webhookId="w"), body=b"")
    with pytest.raises(ValueError, match="no payload"):
        kept.inbox.open(found)


async def test_a_lease_is_renewed_given_back_and_lost() -> None:
    """The owner of a lease renews it and gives it back; another one can do neither."""
    kept = Kept()
    await kept.inbox.add(event(), body=b"")
    (taken,) = await kept.inbox.take("me", limit=1, lease=20)

    assert not await kept.inbox.renew(taken, "another", lease=20, outcomes="")
    assert await kept.inbox.renew(taken, "me", lease=20, outcomes="half")
    assert not await kept.inbox.postpone(taken, "another", delay=0, outcomes="")
    assert await kept.inbox.postpone(taken, "me", delay=0, outcomes="half", failure="a reason")
    assert not await kept.inbox.postpone(taken, "me", delay=0, outcomes="")
    (again,) = await kept.inbox.take("another", limit=1, lease=20)
    assert ("half", "a reason", 2) == (
        again.record.outcomes,
        again.record.failure,
        again.record.attempts,
    )


async def test_dead_letters_are_listed_retried_and_dropped() -> None:
    """An operator finds dead letters, makes one due again, and drops another."""
    kept = Kept()
    for name in ("a", "b"):
        await kept.inbox.add(event(webhookId=name), body=b"")
    for taken in await kept.inbox.take("me", limit=2, lease=20):
        await kept.inbox.finish(taken, "me", keep=3600, outcomes="", failure="f", is_dead=True)
    first, second = await kept.all(EventState.DEAD)
    counts = await kept.inbox.count(10)
    retried = await kept.inbox.retry(first, outcomes="")
    dropped = await kept.inbox.drop(second, keep=3600)

    assert (0, 2) == (counts.waiting, counts.dead)
    assert (True, True) == (retried, dropped)
    assert [first.id] == [each.id for each in await kept.all(EventState.WAITING)]
    assert event(webhookId="a") in [kept.inbox.open(first), kept.inbox.open(second)]


async def test_all_pages_are_read() -> None:
    """More events than a page has are listed, each once."""
    kept = Kept()
    for number in range(250):
        await kept.inbox.add(event(webhookId=str(number)), body=b"")
    found = [each.id for each in await kept.all()]

    assert 250 == len(found)
    assert sorted(set(found)) == found


async def test_ended_events_are_purged() -> None:
    """Events whose keys need not be known any more are removed."""
    kept = Kept()
    await kept.inbox.add(event(webhookId="w"), body=b"")
    (taken,) = await kept.inbox.take("me", limit=1, lease=20)
    await kept.inbox.finish(taken, "me", keep=0, outcomes="")

    assert 1 == await kept.inbox.purge()
    assert await kept.inbox.find(taken.id) is None
    assert 0 == await kept.inbox.purge()


def test_a_record_shows_no_payload() -> None:
    """No repr of a record or of an event shows its data (R35)."""
    record = EventRecord(
        app_id="a",
        event_id="b",
        event_type="c",
        instance_id="d",
        payload=b"secret",
        issued_at=ISSUED_AT,
    )

    assert "secret" not in repr(KeptEvent(record))
    assert "secret" not in repr(event(data='{"name": "secret"}'))
