"""The second and third layer of an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.protocol.webhook_signing import event_text
from tests.support import SITE
from wix_asgi.protocol.webhook_event import SignedEvent, read_event

ISSUED = datetime(2026, 11, 1, tzinfo=UTC)


def read(text: str) -> SignedEvent:
    """Read an event of a fixed time."""
    return read_event(text, ISSUED)


def test_event_is_read() -> None:
    """The type is the layer's own, never the slug of the data; both ids are found."""
    data = {"id": "id-1", "slug": "merge", "entityFqdn": "wix.contacts.v4.contact"}
    event = read(event_text(data, eventType="wix.contacts.v4.contact_merged", webhookId="wId_1"))

    assert ("wix.contacts.v4.contact_merged", SITE) == (event.event_type, event.instance_id)
    assert ("wId_1", "id-1", ISSUED) == (event.webhook_id, event.data_id, event.issued_at)
    assert data == event.data


DATA: dict[str, tuple[Any, Any]] = {
    "an object": ('{"a": 1}', {"a": 1}),
    "a list": ("[1]", [1]),
    "a number": ("1", 1),
    "no JSON": ("order 12", "order 12"),
    "an empty text": ("", ""),
    "an object that is no text": ({"a": 1}, {"a": 1}),
    "nothing": (None, None),
    "JSON in JSON": ('{"entityAsJson": "{}"}', {"entityAsJson": "{}"}),
    "half a character": ('{"name": "\\ud83d"}', {"name": "\ud83d"}),
    "a hundred levels": ("[" * 100 + "]" * 100, json.loads("[" * 100 + "]" * 100)),
}


@pytest.mark.parametrize(("data", "expected"), DATA.values(), ids=DATA)
def test_data_are_parsed_once(data: Any, expected: Any) -> None:
    """Data that are JSON are parsed, other texts and values are handed on as they are."""
    layer = json.loads(event_text())

    assert expected == read(json.dumps({**layer, "data": data})).data


IDENTITIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "a text": ('{"identityType": "APP", "appId": "a"}', {"identityType": "APP", "appId": "a"}),
    "an object": ({"identityType": "MEMBER"}, {"identityType": "MEMBER"}),
    "no JSON": ("somebody", {}),
    "a list": ("[]", {}),
    "null": (None, {}),
}


@pytest.mark.parametrize(("identity", "expected"), IDENTITIES.values(), ids=IDENTITIES)
def test_identity_is_an_object_or_empty(identity: Any, expected: dict[str, Any]) -> None:
    """The identity is parsed, and empty where Wix names none."""
    assert expected == read(event_text(identity=identity)).identity


@pytest.mark.parametrize("value", [None, "", 1, ["a"]], ids=repr)
def test_id_of_another_form_is_none(value: Any) -> None:
    """An id that is no text, or empty, is no id."""
    event = read(event_text({"id": value}, webhookId=value))

    assert (None, None) == (event.webhook_id, event.data_id)


def test_event_is_read_again_as_before() -> None:
    """The kept text gives the same event, which the worker reads after the endpoint."""
    event = read(event_text({"id": "a"}, identity="{}", webhookId="b"))

    assert event == read(event.text)


def test_error_shows_nothing_of_an_event() -> None:
    """Neither the message, a context, nor a variable of a frame holds the event."""
    text = event_text({"name": "test-name"}, instanceId="")
    with pytest.raises(ValueError, match="no JSON object with an eventType") as caught:
        read(text)

    assert caught.value.__context__ is None
    # The first frames are this test's own.
    assert "test-name" not in repr([entry.frame.f_locals for entry in caught.traceback[2:]])


def test_repr_shows_nothing_of_an_event() -> None:
    """The repr names the type and the installation, not the personal data."""
    event = read(event_text({"name": "test-name"}, identity='{"memberId": "test-member"}'))

    assert "AppInstalled" in repr(event)
    assert "test-name" not in repr(event)
    assert "test-member" not in repr(event)
