"""Forged tokens of webhooks: the table of R42, and every change of a good token."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.webhook_signing import (
    APP_ID,
    LIFETIME,
    NOW,
    claims,
    encode,
    event_text,
    pem,
    private_key,
    sign,
    sign_bytes,
)
from wix_asgi.protocol.webhook_token import ForgedToken, WebhookTokens


def verify(body: bytes) -> None:
    """Verify with Wix's key."""
    WebhookTokens([pem(private_key())], app_id=APP_ID, clock=lambda: NOW).verify(body)


def keyed(secret: bytes, algorithm: str = "HS256", **header: Any) -> bytes:
    """Return a token with an HMAC instead of a signature."""
    text = encode(json.dumps({"alg": algorithm, **header}).encode())
    text += b"." + encode(json.dumps(claims()).encode())
    return text + b"." + encode(hmac.digest(secret, text, "sha256"))


def unsigned(algorithm: str) -> bytes:
    """Return a token with an empty signature."""
    return keyed(b"", algorithm).rpartition(b".")[0] + b"."


def signed_otherwise(algorithm: str, scheme: Any, digest: hashes.HashAlgorithm) -> bytes:
    """Return a token of the right key by another algorithm."""
    text = encode(json.dumps({"alg": algorithm}).encode())
    text += b"." + encode(json.dumps(claims()).encode())
    return text + b"." + encode(private_key().sign(text, scheme, digest))


def attacker(**header: Any) -> bytes:
    """Return a token by the attacker's key."""
    return sign(claims(), key=private_key("attacker"), **header)


def der() -> bytes:
    """Return Wix's key in binary form."""
    form = PublicFormat.SubjectPublicKeyInfo
    return private_key().public_key().public_bytes(Encoding.DER, form)


def jwk() -> dict[str, str]:
    """Return the attacker's key."""
    numbers = private_key("attacker").public_key().public_numbers()
    return {"kty": "RSA", "e": "AQAB", "n": encode(numbers.n.to_bytes(256)).decode()}


def with_signature(change: Callable[[bytes], bytes]) -> bytes:
    """Return a good token with its signature changed."""
    text, _, signature = sign(claims()).rpartition(b".")
    return text + b"." + change(signature)


