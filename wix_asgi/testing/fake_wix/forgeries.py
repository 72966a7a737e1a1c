"""Bodies that no webhook endpoint may take for an event of Wix, by the name of their flaw.

They follow RFC 8725 and the advisories for JWT libraries. Some are signed by a stranger; some
are signed by Wix's key, and malformed or out of date, so that an endpoint that looks at
nothing but the signature takes them.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from wix_asgi.testing.fake_wix._webhook_key import WebhookKey, compact, encode, foreign_key
from wix_asgi.testing.fake_wix.events import FakeEvent

__all__ = ["FORGERIES", "Forgery", "forge"]

_DAY: Final = 86_400
_DEPTH: Final = 200_000  # levels: deeper than any parser's stack
_HUGE: Final = 20_000_000  # bytes: twenty times the size that an endpoint needs to read
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True)
class Forgery:
    """A body that must be refused; its content is left out of its repr.

    Attributes:
        kind: The name of its flaw.
        body: The body of the request.
        headers: Further headers of the request.
    """

    kind: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Wix:
    """The means of a forger: an event as Wix would sign it, and the address of a server."""

    key: WebhookKey
    event: FakeEvent
    url: str

    @property
    def claims(self) -> dict[str, Any]:
        return self.event.claims

    @property
    def token(self) -> str:
        return self.event.token

    def resign(self, **claims: Any) -> str:
        """Sign with Wix's key, with other claims; None removes a claim."""
        told = {**self.claims, **claims}
        return self.key.sign({name: value for name, value in told.items() if value is not None})

    def with_header(self, **header: Any) -> str:
        """Sign with Wix's key, with more in the header."""
        return self.key.sign(self.claims, header={**self.key.header, **header})

    def by_stranger(self, **header: Any) -> str:
        """Sign with a stranger's key, with more in Wix's header."""
        return foreign_key().sign(self.claims, header={**self.key.header, **header})

    def with_exp(self, written: str) -> str:
        """Sign with Wix's key, with `exp` written like this in the JSON."""
        text = compact({**self.claims, "exp": 0})
        return self.key.sign_text(f"{text.removesuffix('0}')}{written}}}")

    def with_layer(self, text: Any) -> str:
        """Sign with Wix's key, with another second layer."""
        return self.resign(data=text)

    def hmac(self, secret: bytes, **header: Any) -> str:
        """Sign with HS256."""
        head = {**self.key.header, "alg": "HS256", **header}
        signed = f"{encode(compact(head))}.{encode(compact(self.claims))}"
        return f"{signed}.{encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"

    def unsigned(self, alg: str) -> str:
        """Sign with nothing at all."""
        return f"{encode(compact({'alg': alg}))}.{encode(compact(self.claims))}."

    def with_signature(self, change: Callable[[str], str]) -> str:
        """Change the text of a good signature."""
        signed, _, signature = self.token.rpartition(".")
        return f"{signed}.{change(signature)}"


def forge(kind: str, key: WebhookKey, event: FakeEvent, url: str) -> Forgery:
    """Return the forgery of this kind of an event that `key` has signed.

    Raises:
        LookupError: There is no such kind.
    """
    if kind not in _FORGERS:
        raise LookupError(f"no forgery is called {kind!r}; there are {', '.join(FORGERIES)}")
    made = _FORGERS[kind](_Wix(key, event, url))
    if isinstance(made, Forgery):
        return made
    return Forgery(kind, made.encode())


def _by_other_algorithm(wix: _Wix, alg: str) -> str:
    head = {**wix.key.header, "alg": alg}
    signed = f"{encode(compact(head))}.{encode(compact(wix.claims))}"
    if alg.startswith("PS"):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        signature = wix.key.private.sign(signed.encode(), pss, hashes.SHA256())
    else:
        signature = wix.key.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA512())
    return f"{signed}.{encode(signature)}"


def _stranger_jwk() -> dict[str, str]:
    numbers = foreign_key().private.public_key().public_numbers()
    exponent, modulus = numbers.e.to_bytes(3), numbers.n.to_bytes(256)
    return {"kty": "RSA", "e": encode(exponent), "n": encode(modulus)}


def _non_canonical(signature: str) -> str:
    # The last character of 256 bytes has four bits that mean nothing, and are 0.
    return signature[:-1] + _ALPHABET[_ALPHABET.index(signature[-1]) + 1]


def _with_instance(wix: _Wix, instance: Any) -> str:
    return compact({**json.loads(wix.event.text), "instanceId": instance})


def _encrypted(wix: _Wix) -> str:
    head = compact({"alg": "RSA-OAEP", "enc": "A256GCM"})
    key, nonce, tag = b"\1" * 256, b"\2" * 12, b"\3" * 16
    parts = [encode(head), encode(key), encode(nonce), encode(compact(wix.claims)), encode(tag)]
    return ".".join(parts)


