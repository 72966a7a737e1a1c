"""Public keys: the forms in which they are read, and the texts that are none."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.webhook_signing import pem, private_key
from wix_asgi.sealing.public_keys import read_public_keys

LINES = pem(private_key()).strip()
PKCS1 = pem(private_key(), PublicFormat.PKCS1)
OTHER = pem(private_key("other"))


def encoded(text: str) -> str:
    """Return base64 in one line."""
    return base64.b64encode(text.encode()).decode()


def wrapped(text: str) -> str:
    """Return base64 in lines, as the program `base64` writes it."""
    return base64.encodebytes(text.encode()).decode()


FORMS = {
    "lines": LINES,
    "lines of Windows": LINES.replace("\n", "\r\n"),
    "white space around": f"\n  {LINES}\n\n",
    "escaped line breaks": LINES.replace("\n", "\\n"),
    "escaped line breaks of Windows": LINES.replace("\n", "\\r\\n") + "\\r\\n",
    "line breaks that were escaped twice": LINES.replace("\n", "\\\\n"),
    "spaces for line breaks": LINES.replace("\n", " "),
    "no line breaks": LINES.replace("\n", ""),
    "indented lines": LINES.replace("\n", "\n    "),
    "base64": encoded(LINES),
    "base64 with the last line break": encoded(LINES + "\n"),
    "base64 in lines": wrapped(LINES),
    "base64 without padding": encoded(LINES).rstrip("="),
    "base64 of escaped line breaks": encoded(LINES.replace("\n", "\\n")),
    "without its first and last line": "".join(LINES.splitlines()[1:-1]),
    "PKCS 1": PKCS1,
    "base64 of PKCS 1": encoded(PKCS1),
    "PKCS 1 with escaped line breaks": PKCS1.replace("\n", "\\n"),
    "twice": f"{LINES}\n{PKCS1}",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_key_is_read_in_each_form(text: str) -> None:
    """Each way to write one key gives the same PEM (R42)."""
    assert (LINES + "\n",) == read_public_keys([text])


SEVERAL = {
    "one after another": LINES + "\n" + OTHER,
    "without a line between": LINES + OTHER,
    "by a comma": f"{LINES},{OTHER}",
    "by commas and spaces": f" {LINES} , {OTHER} , ",
    "escaped, by a comma": f"{LINES},{OTHER}".replace("\n", "\\n"),
    "base64 by a comma": f"{encoded(LINES)},{encoded(OTHER)}",
    "base64 one after another": f"{encoded(LINES)}{encoded(OTHER)}",
    "base64 by lines": f"{wrapped(LINES)}\n{wrapped(OTHER)}",
    "base64 of both": encoded(LINES + "\n" + OTHER),
    "two forms": f"{PKCS1},{encoded(OTHER)}",
}


@pytest.mark.parametrize("text", SEVERAL.values(), ids=SEVERAL)
def test_several_keys_are_read_in_order(text: str) -> None:
    """Keys stand one after another, or with commas between them, in any form (R42)."""
    assert (LINES + "\n", OTHER) == read_public_keys([text])


def test_list_of_texts_gives_all_keys() -> None:
    """A list gives the keys of each text, each key once."""
    assert (LINES + "\n", OTHER) == read_public_keys([LINES, encoded(OTHER), OTHER])
    assert () == read_public_keys([])


def private_pem(password: bytes | None = None, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    """Return a private key."""
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return private_key().private_bytes(Encoding.PEM, form, encryption).decode()


PRIVATE: dict[str, Callable[[], str]] = {
    "PKCS 8": private_pem,
    "PKCS 1": lambda: private_pem(form=PrivateFormat.TraditionalOpenSSL),
    "encrypted": lambda: private_pem(b"test-password"),
    "OpenSSH": lambda: private_pem(form=PrivateFormat.OpenSSH),
    "escaped line breaks": lambda: private_pem().replace("\n", "\\n"),
    "base64": lambda: encoded(private_pem()),
    "without its first and last line": lambda: "".join(private_pem().splitlines()[1:-1]),
    "cut off": lambda: private_pem()[:900],
    "behind a public key": lambda: LINES + private_pem(),
    "before a public key": lambda: f"{private_pem()},{LINES}",
    "under another label": lambda: private_pem().replace("PRIVATE", "PUBLIC"),
}


@pytest.mark.parametrize("make", PRIVATE.values(), ids=PRIVATE)
def test_private_key_is_told_from_others(make: Callable[[], str]) -> None:
    """A private key is refused with words of its own, and nothing of it is shown (R35, R42)."""
    text = make()
    with pytest.raises(ValueError, match="is a private key, with which anybody can sign") as caught:
        read_public_keys([text])

    told = "".join(traceback.format_exception(caught.value))
    assert not [line for line in text.split("\n") if len(line) > 60 and line in told]


def elliptic() -> str:
    """Return a public key of another algorithm."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def edwards() -> str:
    """Return a public key of a newer algorithm."""
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


