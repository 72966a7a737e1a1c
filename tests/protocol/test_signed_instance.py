"""Signed instances: genuine ones name their site, and no forgery passes."""

from __future__ import annotations

import hashlib
import hmac
import json

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.identity.signing import (
    BASE64URL,
    CLAIMS,
    GOOD,
    OLD_SECRET,
    SECRET,
    SIGNED,
    encode,
    settings,
    sign,
    sign_data,
)
from tests.support import SITE
from wix_asgi import Identity, Unauthenticated
from wix_asgi.protocol.signed_instance import SignedInstances
from wix_asgi.testing import FakeWix


def test_genuine_instance_says_who_is_calling() -> None:
    """A value signed with the app secret gives its installation and all its claims (R41)."""
    identity = SIGNED.verify(GOOD)

    assert Identity(SITE, CLAIMS) == identity
    assert "user-1" == identity.user_id
    assert identity.is_owner


def test_fake_wix_signs_as_wix_does() -> None:
    """An instance that FakeWix signs is taken, and says the same."""
    fake = FakeWix()
    signed = SignedInstances(settings(app_secret=fake.app_secret))

    assert SITE == signed.verify(fake.signed_instance(SITE)).instance_id


@pytest.mark.parametrize(
    ("moment", "is_good"),
    [
        ("2001-01-01T00:00:00.000Z", False),
        ("2001-01-01T00:00:00", False),
        ("2901-01-01T00:00:00.000Z", True),
        ("some day", True),
        (17, True),
    ],
)
def test_expired_instance_is_refused(moment: object, is_good: bool) -> None:
    """Where Wix says until when an instance is good, it is good until then (R41)."""
    value = sign({"instanceId": SITE, "expirationDate": moment})
    try:
        taken = SIGNED.verify(value).instance_id == SITE
    except Unauthenticated:
        taken = False

    assert is_good == taken


def test_previous_secret_is_good_during_a_rotation() -> None:
    """Instances of an earlier app secret are taken, those of a foreign secret are not (R41)."""
    signed = SignedInstances(settings(previous_app_secrets=OLD_SECRET))

    assert SITE == signed.verify(sign(CLAIMS, OLD_SECRET)).instance_id
    assert SITE == signed.verify(GOOD).instance_id
    with pytest.raises(Unauthenticated):
        signed.verify(sign(CLAIMS, "test-app-secret-of-others"))
    with pytest.raises(Unauthenticated):
        SIGNED.verify(sign(CLAIMS, OLD_SECRET))


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
    "an anonymous visitor": sign({**CLAIMS, "aid": "visitor-1"}),
    "an anonymous visitor without a name": sign({**CLAIMS, "aid": ""}),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_forgery_is_refused(forgery: str) -> None:
    """A malformed or wrongly signed instance, or one without an installation, is refused (R41)."""
    with pytest.raises(Unauthenticated):
        SIGNED.verify(forgery)


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
            SIGNED.verify(value)


@given(st.text() | st.text(BASE64URL + ".=", max_size=200))
def test_random_text_is_refused(value: str) -> None:
    """Any text is refused as Unauthenticated, and as nothing else."""
    with pytest.raises(Unauthenticated):
        SIGNED.verify(value)


@given(st.binary(max_size=300))
@hypothesis.example(b"{}")
def test_signed_nonsense_is_refused(payload: bytes) -> None:
    """A signed payload that is no object with an instanceId is refused, and no more happens."""
    hypothesis.assume(b"instanceId" not in payload)
    with pytest.raises(Unauthenticated):
        SIGNED.verify(sign(payload))


@pytest.mark.parametrize("aid", [{}, {"aid": None}])
def test_site_member_is_no_anonymous_visitor(aid: dict[str, None]) -> None:
    """Without an `aid`, or with null for one, somebody is there."""
    assert SITE == SIGNED.verify(sign({**CLAIMS, **aid})).instance_id


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
            signed.verify(GOOD)

    assert 2 == len(compared)
    assert {32} == {len(value) for pair in compared for value in pair}
