"""Which signed instances lend the app's client, wherever in a request they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.identity.signing import CALLERS, CLAIMS, NOW, sign
from tests.support import SITE
from wix_asgi import Unauthenticated
from wix_asgi.identity.callers import RequestCaller

OLD = NOW - timedelta(hours=25)
AHEAD = NOW + timedelta(hours=1)
BEHIND = NOW - timedelta(hours=1)
VISITOR_OF_2014 = {"uid": None, "permissions": None, "signDate": "2014-01-07T16:25:17.137Z"}

INSTANCES: dict[str, tuple[dict[str, Any], str | None]] = {
    "an owner's": ({}, None),
    "an owner's, 23 hours old": ({"signDate": (NOW - timedelta(hours=23)).isoformat()}, None),
    "an owner's of a host whose clock is ahead": ({"signDate": AHEAD.isoformat()}, None),
    "an owner's with an end ahead": ({"expirationDate": AHEAD.isoformat()}, None),
    "another app's": ({"appDefId": "app-2"}, "other_app"),
    "no app's": ({"appDefId": None}, "other_app"),
    "a visitor's": ({"aid": "visitor-1"}, "visitor"),
    "a visitor's of 2014, without aid": (VISITOR_OF_2014, "permissions"),
    "a collaborator's": ({"permissions": "EDITOR"}, "permissions"),
    "an empty permission's": ({"permissions": ""}, "permissions"),
    "a day old": ({"signDate": OLD.isoformat()}, "too_old"),
    "a day old, in another zone": ({"signDate": f"{OLD:%Y-%m-%dT%H:%M:%S}+00:00"}, "too_old"),
    "a day old, without an offset": ({"signDate": f"{OLD:%Y-%m-%dT%H:%M:%S}"}, "too_old"),
    "of an unreadable day": ({"signDate": "yesterday"}, "too_old"),
    "of no day": ({"signDate": None}, "too_old"),
    "at its end": ({"expirationDate": BEHIND.isoformat()}, "ended"),
    "at its end, in milliseconds": (
        {"expirationDate": int(BEHIND.timestamp() * 1000)},
        "ended",
    ),
    "at its end, as RFC 1123": (
        {"expirationDate": f"{BEHIND.astimezone(UTC):%a, %d %b %Y %H:%M:%S} GMT"},
        "ended",
    ),
    "of an unreadable end": ({"expirationDate": "some day"}, "ended"),
}


@pytest.mark.parametrize("place", ["query", "header"])
@pytest.mark.parametrize(("change", "reason"), INSTANCES.values(), ids=INSTANCES)
async def test_which_instance_lends_the_client(
    change: dict[str, Any], reason: str | None, place: str
) -> None:
    """Only a genuine instance of this app, of an owner and of this day lends the client (R53)."""
    value = sign({**CLAIMS, **change})
    query = f"instance={value}".encode() if place == "query" else b""
    headers = [(b"authorization", value.encode())] if place == "header" else []
    asked = RequestCaller(CALLERS, query, headers)
    told = None
    try:
        await asked.identify()
    except Unauthenticated as refusal:
        told = refusal.reason

    assert reason == told
    assert (SITE if reason is None else None) == (asked.identity and asked.identity.instance_id)
    assert datetime.now(UTC) - NOW < timedelta(hours=1)
