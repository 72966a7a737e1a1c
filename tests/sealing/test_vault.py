"""The vault: a sealed token opens with its key in its record, and nowhere else."""

from __future__ import annotations

import base64

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wix_asgi.errors import UnknownKey, UnsealError
from wix_asgi.sealing.keys import derive_key
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings

TOKEN = "test-refresh-token-0123456789"
RECORD = {"app_id": "app-1", "instance_id": "site-1", "field": "refresh_token"}
KEY_1 = bytes(range(32))
KEY_2 = bytes(range(32, 64))
NONCE = slice(5, 17)

ids = st.text(max_size=40).filter(lambda text: text.isprintable())


def settings(**given: object) -> WixSettings:
    """Return settings with the secrets and keys in `given`."""
    given.setdefault("app_secret", "test-app-secret-number-one")
    return WixSettings.load(app_id="app-1", public_url="https://app.example.com", **given)


def test_sealed_token_opens_in_its_record() -> None:
    """A token sealed for a record is read back there."""
    vault = Vault([KEY_1])

    assert TOKEN == vault.unseal(vault.seal(TOKEN, **RECORD), **RECORD)


@given(plain=st.text(), app_id=ids, instance_id=ids, field=ids)
def test_any_text_survives(plain: str, app_id: str, instance_id: str, field: str) -> None:
    """Any text in any record is read back, and is not part of its seal (R32)."""
    vault = Vault([KEY_1])
    sealed = vault.seal(plain, app_id=app_id, instance_id=instance_id, field=field)

    assert plain == vault.unseal(sealed, app_id=app_id, instance_id=instance_id, field=field)
    assert len(plain) < 4 or plain.encode() not in sealed


@pytest.mark.parametrize(
    "other",
    [
        {"app_id": "app-2"},
        {"instance_id": "site-2"},
        {"instance_id": "SITE-1"},
        {"field": "access_token"},
        {"app_id": "app-1site", "instance_id": "-1"},
        {"app_id": "app-", "instance_id": "1site-1"},
    ],
)
def test_seal_moved_to_another_record_is_refused(other: dict[str, str]) -> None:
    """A seal copied to another app, installation or field does not open there (R32)."""
    vault = Vault([KEY_1])
    sealed = vault.seal(TOKEN, **RECORD)

    with pytest.raises(UnsealError):
        vault.unseal(sealed, **{**RECORD, **other})


def test_swapped_seals_are_refused() -> None:
    """Of two records with exchanged seals neither can be read (R32)."""
    vault = Vault([KEY_1])
    other = {**RECORD, "instance_id": "site-2"}
    first, second = vault.seal(TOKEN, **RECORD), vault.seal(TOKEN, **other)

    with pytest.raises(UnsealError):
        vault.unseal(second, **RECORD)
    with pytest.raises(UnsealError):
        vault.unseal(first, **other)


def test_every_flipped_bit_is_refused() -> None:
    """A seal with any one bit changed is refused, its header included (R32)."""
    vault = Vault([KEY_1])
    sealed = vault.seal(TOKEN, **RECORD)

    for position in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(UnsealError):
            vault.unseal(bytes(changed), **RECORD)


@given(st.data())
def test_any_edit_is_refused(data: st.DataObject) -> None:
    """A seal with any stretch replaced, cut out or put in is refused (R32)."""
    vault = Vault([KEY_1])
    sealed = vault.seal(TOKEN, **RECORD)
    begin = data.draw(st.integers(0, len(sealed)))
    end = data.draw(st.integers(begin, len(sealed)))
    edited = sealed[:begin] + data.draw(st.binary(max_size=40)) + sealed[end:]
    hypothesis.assume(edited != sealed)

    with pytest.raises(UnsealError):
        vault.unseal(edited, **RECORD)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(sealed: bytes) -> None:
    """Bytes that no vault sealed are refused with the same typed error."""
    with pytest.raises(UnsealError):
        Vault([KEY_1]).unseal(sealed, **RECORD)


