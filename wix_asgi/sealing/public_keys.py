r"""Public keys for signatures, in the forms in which dashboards, files and variables have them.

A variable often has no room for line breaks, so that people write `\n` for them, put spaces there,
encode the whole key in base64 once more, or leave its first and last line out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

__all__ = ["OptionalPublicKey", "read_public_keys"]

_MIN_BITS: Final = 2048
"""The least for RS256 (RFC 7518, 3.3), and the size of Wix's own keys."""

_MAX_BITS: Final = 8192
"""Each doubling makes a verification four times slower; a longer key of RSA is a mistake."""

_EXPONENTS: Final = range(65537, 2**32, 2)
"""Odd, and 65537 or more (FIPS 186-5, 5.1); all keys in use have 65537. A large one is slow."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_LINE_BREAK = re.compile(r"\\+[rn]")
_ENCODED_BEGIN: Final = base64.b64encode(b"-----BEGIN ").decode()[:-2]
"""The first bytes of a PEM in base64, but for the characters that depend on its label."""

_BARE_BEGIN: Final = "MII"
"""Begins the body of a PEM: in base64, the first bytes of each key of 2048 bits or more."""

_SPACE = re.compile(r"\s+")
_PUBLIC: Final = "PUBLIC KEY"
_PRIVATE: Final = "PRIVATE KEY"
_LABELS: Final = frozenset({_PUBLIC, "RSA PUBLIC KEY"})
"""The labels of SubjectPublicKeyInfo (RFC 7468) and of PKCS 1."""

_VERSION: Final = b"\x02\x01\x00"
"""The version with which private keys begin, in PKCS 1 and PKCS 8; public keys have none."""

_PRIVATE_KEY: Final = (
    "is a private key, with which anybody can sign: replace it wherever it is in use, "
    "and give the public key"
)
_DAMAGED: Final = "is damaged: copy the whole key once more"
_CUT: Final = "is cut off: it needs its line of BEGIN, its line of END, and all between them"


class OptionalPublicKey(str):
    """A public key that an app goes without where its storage has no inbox: that of a fake Wix.

    A fake Wix always has one, and an app that is tested without webhooks may have any storage.
    """

    __slots__ = ()


def read_public_keys(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the keys in `texts` as PEM of SubjectPublicKeyInfo, each once, in their order.

    A text has any number of keys, one after another or with commas between them.

    Raises:
        ValueError: A text is no public key of RSA, or one too short. No part of it is shown.
    """
    return tuple(dict.fromkeys(key for text in texts for key in _keys_in(text)))


def _keys_in(text: str) -> Iterator[str]:
    text = _LINE_BREAK.sub("\n", text)
    at = 0
    for block in _BLOCK.finditer(text):
        yield from _keys_without_lines(text[at : block.start()])
        yield _read_key(block[1], block[2])
        at = block.end()
    yield from _keys_without_lines(text[at:])


def _keys_without_lines(text: str) -> Iterator[str]:
    """Yield the keys of a text without a whole PEM in it."""
    if _PRIVATE in text:
        raise ValueError(_PRIVATE_KEY)
    if "-----" in text:
        raise ValueError(_CUT)
    for part in text.replace(_ENCODED_BEGIN, f",{_ENCODED_BEGIN}").split(","):
        encoded = _SPACE.sub("", part)
        if encoded.startswith(_ENCODED_BEGIN):
            yield from _keys_in(_decode(encoded).decode(errors="replace"))
        elif encoded.startswith(_BARE_BEGIN):
            yield _read_key(_PUBLIC, encoded)
        elif encoded:
            raise ValueError("is no public key in PEM")


def _read_key(label: str, body: str) -> str:
    """Return the canonical form of one key."""
    # Here, since they would make `import wix_asgi` slower, and most apps have no public key.
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    if _PRIVATE in label:
        raise ValueError(_PRIVATE_KEY)
    if label not in _LABELS:
        raise ValueError("is no public key but another kind of PEM")
    key = _load(_decode(_SPACE.sub("", body)))
    if not isinstance(key, RSAPublicKey) or key.public_numbers().e not in _EXPONENTS:
        raise ValueError("is of another kind than Wix's keys, which are of RSA")
    if not _MIN_BITS <= key.key_size <= _MAX_BITS:
        raise ValueError(f"has {key.key_size} bits, and Wix's keys have {_MIN_BITS}")
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _load(der: bytes) -> PublicKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    # Its place, behind a sequence and the bytes of the length.
    if _VERSION in der[:8]:
        raise ValueError(_PRIVATE_KEY)
    try:
        return load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(_DAMAGED) from None


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ValueError(_DAMAGED) from None
