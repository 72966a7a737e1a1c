"""Tokens of webhooks: Wix's own are read, by any of the app's keys."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.protocol.webhook_signing import (
    APP_ID,
    LIFETIME,
    NOW,
    claims,
    event_text,
    pem,
    private_key,
    sign,
    sign_bytes,
)
from tests.support import SITE
from wix_asgi.protocol.webhook_token import ForgedToken, WebhookTokens


def tokens(*keys: str) -> WebhookTokens:
    """Return the verifier of an app with these keys, or Wix's own."""
    return WebhookTokens(keys or [pem(private_key())], app_id=APP_ID, clock=lambda: NOW)


def test_genuine_token_gives_its_event() -> None:
    """A token as Wix signs it gives the type, the installation, the data and the time (R42)."""
    event = tokens().verify(sign(claims()))

    assert ("AppInstalled", SITE) == (event.event_type, event.instance_id)
    assert {"appId": APP_ID, "originInstanceId": ""} == event.data
    assert datetime.fromtimestamp(NOW, UTC) == event.issued_at
    assert event_text() == event.text


@pytest.mark.parametrize("around", [b" ", b"\n", b"\r\n\t ", b" " * 10_000])
def test_white_space_around_is_no_part_of_a_token(around: bytes) -> None:
    """White space before and behind a token is passed over (R42)."""
    event = tokens().verify(around + sign(claims()) + around)

    assert SITE == event.instance_id


def test_any_key_of_the_settings_verifies() -> None:
    """During a change of the key both are good, in any order; a third is not (R42)."""
    both = tokens(pem(private_key("old")), pem(private_key()))

    assert SITE == both.verify(sign(claims())).instance_id
    assert SITE == both.verify(sign(claims(), key=private_key("old"))).instance_id
    with pytest.raises(ForgedToken):
        both.verify(sign(claims(), key=private_key("stranger")))


HEADERS: dict[str, dict[str, Any]] = {
    "a kid that is null": {"kid": None},
    "a kid like a path": {"kid": "../../dev/null"},
    "a kid like SQL": {"kid": "' OR 1=1"},
    "a kid that is a number": {"kid": 1},
    "a type": {"typ": "JWT"},
    "a key": {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}},
    "an address of keys": {"jku": "https://keys.example.com", "x5u": "https://keys.example.com"},
    "certificates": {"x5c": ["MII" * 1000]},
    "a parameter of the future": {"ver": 2},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_header_names_no_key(header: dict[str, Any]) -> None:
    """A header's words about keys change nothing: a token of our key stays good (R42)."""
    event = tokens().verify(sign(claims(), **header))

    assert SITE == event.instance_id


GOOD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired within the leeway": {"iat": NOW - LIFETIME, "exp": NOW - 59},
    "issued within the leeway": {"iat": NOW + 60},
    "not before, within the leeway": {"nbf": NOW + 60},
    "good for 60 days": {"exp": NOW + 60 * 86400},
    "issued by Wix": {"iss": "wix.com"},
    "for this app": {"aud": APP_ID},
    "for this app and another": {"aud": ["another", APP_ID]},
    "a claim of the future": {"ver": 2},
}


@pytest.mark.parametrize("changes", GOOD_CLAIMS.values(), ids=GOOD_CLAIMS)
def test_claims_within_the_bounds_are_good(changes: dict[str, Any]) -> None:
    """Clocks may differ by a minute, and claims that Wix's tokens lack must fit (R42)."""
    event = tokens().verify(sign(claims(**changes)))

    assert SITE == event.instance_id


def test_large_token_is_read() -> None:
    """A body of a megabyte passes the bounds of the library beneath (R42)."""
    text = event_text("x" * 700_000)
    token = sign(claims(data=text))

    assert 900_000 < len(token) < 1_000_000
    assert text == tokens().verify(token).text


def test_error_shows_nothing_of_a_token() -> None:
    """Neither the message, a context, nor a variable of a frame holds the token or its data."""
    token = sign(claims(exp=NOW - 60, data=event_text({"name": "test-name"})))
    with pytest.raises(ForgedToken, match="has expired") as caught:
        tokens().verify(token)

    assert caught.value.__context__ is None
    # The first frame is this test's own.
    variables = [repr(entry.frame.f_locals) for entry in caught.traceback[1:]]
    assert [] == [text for text in variables if "test-name" in text or repr(token)[2:40] in text]


def test_import_loads_no_jose() -> None:
    """`import wix_asgi` loads no library for tokens, and an app without webhooks never does."""
    code = (
        "import sys, wix_asgi, wix_asgi.protocol.webhook_token as t\n"
        "before = 'joserfc' in sys.modules\n"
        "t.WebhookTokens([], app_id='test-app')\n"
        "print(before, 'joserfc' in sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)

    assert "False True\n" == printed


def test_key_that_is_none_is_told() -> None:
    """A verifier is not made with a text that is no key."""
    with pytest.raises(ValueError, match="key"):
        tokens("test-key")


def test_names_are_read_as_they_are() -> None:
    """Text of the claims outside ASCII is read, as characters and as escapes (R42)."""
    text = event_text({"name": "Zoë 🙂"})
    raw = json.dumps(claims(data=text), ensure_ascii=False).encode()

    assert {"name": "Zoë 🙂"} == tokens().verify(sign_bytes(b'{"alg":"RS256"}', raw)).data