def test_empty_text_can_be_sealed() -> None:
    """The shortest seal is the header and the tag."""
    vault = Vault([KEY_1])
    sealed = vault.seal("", **RECORD)

    assert 1 + 4 + 12 + 16 == len(sealed)
    assert "" == vault.unseal(sealed, **RECORD)


def test_nonces_differ() -> None:
    """100,000 seals of one text have 100,000 nonces (R34)."""
    vault = Vault([KEY_1])
    nonces = {vault.seal("t", **RECORD)[NONCE] for _ in range(100_000)}

    assert 100_000 == len(nonces)


def test_keys_rotate_without_losing_anything() -> None:
    """A new first key seals, older keys still open, and can be dropped in the end (R33)."""
    before, during, after = Vault([KEY_1]), Vault([KEY_2, KEY_1]), Vault([KEY_2])
    old, new = before.seal(TOKEN, **RECORD), during.seal(TOKEN, **RECORD)

    assert TOKEN == during.unseal(old, **RECORD)
    assert TOKEN == after.unseal(new, **RECORD)


def test_the_newest_key_is_known_by_its_seals() -> None:
    """A seal names the key that made it, so a seal of the newest key is recognised (R33)."""
    vault = Vault([KEY_2, KEY_1])
    old, new = Vault([KEY_1]).seal(TOKEN, **RECORD), vault.seal(TOKEN, **RECORD)

    assert vault.is_newest(new)
    assert not vault.is_newest(old)
    assert not vault.is_newest(b"\0" + new[1:])
    assert new[1:5].hex() == vault.newest_id
    assert Vault([KEY_2]).newest_id == vault.newest_id


def test_unknown_key_is_named() -> None:
    """The error about a key that is not in the ring has the key's id, and not the key (R33)."""
    sealed = Vault([KEY_1]).seal(TOKEN, **RECORD)
    with pytest.raises(UnknownKey) as caught:
        Vault([KEY_2]).unseal(sealed, **RECORD)

    assert sealed[1:5].hex() == caught.value.key_id
    assert caught.value.key_id in str(caught.value)
    assert KEY_1.hex() not in str(caught.value)


def test_refusal_shows_no_token() -> None:
    """A refused seal is reported without its content and without its cause (R35)."""
    vault = Vault([KEY_1])
    with pytest.raises(UnsealError) as caught:
        vault.unseal(vault.seal(TOKEN, **RECORD), **{**RECORD, "field": "x"})

    assert "A stored token cannot be read: it was changed, or moved from another row." == str(
        caught.value
    )
    assert caught.value.__suppress_context__


def test_repr_shows_no_key() -> None:
    """The repr of a vault tells how many keys there are (R35)."""
    assert "<Vault of 2 keys>" == repr(Vault([KEY_2, KEY_1]))


def test_key_derives_from_app_secret() -> None:
    """Without keys of its own, an app seals with one derived from its secret."""
    vault = Vault(settings().key_ring())
    derived = Vault([derive_key("test-app-secret-number-one", "tokens at rest")])

    assert TOKEN == derived.unseal(vault.seal(TOKEN, **RECORD), **RECORD)


def test_given_keys_seal_and_derived_keys_still_open() -> None:
    """An app that begins to set encryption keys still reads the tokens it stored before (R33)."""
    before = Vault(settings().key_ring()).seal(TOKEN, **RECORD)
    key = base64.b64encode(KEY_1).decode()
    vault = Vault(settings(encryption_keys=[key]).key_ring())

    assert TOKEN == vault.unseal(before, **RECORD)
    assert TOKEN == Vault([KEY_1]).unseal(vault.seal(TOKEN, **RECORD), **RECORD)


def test_previous_app_secrets_open() -> None:
    """After a change of the app secret, tokens sealed with the former one still open (R33)."""
    before = Vault(settings().key_ring()).seal(TOKEN, **RECORD)
    rotated = settings(
        app_secret="test-app-secret-number-two",
        previous_app_secrets=["test-app-secret-number-one"],
    )

    assert TOKEN == Vault(rotated.key_ring()).unseal(before, **RECORD)
    with pytest.raises(UnknownKey):
        Vault(settings(app_secret="test-app-secret-number-two").key_ring()).unseal(before, **RECORD)