def _gzipped(wix: _Wix) -> Forgery:
    body = gzip.compress(wix.token.encode(), mtime=0)
    return Forgery("gzip", body, {"content-encoding": "gzip"})


def _old(wix: _Wix) -> str:
    now = wix.event.issued_at
    return wix.resign(iat=now - 30 * _DAY, exp=now + 3650 * _DAY)


def _expired(wix: _Wix) -> str:
    # A second beyond the minute by which an endpoint may let clocks differ.
    gone = wix.event.issued_at - 61
    return wix.resign(iat=gone - wix.event.lifetime, exp=gone)


_FORGERS: Final[Mapping[str, Callable[[_Wix], str | Forgery]]] = {
    # No signature, or another algorithm (RFC 8725, 3.1)
    "alg_none": lambda wix: wix.unsigned("none"),
    "alg_None": lambda wix: wix.unsigned("None"),
    "alg_NONE": lambda wix: wix.unsigned("NONE"),
    "alg_nOnE": lambda wix: wix.unsigned("nOnE"),
    "hs256_by_pem": lambda wix: wix.hmac(wix.key.public_pem.encode()),
    "hs256_by_der": lambda wix: wix.hmac(wix.key.public_der),
    "rs512": lambda wix: _by_other_algorithm(wix, "RS512"),
    "ps256": lambda wix: _by_other_algorithm(wix, "PS256"),
    # Another key (RFC 8725, 3.6 and 3.10)
    "other_key": lambda wix: wix.by_stranger(),
    "jwk": lambda wix: wix.by_stranger(jwk=_stranger_jwk()),
    "jku": lambda wix: wix.by_stranger(jku=f"{wix.url}/stranger/jwks.json"),
    "x5u": lambda wix: wix.by_stranger(x5u=f"{wix.url}/stranger/key.pem"),
    "kid_path": lambda wix: wix.hmac(b"", kid="../../dev/null"),
    "kid_sql": lambda wix: wix.by_stranger(kid="' OR 1=1"),
    # Wix's key, and a header that must be understood (RFC 7515, 4.1.11)
    "crit_exp": lambda wix: wix.with_header(crit=["exp"]),
    "crit_unknown": lambda wix: wix.with_header(crit=["x"], x=True),
    "crit_empty": lambda wix: wix.with_header(crit=[]),
    # Wix's key, and times that are missing, over or absurd (RFC 7519, 4.1)
    "no_exp": lambda wix: wix.resign(exp=None),
    "expired": _expired,
    "exp_text": lambda wix: wix.with_exp(f'"{wix.claims["exp"]}"'),
    "exp_fraction": lambda wix: wix.with_exp(f"{wix.claims['exp']}.5"),
    "exp_infinite": lambda wix: wix.with_exp("1e400"),
    "exp_boolean": lambda wix: wix.with_exp("true"),
    "iat_ahead": lambda wix: wix.resign(iat=wix.event.issued_at + 3600),
    "exp_in_years": _old,
    "exp_twice": lambda wix: wix.with_exp(f'{wix.claims["exp"]},"exp":{wix.claims["exp"] + 1}'),
    # Wix's key, and another form (RFC 8725, 3.11)
    "claims_array": lambda wix: wix.key.sign_text(f"[{compact(wix.claims)}]"),
    "claims_deep": lambda wix: wix.key.sign_text("[" * _DEPTH + "]" * _DEPTH),
    "data_object": lambda wix: wix.with_layer(json.loads(wix.event.text)),
    "data_no_json": lambda wix: wix.with_layer("no JSON"),
    "instance_list": lambda wix: wix.with_layer(_with_instance(wix, [wix.event.instance_id])),
    # A good signature in another writing (RFC 7515, 2)
    "signature_junk": lambda wix: wix.with_signature(lambda it: f"{it[:40]}!{it[40:]}"),
    "signature_padded": lambda wix: wix.with_signature(lambda it: f"{it}=="),
    "signature_last": lambda wix: wix.with_signature(_non_canonical),
    "signature_longer": lambda wix: wix.with_signature(lambda it: f"{it}A"),
    "five_parts": _encrypted,
    "two_parts": lambda wix: wix.token.rpartition(".")[0],
    "nested": lambda wix: wix.key.sign_text(wix.token, header={**wix.key.header, "cty": "JWT"}),
    # No token
    "huge": lambda wix: f"{wix.token}{'A' * _HUGE}",
    "gzip": _gzipped,
    "empty": lambda _: "",
}

FORGERIES: Final = tuple(_FORGERS)
"""The kinds of forgeries, to run one test for each of them."""