BODY = LINES.splitlines()[3]
CUT = "is cut off: it needs its line of BEGIN, its line of END, and all between them"
DAMAGED = "is damaged: copy the whole key once more"
REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "1024 bits": (lambda: pem(private_key("short", 1024)), "has 1024 bits, and Wix's keys have"),
    "2047 bits": (lambda: pem(private_key("short", 2047)), "has 2047 bits, and Wix's keys have"),
    "exponent 3": (lambda: pem(private_key("three", 2048, 3)), "is of another kind"),
    "elliptic curve": (elliptic, "is of another kind than Wix's keys, which are of RSA"),
    "Ed25519": (edwards, "is of another kind than Wix's keys, which are of RSA"),
    "a word": (lambda: "test-app-secret-number-one", "is no public key in PEM"),
    "a word behind a key": (lambda: f"{LINES},test-secret", "is no public key in PEM"),
    "a word before a key": (lambda: f"Public key: {LINES}", "is no public key in PEM"),
    "a certificate": (
        lambda: LINES.replace("PUBLIC KEY", "CERTIFICATE"),
        "is no public key but another kind of PEM",
    ),
    "no last line": (lambda: LINES[:-30], CUT),
    "no first line": (lambda: LINES[30:], CUT),
    "different labels": (lambda: LINES.replace("END PUBLIC", "END RSA PUBLIC"), CUT),
    "a line too few": (lambda: LINES.replace(BODY, ""), DAMAGED),
    "a character too few": (lambda: LINES.replace(BODY, BODY[1:]), DAMAGED),
    "a foreign character": (lambda: LINES.replace(BODY, "!" + BODY[1:]), DAMAGED),
    "nothing between": (lambda: "-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----", DAMAGED),
    "base64 that is cut off": (lambda: encoded(LINES)[:200], CUT),
    "base64 with a foreign character": (lambda: encoded(LINES)[:99] + "!", DAMAGED),
    "base64 of bytes": (lambda: base64.b64encode(b"-----BEGIN \xff").decode(), CUT),
    "a bare body that is cut off": (lambda: "".join(LINES.splitlines()[1:3]), DAMAGED),
}


@pytest.mark.parametrize(("make", "problem"), REFUSED.values(), ids=REFUSED)
def test_text_that_is_no_public_key_is_refused(make: Callable[[], str], problem: str) -> None:
    """A key that is short, of another kind or damaged is refused, and not shown (R42)."""
    text = make()
    with pytest.raises(ValueError, match=problem) as caught:
        read_public_keys([text])

    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert BODY not in str(caught.value)


@given(st.text() | st.text("MILS0tCRUdJTi -\\n,=\n", max_size=200))
def test_random_text_has_no_key(text: str) -> None:
    """Any text without a key is refused with a ValueError, or is empty but for its commas."""
    try:
        keys = read_public_keys([text])
    except ValueError:
        keys = ()

    assert () == keys
