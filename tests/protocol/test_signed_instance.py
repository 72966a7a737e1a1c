"""Signed instances: genuine ones name their site, and no forgery passes."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.identity.signing import (
    BASE64URL,
    CLAIMS,
    GOOD,
    INSTANCES,
    OLD_SECRET,
    SECRET,
    encode,
    settings,
    sign,
    sign_data,
)
from tests.support import SITE
from wix_asgi import CallerReason, Identity, Unauthenticated
from wix_asgi.protocol.signed_instance import SignedInstances
from wix_asgi.testing import FakeWix


def test_genuine_instance_says_who_is_calling() -> None:
    """A value signed with the app secret gives its installation and all its claims (R41)."""
    identity = INSTANCES.verify(GOOD, 0.0)

    assert Identity(SITE, CLAIMS) == identity
    assert "user-1" == identity.user_id
    assert identity.is_owner


def test_fake_wix_signs_as_wix_does() -> None:
    """An instance that FakeWix signs is taken, and says the same."""
    fake = FakeWix()
    signed = SignedInstances(settings(app_secret=fake.app_secret))

    assert SITE == signed.verify(fake.signed_instance(SITE), 0.0).instance_id


UNTIL = datetime(2026, 12, 1, 12, tzinfo=UTC)
AFTER = [(-1.0, True), (0.0, False), (86400.0, False)]


@pytest.mark.parametrize(("seconds", "is_good"), AFTER)
def test_previous_secret_is_good_until_a_moment(seconds: float, is_good: bool) -> None:
    """A previous secret verifies until the time that is set; the clock decides each time (R57)."""
    signed = SignedInstances(
        settings(previous_app_secrets=OLD_SECRET, previous_secrets_until=UNTIL)
    )
    old, now = sign(CLAIMS, OLD_SECRET), UNTIL.timestamp() + seconds

    assert is_good == is_taken(signed, old, now)
    assert is_taken(signed, GOOD, now)
    assert not is_taken(signed, sign(CLAIMS, "test-app-secret-of-others"), now)


def test_previous_secret_verifies_nothing_by_default() -> None:
    """Without a time, a leaked secret that became a previous one forges nothing (R57)."""
    signed = SignedInstances(settings(previous_app_secrets=OLD_SECRET))
    with pytest.raises(Unauthenticated, match="of a previous app secret") as caught:
        signed.verify(sign(CLAIMS, OLD_SECRET), 0.0)

    assert CallerReason.FORGED == caught.value.reason


def test_a_secret_may_be_both() -> None:
    """The app secret goes on verifying where it stands among the previous ones, too."""
    signed = SignedInstances(settings(previous_app_secrets=SECRET))

    assert is_taken(signed, GOOD, 0.0)


def is_taken(signed: SignedInstances, value: str, now: float) -> bool:
    """Return whether `value` names its site at the moment `now`."""
    try:
        return SITE == signed.verify(value, now).instance_id
    except Unauthenticated:
        return False


_signature, _, _data = GOOD.partition(".")
_digest = hmac.digest(SECRET.encode(), _data.encode(), hashlib.sha256)
_decoded_digest = hmac.digest(SECRET.encode(), json.dumps(CLAIMS).encode(), hashlib.sha256)
_last = BASE64URL.index(_signature[-1])
_spaced = encode(json.dumps(CLAIMS).encode() + b" " * (-len(json.dumps(CLAIMS)) % 3 + 1))
FORGERIES = {
    "empty": "",
    "a dot": ".",
    "no signature": f".{_data}",
    "no data": f"{_signature}.",
    "data alone": _data,
    "swapped halves": f"{_data}.{_signature}",
    "three parts": f"{GOOD}.{_data}",
    "hexadecimal signature": f"{_digest.hex()}.{_data}",
    "padded signature": f"{_signature}=.{_data}",
    "padded data": f"{GOOD}=",
    "padded and signed data": sign_data(_data + "=" * (-len(_data) % 4 or 4)),
    "standard alphabet": sign_data(_data[:-4] + "+/+/"),
    "leading space": f" {GOOD}",
    "trailing newline": f"{GOOD}\n",
    "space within": GOOD.replace(".", ". "),
    "NUL": f"{GOOD}\0",
    "not ASCII": f"{GOOD[:-1]}ä",
    "digits of other scripts": f"{GOOD[:-1]}٣",
    "last character not canonical": f"{_signature[:-1]}{BASE64URL[_last + 1]}.{_data}",
    "data not canonical": sign_data(_spaced[:-1] + BASE64URL[BASE64URL.index(_spaced[-1]) + 1]),
    "data of impossible length": sign_data("AAAAA"),
    "shortened signature": f"{_signature[:-1]}.{_data}",
    "signature of SHA-1": f"{encode(hmac.digest(SECRET.encode(), _data.encode(), 'sha1'))}.{_data}",
    "signature of the decoded data": f"{encode(_decoded_digest)}.{_data}",
    "signed without a secret": sign(CLAIMS, ""),
    "over 8 kB": sign({**CLAIMS, "more": "x" * 8192}),
    "not JSON": sign(b"instanceId"),
    "nothing": sign(b""),
    "not UTF-8": sign(b'{"instanceId": "\xff"}'),
    "a byte order mark": sign(b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode()),
    "a JSON list": sign([CLAIMS]),
    "a JSON text": sign(SITE),
    "JSON null": sign(None),
    "a key twice": sign(b'{"instanceId": "a", "instanceId": "a"}'),
    "a key twice, within": sign(b'{"instanceId": "a", "b": {"c": 1, "c": 1}}'),
    "NaN": sign(b'{"instanceId": "a", "b": NaN}'),
    "Infinity": sign(b'{"instanceId": "a", "b": -Infinity}'),
    "a number of 5000 digits": sign(b'{"instanceId": "a", "b": ' + b"9" * 5000 + b"}"),
    "nested too deep": sign(b"[" * 6000),
    "no instanceId": sign({"uid": "user-1"}),
    "an empty instanceId": sign({"instanceId": ""}),
    "a list for an instanceId": sign({"instanceId": [SITE]}),
    "a number for an instanceId": sign({"instanceId": 1}),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_forgery_is_refused(forgery: str) -> None:
    """A malformed or wrongly signed instance, or one without an installation, is refused (R41)."""
    with pytest.raises(Unauthenticated) as caught:
        INSTANCES.verify(forgery, 0.0)

    assert ("forged", None) == (caught.value.reason, caught.value.instance_id)
    assert caught.value.__context__ is None


def test_every_changed_byte_is_noticed() -> None:
    """No character of a genuine value can be another one, be left out or be doubled (R41)."""
    changed = [
        GOOD[:at] + character + GOOD[at + 1 :]
        for at in range(len(GOOD))
        for character in BASE64URL + ".=+/ "
        if character != GOOD[at]
    ]
    changed += [GOOD[:at] + GOOD[at + 1 :] for at in range(len(GOOD))]
    changed += [GOOD[:at] + GOOD[at] + GOOD[at:] for at in range(len(GOOD))]

    for value in changed:
        with pytest.raises(Unauthenticated):
            INSTANCES.verify(value, 0.0)


@given(st.text() | st.text(BASE64URL + ".=", max_size=200))
def test_random_text_is_refused(value: str) -> None:
    """Any text is refused as Unauthenticated, and as nothing else."""
    with pytest.raises(Unauthenticated):
        INSTANCES.verify(value, 0.0)


@given(st.binary(max_size=300))
@hypothesis.example(b"{}")
def test_signed_nonsense_is_refused(payload: bytes) -> None:
    """A signed payload that is no object with an instanceId is refused, and no more happens."""
    hypothesis.assume(b"instanceId" not in payload)
    with pytest.raises(Unauthenticated):
        INSTANCES.verify(sign(payload), 0.0)


def test_secrets_are_not_compared_by_equality() -> None:
    """Signatures are compared in constant time, with every secret there is (R6)."""
    compared: list[tuple[bytes, bytes]] = []
    signed = SignedInstances(settings(previous_app_secrets=OLD_SECRET))

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hmac, "compare_digest", compare)
        with pytest.raises(Unauthenticated):
            signed.verify(GOOD, 0.0)

    assert 2 == len(compared)
    assert {32} == {len(value) for pair in compared for value in pair}