def next_letter(signature: bytes) -> bytes:
    """Return a last character which means the same bytes, and is not canonical."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return signature[:-1] + bytes([alphabet[alphabet.index(signature[-1]) + 1]])


def claimed(raw: str) -> bytes:
    """Return a token with claims that are written so."""
    return sign(raw.encode())


def layer(text: str) -> bytes:
    """Return a token with this second layer."""
    return sign(claims(data=text))


def head(raw: bytes) -> bytes:
    """Return a token of the right key with a header that is written so."""
    return sign_bytes(raw, json.dumps(claims()).encode())


DATA = json.dumps(event_text())
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
TABLE: dict[str, Callable[[], bytes]] = {
    "2 none": lambda: unsigned("none"),
    "2 none, with a signature": lambda: keyed(b"x", "none"),
    "3 None": lambda: unsigned("None"),
    "3 NONE": lambda: unsigned("NONE"),
    "3 nOnE": lambda: unsigned("nOnE"),
    "4 HS256 by the PEM": lambda: keyed(pem(private_key()).encode()),
    "4 HS256 by the PEM without its end": lambda: keyed(pem(private_key()).strip().encode()),
    "4 HS256 by the PEM of PKCS1": lambda: keyed(pem(private_key(), PublicFormat.PKCS1).encode()),
    "5 HS256 by the DER": lambda: keyed(der()),
    "6 RS512": lambda: signed_otherwise("RS512", padding.PKCS1v15(), hashes.SHA512()),
    "6 PS256": lambda: signed_otherwise("PS256", PSS, hashes.SHA256()),
    "6 PS256 that is called RS256": lambda: signed_otherwise("RS256", PSS, hashes.SHA256()),
    "6 RS512 that is called RS256": lambda: signed_otherwise(
        "RS256", padding.PKCS1v15(), hashes.SHA512()
    ),
    "6 rs256": lambda: sign(claims(), alg="rs256"),
    "6 RS256 in a list": lambda: sign(claims(), alg=["RS256"]),
    "6 no algorithm": lambda: head(b"{}"),
    "7 another key": attacker,
    "8 jwk": lambda: attacker(jwk=jwk()),
    "8 jwk and its kid": lambda: attacker(jwk={**jwk(), "kid": "1"}, kid="1"),
    "10 kid of an empty file": lambda: keyed(b"", kid="../../dev/null"),
    "10 kid of an empty file, another key": lambda: attacker(kid="../../dev/null"),
    "10 kid with SQL": lambda: attacker(kid="' OR 1=1"),
    "11 crit exp": lambda: sign(claims(), crit=["exp"]),
    "11 crit x": lambda: sign(claims(), crit=["x"]),
    "11 crit x, which is there": lambda: sign(claims(), crit=["x"], x=1),
    "11 crit empty": lambda: sign(claims(), crit=[]),
    "11 crit null": lambda: sign(claims(), crit=None),
    "11 b64 without crit": lambda: sign(claims(), b64=False),
    "12 no exp": lambda: sign(claims(exp=None)),
    "12 no iat": lambda: sign(claims(iat=None)),
    "13 exp over": lambda: sign(claims(iat=NOW - LIFETIME, exp=NOW - 61)),
    "13 exp over by the leeway": lambda: sign(claims(iat=NOW - LIFETIME, exp=NOW - 60)),
    "14 exp a text": lambda: sign(claims(exp=str(NOW + 9))),
    "14 exp a float": lambda: sign(claims(exp=NOW + 9.5)),
    "14 exp infinite": lambda: claimed(f'{{"data": {DATA}, "iat": {NOW}, "exp": 1e400}}'),
    "14 exp Infinity": lambda: claimed(f'{{"data": {DATA}, "iat": {NOW}, "exp": Infinity}}'),
    "14 exp NaN": lambda: claimed(f'{{"data": {DATA}, "iat": {NOW}, "exp": NaN}}'),
    "14 exp of 5000 digits": lambda: claimed(
        f'{{"data": {DATA}, "iat": {NOW}, "exp": {"9" * 5000}}}'
    ),
    "14 exp of 400 digits": lambda: sign(claims(exp=10**400)),
    "14 exp true": lambda: sign(claims(exp=True)),
    "14 exp null": lambda: claimed(f'{{"data": {DATA}, "iat": {NOW}, "exp": null}}'),
    "14 iat a text": lambda: sign(claims(iat=str(NOW))),
    "14 iat true": lambda: sign(claims(iat=True)),
    "14 nbf a text": lambda: sign(claims(nbf="0")),
    "15 iat in an hour": lambda: sign(claims(iat=NOW + 3600)),
    "15 iat beyond the leeway": lambda: sign(claims(iat=NOW + 61)),
    "15 nbf in an hour": lambda: sign(claims(nbf=NOW + 3600)),
    "15 iat 400 digits ahead": lambda: sign(claims(iat=10**400, exp=10**400 + 9)),
    "16 exp in ten years": lambda: sign(claims(iat=NOW - 30 * 86400, exp=NOW + 10 * 365 * 86400)),
    "16 exp in 60 days and a second": lambda: sign(claims(exp=NOW + 60 * 86400 + 1)),
    "16 exp before iat": lambda: sign(claims(iat=NOW + 10, exp=NOW + 9)),
    "17 exp twice": lambda: claimed(
        f'{{"data": {DATA}, "iat": {NOW}, "exp": 1, "exp": {NOW + 9}}}'
    ),
    "17 data twice": lambda: claimed(
        f'{{"data": "{{}}", "data": {DATA}, "iat": {NOW}, "exp": {NOW + 9}}}'
    ),
    "17 alg twice": lambda: head(b'{"alg": "none", "alg": "RS256"}'),
    "17 kid twice": lambda: head(b'{"alg": "RS256", "kid": "a", "kid": "a"}'),
    "17 eventType twice": lambda: layer('{"eventType": "a", ' + event_text()[1:]),
    "17 a name of the data twice": lambda: layer(event_text('{"id": "a", "id": "b"}')),
    "17 a name of the identity twice": lambda: layer(event_text(identity='{"a": 1, "a": 1}')),
    "18 claims a list": lambda: sign([claims()]),
    "18 claims a text": lambda: sign("data"),
    "18 claims null": lambda: sign(b"null"),
    "18 claims no JSON": lambda: sign(b"data"),
    "18 claims nothing": lambda: sign(b""),
    "18 claims no UTF-8": lambda: sign(b'{"data": "\xff"}'),
    "18 claims with a byte order mark": lambda: sign(
        b"\xef\xbb\xbf" + json.dumps(claims()).encode()
    ),
    "18 claims nested deep": lambda: sign(b"[" * 200_000),
    "18 a claim nested deep": lambda: claimed(
        f'{{"data": {DATA}, "iat": {NOW}, "exp": {NOW + 9}, "x": {"[" * 101}{"]" * 101}}}'
    ),
    "18 data nested deep": lambda: layer(event_text("[" * 100_000 + "]" * 100_000)),
    "18 header nested deep": lambda: head(b'{"alg": "RS256", "x": ' + b"[" * 3000),
    "18 header a text": lambda: head(b'"alg"'),
    "18 header no JSON": lambda: head(b"alg"),
    "18 header nothing": lambda: head(b""),
    "18 header over the bound": lambda: sign(claims(), x="x" * 8192),
    "19 no data": lambda: sign(claims(data=None)),
    "19 data an object": lambda: sign(claims(data={"request": {}, "metadata": {}})),
    "19 data a number": lambda: sign(claims(data=1)),
    "19 data no JSON": lambda: layer("event"),
    "19 data a JSON list": lambda: layer(f"[{event_text()}]"),
    "19 data with NaN": lambda: layer(event_text()[:-1] + ', "x": NaN}'),
    "19 data with half a character": lambda: layer(event_text()[:-1] + ', "x": "\ud83d"}'),
    "19 instanceId a list": lambda: layer(event_text(instanceId=["a"])),
    "19 instanceId empty": lambda: layer(event_text(instanceId="")),
    "19 instanceId null": lambda: layer(event_text(instanceId=None)),
    "19 instanceId with NUL": lambda: layer(event_text(instanceId="a\0")),
    "19 instanceId with half a character": lambda: layer(event_text(instanceId="\ud83d")),
    "19 instanceId without an end": lambda: layer(event_text(instanceId="a" * 201)),
    "19 eventType a number": lambda: layer(event_text(eventType=1)),
    "19 eventType of two lines": lambda: layer(event_text(eventType="a\nb")),
    "20 signature with junk": lambda: with_signature(lambda text: text[:9] + b"!" + text[9:]),
    "20 signature with a line break": lambda: with_signature(
        lambda text: text[:9] + b"\n" + text[9:]
    ),
    "20 signature padded": lambda: with_signature(lambda text: text + b"=="),
    "20 signature padded too far": lambda: with_signature(lambda text: text + b"===="),
    "20 signature not canonical": lambda: with_signature(next_letter),
    "20 signature in the other alphabet": lambda: with_signature(
        lambda text: text[:9] + b"+/" + text[11:]
    ),
    "20 signature of no length": lambda: with_signature(lambda _: b""),
    "20 signature too short": lambda: with_signature(lambda text: text[:-4]),
    "20 signature too long": lambda: with_signature(lambda text: text + b"AAAA"),
    "20 an appended character": lambda: sign(claims()) + b"A",
    "20 an appended dot": lambda: sign(claims()) + b".",
    "20 an appended NUL": lambda: sign(claims()) + b"\0",
    "20 payload padded": lambda: sign(claims()).replace(b".", b"=.", 2),
    "20 in quotes": lambda: b'"' + sign(claims()) + b'"',
    "20 behind Bearer": lambda: b"Bearer " + sign(claims()),
    "20 a byte order mark": lambda: b"\xef\xbb\xbf" + sign(claims()),
    "21 five parts": lambda: sign(claims()) + b".AA.AA",
    "21 an encrypted token": lambda: b".".join(
        [encode(b'{"alg":"RSA-OAEP","enc":"A256GCM"}'), b"AA", b"AA", b"AA", b"AA"]
    ),
    "21 two parts": lambda: sign(claims()).rpartition(b".")[0],
    "21 one part": lambda: sign(claims()).partition(b".")[0],
    "21 nested": lambda: sign(sign(claims()), cty="JWT"),
    "21 of another type": lambda: sign(claims(), typ="at+jwt"),
    "21 in the JSON form": lambda: json.dumps({"payload": "", "signatures": []}).encode(),
    "22 20 MB": lambda: sign(claims(data=event_text("x" * 15_000_000))),
    "22 gzip": lambda: b"\x1f\x8b\x08\x00" + sign(claims()),
    "22 empty": lambda: b"",
    "22 white space": lambda: b" \n" * 1000,
    "22 dots": lambda: b"." * 1_000_000,
    "another issuer": lambda: sign(claims(iss="another")),
    "issuer of a list": lambda: sign(claims(iss=["wix.com"])),
    "another audience": lambda: sign(claims(aud="another")),
    "audience without this app": lambda: sign(claims(aud=["another", APP_ID + "x"])),
    "audience of an object": lambda: sign(claims(aud={APP_ID: 1})),
    "no audience in a list": lambda: sign(claims(aud=[])),
}


@pytest.mark.parametrize("forged", TABLE.values(), ids=TABLE)
def test_forged_token_is_refused(forged: Callable[[], bytes]) -> None:
    """Of the table of tokens only the good one passes; each other is a ForgedToken (R42)."""
    with pytest.raises(ForgedToken):
        verify(forged())


@pytest.fixture
def hits() -> Iterator[tuple[str, list[str]]]:
    """Serve the attacker's key; the list has an entry for each connection."""
    connections: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            connections.append("connection")
            super().setup()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [jwk()]}).encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}", connections
        server.shutdown()


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_no_key_is_fetched(hits: tuple[str, list[str]], name: str) -> None:
    """A header with the address of a key causes no connection, by any signature (R42)."""
    url, connections = hits
    header: dict[str, Any] = {name: url}
    with pytest.raises(ForgedToken):
        verify(sign(claims(), key=private_key("attacker"), **header))
    verify(sign(claims(), **header))

    assert [] == connections


