"""Keys: spellings that are read, keys that are refused, and a key of its own for each purpose."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wix_asgi.sealing.keys import KEY_BYTES, derive_key, parse_key

KEY = bytes(range(0xE0, 0x100))  # its base64 has characters that differ between the alphabets
SPELLINGS = [
    KEY.hex(),
    KEY.hex().upper(),
    base64.b64encode(KEY).decode(),
    base64.b64encode(KEY).decode().rstrip("="),
    base64.urlsafe_b64encode(KEY).decode(),
    base64.urlsafe_b64encode(KEY).decode().rstrip("="),
    f"  {KEY.hex()}\n",
]
NO_KEYS = [
    "",
    "changeme",
    "correct horse battery staple",
    KEY.hex()[:-2],
    KEY.hex() + "00",
    base64.b64encode(KEY[:-1]).decode(),
    base64.b64encode(KEY + b"x").decode(),
    base64.b64encode(KEY).decode() + "=",
    base64.b64encode(KEY).decode()[:-2] + "!=",
    base64.b64encode(KEY).decode()[:10] + "\n" + base64.b64encode(KEY).decode()[10:],
    "é" * 43,
]
REPEATING = [bytes(32), b"ab" * 16, bytes(range(15)) + bytes(17)]


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_gives_the_same_key(text: str) -> None:
    """Hex, base64 and base64url, padded or not, are all read (R33)."""
    assert KEY == parse_key(text)


@pytest.mark.parametrize("text", NO_KEYS)
def test_a_text_of_no_key_is_refused(text: str) -> None:
    """A text that does not spell 32 bytes is refused, and not shown (R34)."""
    with pytest.raises(
        ValueError, match="must be 32 random bytes, written as base64 or hex"
    ) as info:
        parse_key(text)

    assert not text or text not in str(info.value)


@pytest.mark.parametrize("key", REPEATING)
def test_repeating_key_is_refused(key: bytes) -> None:
    """32 bytes that no generator gives are refused, and not shown (R34)."""
    with pytest.raises(ValueError, match="must be random: this key repeats itself") as info:
        parse_key(key.hex())

    assert key.hex() not in str(info.value)


@given(st.text())
def test_any_text_is_a_key_or_refused(text: str) -> None:
    """Any text gives either a key of 32 bytes or a ValueError."""
    try:
        read = len(parse_key(text))
    except ValueError:
        read = KEY_BYTES

    assert KEY_BYTES == read


def test_random_keys_are_never_refused() -> None:
    """The check for repetition refuses none of 10,000 keys of a generator (R34)."""
    for _ in range(10_000):
        key = os.urandom(KEY_BYTES)

        assert key == parse_key(base64.urlsafe_b64encode(key).decode())


def test_derived_keys_differ_by_purpose_and_secret() -> None:
    """No two purposes share a key, and no two secrets (R31)."""
    keys = {derive_key(secret, purpose) for secret in "ab" for purpose in ("state", "rest")}

    assert 4 == len(keys)
    assert {KEY_BYTES} == {len(key) for key in keys}


def test_derived_key_is_stable() -> None:
    """The derivation never changes: tokens stored today open in every later release."""
    expected = "41c06f10b5ed5916e62a41bbc6b75573c4e6db83f82327bf7d52bb7a76e1dce2"

    assert expected == derive_key("test-app-secret-number-one", "tokens at rest").hex()
