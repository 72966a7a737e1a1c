"""The rules for genuine signed instances: whose, of which app, and how old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from tests.identity.signing import CLAIMS, settings
from tests.support import SITE
from wix_asgi import Identity
from wix_asgi.protocol.instance_rules import InstanceRules

NOW = datetime(2026, 11, 28, 22, 28, 9, tzinfo=UTC)
DAY_AGO = NOW - timedelta(days=1)
TOO_OLD = DAY_AGO - timedelta(seconds=1)
SOON = NOW + timedelta(seconds=1)
JUST_NOW = NOW - timedelta(seconds=1)


def reason(changed: dict[str, Any], **given: Any) -> str | None:
    """Return why an instance with these claims changed is refused; a claim of ... is left out."""
    claims = {**CLAIMS, "signDate": NOW.isoformat(), **changed}
    kept = {name: value for name, value in claims.items() if value is not ...}
    rules = InstanceRules(settings(**given))
    refusal = rules.refusal(Identity(SITE, kept), NOW.timestamp())
    if refusal is None:
        return None
    assert SITE == refusal.instance_id
    return refusal.reason.value


SIGN_DATES: dict[str, tuple[Any, bool]] = {
    "a day old": (DAY_AGO.isoformat(), True),
    "over a day old": (TOO_OLD.isoformat(), False),
    "over a day old, as Wix writes it": (f"{TOO_OLD:%Y-%m-%dT%H:%M:%S}.000Z", False),
    "over a day old, without an offset": (f"{TOO_OLD:%Y-%m-%dT%H:%M:%S}", False),
    "over a day old, in another zone": (
        TOO_OLD.astimezone(timezone(timedelta(hours=14))).isoformat(),
        False,
    ),
    "a day old, in another zone": (
        DAY_AGO.astimezone(timezone(timedelta(hours=-12))).isoformat(),
        True,
    ),
    "over a day old, without hyphens": (f"{TOO_OLD:%Y%m%dT%H%M%SZ}", False),
    "ahead of the clock": ((NOW + timedelta(days=400)).isoformat(), True),
    "unreadable": ("yesterday", False),
    "a number": (NOW.timestamp(), False),
    "null": (None, False),
    "missing": (..., False),
}


@pytest.mark.parametrize(("sign_date", "is_good"), SIGN_DATES.values(), ids=SIGN_DATES)
def test_a_day_is_the_age_of_an_instance(sign_date: Any, is_good: bool) -> None:
    """After a day, or without a readable signDate, an instance is too old (R53)."""
    assert (None if is_good else "too_old") == reason({"signDate": sign_date})


AGES = [(0, TOO_OLD, None), (90000, TOO_OLD, None), (60, DAY_AGO, "too_old"), (60, NOW, None)]


@pytest.mark.parametrize(("max_age", "signed_at", "expected"), AGES)
def test_the_age_is_a_setting(max_age: int, signed_at: datetime, expected: str | None) -> None:
    """`instance_max_age` is in seconds, and 0 means for ever (R53)."""
    assert expected == reason({"signDate": signed_at.isoformat()}, instance_max_age=max_age)


def test_for_ever_needs_no_date() -> None:
    """Where an instance is good for ever, its signDate is not read (R53)."""
    assert reason({"signDate": ...}, instance_max_age=0) is None


ENDS: dict[str, tuple[Any, bool]] = {
    "ahead": (SOON.isoformat(), True),
    "past": (JUST_NOW.isoformat(), False),
    "ahead, in seconds": (int(SOON.timestamp()), True),
    "past, in seconds": (int(JUST_NOW.timestamp()), False),
    "ahead, in milliseconds": (int(SOON.timestamp() * 1000), True),
    "past, in milliseconds": (int(JUST_NOW.timestamp() * 1000), False),
    "ahead, in seconds as text": (str(int(SOON.timestamp())), True),
    "past, in seconds as text": (str(int(JUST_NOW.timestamp())), False),
    "ahead, in milliseconds as text": (str(int(SOON.timestamp() * 1000)), True),
    "past, in milliseconds as text": (str(int(JUST_NOW.timestamp() * 1000)), False),
    "ahead, as RFC 1123": (format_datetime(SOON, usegmt=True), True),
    "past, as RFC 1123": (format_datetime(JUST_NOW, usegmt=True), False),
    "unreadable": ("some day", False),
    "empty": ("", False),
    "of another type": ([], False),
    "null": (None, True),
    "missing": (..., True),
}


@pytest.mark.parametrize(("end", "is_good"), ENDS.values(), ids=ENDS)
def test_an_instance_ends_when_it_says(end: Any, is_good: bool) -> None:
    """After its expirationDate, or with one that cannot be read, an instance has ended (R53)."""
    assert (None if is_good else "ended") == reason({"expirationDate": end})


PERMISSIONS: list[tuple[Any, dict[str, Any], bool]] = [
    ("OWNER", {}, True),
    ("EDITOR", {}, False),
    ("owner", {}, False),
    (["OWNER"], {}, False),
    ("", {}, False),
    (None, {}, False),
    (..., {}, False),
    ("EDITOR", {"allowed_permissions": "OWNER,EDITOR"}, True),
    ("OWNER", {"allowed_permissions": ["EDITOR"]}, False),
    ("EDITOR", {"allowed_permissions": "*"}, True),
    (None, {"allowed_permissions": "*"}, True),
    (..., {"allowed_permissions": "*"}, True),
    ("*", {}, False),
]


@pytest.mark.parametrize(("permissions", "given", "is_good"), PERMISSIONS)
def test_permissions_have_to_be_allowed(
    permissions: Any, given: dict[str, Any], is_good: bool
) -> None:
    """Owners may use the client, and others only where the settings allow them (R53)."""
    assert (None if is_good else "permissions") == reason({"permissions": permissions}, **given)


@pytest.mark.parametrize("app_id", ["app-2", "APP-1", "", None, ..., ["app-1"]])
def test_an_instance_is_good_for_its_own_app(app_id: Any) -> None:
    """An instance of another app, or of no app, lends nothing, whoever bears it (R53)."""
    assert "other_app" == reason({"appDefId": app_id}, allowed_permissions="*")


@pytest.mark.parametrize("aid", ["visitor-1", "", 0])
def test_an_anonymous_visitor_gets_nothing(aid: Any) -> None:
    """An instance with an `aid` is a visitor's, whatever else is allowed (R41, R53)."""
    assert "visitor" == reason({"aid": aid}, allowed_permissions="*", instance_max_age=0)


