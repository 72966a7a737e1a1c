"""The settings of webhooks: the public key, and where it comes from."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from tests.protocol.webhook_signing import pem, private_key
from wix_asgi.errors import SettingsError
from wix_asgi.settings import WixSettings

KEY = pem(private_key())
OTHER = pem(private_key("other"))


def load(**given: Any) -> WixSettings:
    """Load settings that are right but for `given`."""
    right = {"app_id": "app-1", "app_secret": "test-app-secret-number-one"}
    return WixSettings.load(**{**right, "public_url": "https://app.example.com", **given})


GIVEN: dict[str, tuple[object, tuple[str, ...]]] = {
    "text": (KEY, (KEY,)),
    "text in quotes": (f'"{KEY}"', (KEY,)),
    "escaped text with a byte order mark": ("\ufeff" + KEY.replace("\n", "\\n"), (KEY,)),
    "bytes": (KEY.encode(), (KEY,)),
    "hidden text": (SecretStr(KEY), (KEY,)),
    "two keys": (KEY + OTHER, (KEY, OTHER)),
    "list": ([KEY, OTHER], (KEY, OTHER)),
    "list of lists in texts": ((f"{KEY},{OTHER}", KEY), (KEY, OTHER)),
    "empty list": ([], ()),
}


@pytest.mark.parametrize(("given", "expected"), GIVEN.values(), ids=GIVEN)
def test_public_key_is_read(given: object, expected: tuple[str, ...]) -> None:
    """Texts and lists of texts give the keys as PEM, in their order (R42)."""
    assert expected == load(public_key=given).public_key


@pytest.mark.parametrize("variable", ["WIX_PUBLIC_KEY", "WIX_APP_JWT_KEY"])
def test_both_variables_have_the_key(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The key is in our own variable, or in that of Wix's templates."""
    monkeypatch.setenv(variable, KEY.replace("\n", "\\n"))

    assert (KEY,) == load().public_key
    assert (OTHER,) == load(public_key=OTHER).public_key


@pytest.mark.parametrize("own", ["", " \n", '""'])
def test_own_variable_wins_where_it_is_set(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    """Of two variables ours wins, unless there is nothing in it."""
    monkeypatch.setenv("WIX_APP_JWT_KEY", OTHER)
    monkeypatch.setenv("WIX_PUBLIC_KEY", own)
    fallback = load().public_key
    monkeypatch.setenv("WIX_PUBLIC_KEY", KEY)

    assert (OTHER,) == fallback
    assert (KEY,) == load().public_key


def test_foreign_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable without the prefix is another program's."""
    monkeypatch.setenv("PUBLIC_KEY", KEY)

    assert () == load().public_key


REFUSED: dict[str, tuple[object, str]] = {
    "nothing": ("", "is empty"),
    "a list of nothing": ([KEY, " "], "is empty"),
    "a placeholder": ("<your public key>", "is a placeholder"),
    "a reference": ("$WIX_PUBLIC_KEY", "is a reference that nobody replaced by its value"),
    "the app secret": ("test-app-secret-number-one", "is no public key in PEM"),
    "a short key": (pem(private_key("short", 1024)), "has 1024 bits, and Wix's keys have 2048"),
    "a number": (1, "has the wrong form"),
    "a list of numbers": ([KEY, 1], "has the wrong form"),
}


@pytest.mark.parametrize(("given", "problem"), REFUSED.values(), ids=REFUSED)
def test_other_text_stops_the_start(given: object, problem: str) -> None:
    """A value that is no key stops start-up with the place of the right one (R42, R47)."""
    with pytest.raises(SettingsError) as caught:
        load(public_key=given)

    assert f"  public_key (WIX_PUBLIC_KEY): {problem}. Expected: the app's " in str(caught.value)
    assert "found in the Wix dashboard of the app under Webhooks > Get Public Key" in str(
        caught.value
    )


@pytest.mark.parametrize("place", ["keyword", "variable"])
def test_private_key_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A private key in place of the public one is refused, and no traceback has it (R35)."""
    private = (
        private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    )
    given = {"public_key": private} if place == "keyword" else {}
    if place == "variable":
        monkeypatch.setenv("WIX_PUBLIC_KEY", private)
    with pytest.raises(SettingsError, match="is a private key") as caught:
        load(**given)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame.locals for frame in shown.stack if "wix_asgi" in frame.filename]

    assert caught.value.__context__ is None
    assert private.splitlines()[1] not in f"{caught.value} {ours}"