def test_every_flipped_bit_is_noticed() -> None:
    """No bit of a good token can be another one (R42)."""
    token = sign(claims())
    verify(token)

    for at in range(len(token)):
        for bit in range(8):
            changed = bytearray(token)
            changed[at] ^= 1 << bit
            assert is_refused(bytes(changed)), (at, bit)


def test_every_changed_byte_is_noticed() -> None:
    """No byte of a good token can be another, be left out, be doubled, or be cut off (R42)."""
    token = sign(claims())
    for at in range(len(token)):
        for byte in b"A_-.=+/ \n\x00\xff":
            changed = token[:at] + bytes([byte]) + token[at + 1 :]
            assert changed.strip() == token or is_refused(changed), (at, byte)
        assert is_refused(token[:at] + token[at + 1 :]), at
        assert is_refused(token[:at] + token[at : at + 1] + token[at:]), at
        assert is_refused(token[:at]), at


def test_every_appended_byte_is_noticed() -> None:
    """Nothing but white space may stand around a token (R42)."""
    token = sign(claims())
    for byte in range(256):
        piece = bytes([byte])

        assert piece.isspace() != is_refused(token + piece), byte
        assert piece.isspace() != is_refused(piece + token), byte


def is_refused(body: bytes) -> bool:
    """Return whether `body` is a ForgedToken."""
    try:
        verify(body)
    except ForgedToken:
        return True
    return False


@given(st.binary(max_size=300) | st.text("ey.J_-=", max_size=50).map(str.encode))
def test_random_bytes_are_refused(body: bytes) -> None:
    """Any bytes are refused as ForgedToken, and as nothing else (R42)."""
    assert is_refused(body)


@given(st.binary(max_size=100), st.binary(max_size=300))
def test_signed_nonsense_is_refused(header: bytes, payload: bytes) -> None:
    """Signed bytes that are no event are refused, and nothing else happens (R42)."""
    assert is_refused(sign_bytes(header, payload))
    assert is_refused(sign(payload))