@pytest.mark.parametrize("aid", [None, ...])
def test_site_member_is_no_anonymous_visitor(aid: Any) -> None:
    """Without an `aid`, or with null for one, somebody is there (R41)."""
    assert reason({"aid": aid}) is None


def test_the_most_useful_reason_is_told() -> None:
    """A reload helps against age alone, so age comes last, and another app's instance first."""
    wrong = {
        "appDefId": "app-2",
        "aid": "visitor-1",
        "permissions": None,
        "expirationDate": JUST_NOW.isoformat(),
        "signDate": TOO_OLD.isoformat(),
    }
    told = []
    while wrong:
        told.append(reason(wrong))
        del wrong[next(iter(wrong))]

    assert ["other_app", "visitor", "permissions", "ended", "too_old"] == told


def test_the_value_is_in_the_message_alone() -> None:
    """The message for the log shows the claim, printable and short; the caller's text does not."""
    claims = {**CLAIMS, "permissions": "ED\nITOR" + "ä" * 200}
    refusal = InstanceRules(settings()).refusal(Identity(SITE, claims), NOW.timestamp())
    assert refusal is not None
    message = str(refusal)

    assert message.startswith(r"The signed instance has permissions 'ED\nITOR\xe4")
    assert message.isprintable()
    assert len(message) < 130
    assert "ITOR" not in refusal.detail
