"""Who is calling: every way a site may show itself, and that no forgery passes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
from collections.abc import Awaitable, Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection
from support import SITE

from wix_asgi import Identity, Unauthenticated, WixSettings
from wix_asgi.identity import (
    KnownCaller,
    RequestCaller,
    ResolveIdentity,
    SignedInstances,
)
from wix_asgi.testing import FakeWix

SECRET = "test-app-secret-number-one"
OLD_SECRET = "test-app-secret-number-two"
BASE64URL = string.ascii_letters + string.digits + "-_"
CLAIMS = {"instanceId": SITE, "permissions": "OWNER", "uid": "user-1"}


def settings(**given: Any) -> WixSettings:
    """Return settings that are right but for what is given."""
    right = {"app_id": "app-1", "app_secret": SECRET, "public_url": "https://app.example.com"}
    return WixSettings.load(**{**right, **given})


def encode(raw: bytes) -> str:
    """Encode as Wix does."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign_data(data: str, secret: str = SECRET) -> str:
    """Sign `data` as it is written."""
    return f"{encode(hmac.digest(secret.encode(), data.encode(), hashlib.sha256))}.{data}"


def sign(payload: object, secret: str = SECRET) -> str:
    """Sign a payload: JSON of it, or the bytes that it is."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return sign_data(encode(raw), secret)


SIGNED = SignedInstances(settings())
GOOD = sign(CLAIMS)


def caller(
    query: str = "", authorization: str | None = None, resolve: ResolveIdentity | None = None
) -> RequestCaller:
    """Return the caller of a request with this query and this header."""
    headers = [(b"accept", b"*/*")]
    if authorization is not None:
        headers.append((b"authorization", authorization.encode("latin-1")))
    scope = {"type": "http", "query_string": query.encode(), "headers": headers}
    return RequestCaller(SIGNED, query.encode(), headers, resolve=resolve, scope=scope)


async def outcome(asked: RequestCaller) -> str | None:
    """Return the instance ID, or None for nobody; `identity` and `identify` must agree."""
    try:
        identity: Identity | None = await asked.identify()
    except Unauthenticated:
        identity = None
    assert identity == asked.identity
    return identity and identity.instance_id


def test_genuine_instance_says_who_is_calling() -> None:
    """A value signed with the app secret gives its installation and all its claims (R41)."""
    identity = SIGNED.verify(GOOD)

    assert identity == Identity(SITE, CLAIMS)
    assert identity.user_id == "user-1"
    assert identity.is_owner


def test_fake_wix_signs_as_wix_does() -> None:
    """What FakeWix signs is taken, and says the same."""
    fake = FakeWix()
    signed = SignedInstances(settings(app_secret=fake.app_secret))

    assert signed.verify(fake.signed_instance(SITE)).instance_id == SITE


def test_previous_secret_is_good_during_a_rotation() -> None:
    """What an earlier app secret signed is taken, and what neither signed is not (R41)."""
    signed = SignedInstances(settings(previous_app_secrets=OLD_SECRET))

    assert signed.verify(sign(CLAIMS, OLD_SECRET)).instance_id == SITE
    assert signed.verify(GOOD).instance_id == SITE
    with pytest.raises(Unauthenticated):
        signed.verify(sign(CLAIMS, "test-app-secret-of-others"))
    with pytest.raises(Unauthenticated):
        SIGNED.verify(sign(CLAIMS, OLD_SECRET))


_signature, _, _data = GOOD.partition(".")
_digest = hmac.digest(SECRET.encode(), _data.encode(), hashlib.sha256)
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
    "signature of the decoded data": "{}.{}".format(
        encode(hmac.digest(SECRET.encode(), json.dumps(CLAIMS).encode(), hashlib.sha256)), _data
    ),
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
    """What is malformed, not signed as it is written, or no installation's is refused (R41)."""
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
    """Whatever text comes, it is refused as Unauthenticated and as nothing else."""
    with pytest.raises(Unauthenticated):
        SIGNED.verify(value)


@given(st.binary(max_size=300))
@hypothesis.example(b"{}")
def test_signed_nonsense_is_refused(payload: bytes) -> None:
    """Even signed, what is no object with an instanceId is refused, and nothing else happens."""
    hypothesis.assume(b"instanceId" not in payload)
    with pytest.raises(Unauthenticated):
        SIGNED.verify(sign(payload))


@pytest.mark.parametrize("aid", [{}, {"aid": None}])
def test_site_member_is_no_anonymous_visitor(aid: dict[str, None]) -> None:
    """Without an `aid`, or with null for one, somebody is there."""
    assert SIGNED.verify(sign({**CLAIMS, **aid})).instance_id == SITE


OTHER = sign({"instanceId": "site-2"})
PLACES = {
    "nowhere": ("", None, None),
    "query": (f"instance={GOOD}", None, SITE),
    "query among others": (f"a=1&instance={GOOD}&b=%20", None, SITE),
    "escaped query": (f"instance={GOOD.replace('.', '%2E')}", None, SITE),
    "header": ("", GOOD, SITE),
    "header with Bearer": ("", f"Bearer {GOOD}", SITE),
    "header with bearer in small letters": ("", f"bearer {GOOD}", SITE),
    "query before header": (f"instance={GOOD}", OTHER, SITE),
    "same value twice": (f"instance={GOOD}&instance={GOOD}", None, None),
    "two values": (f"instance={GOOD}&instance={OTHER}", None, None),
    "two values, one name escaped": (f"instance={GOOD}&%69nstance={OTHER}", None, None),
    "two values and a header": (f"instance={GOOD}&instance={OTHER}", GOOD, None),
    "empty": ("instance=", None, None),
    "empty, and a header": ("instance=", GOOD, None),
    "forged, and a genuine header": ("instance=forged", GOOD, None),
    "another parameter": (f"myinstance={GOOD}", None, None),
    "another parameter, and a header": ("myinstance=1", GOOD, SITE),
    "name in capitals": (f"INSTANCE={GOOD}", None, None),
    "forged header": ("", GOOD[:-2] + "AA", None),
    "Bearer of the app's own": ("", "Bearer eyJhbGciOiJub25lIn0.e30.", None),
    "Basic": ("", "Basic dXNlcjpwYXNz", None),
    "header not ASCII": ("", "\xff\xfe", None),
}


@pytest.mark.parametrize(("query", "header", "expected"), PLACES.values(), ids=PLACES)
async def test_where_the_instance_may_be(
    query: str, header: str | None, expected: str | None
) -> None:
    """One signed instance in the query, or else in the Authorization header, names the site."""
    assert expected == await outcome(caller(query, header))


def returning(value: Any) -> ResolveIdentity:
    """Return a `resolve_identity` that finds `value`."""
    return lambda connection: value


def returning_later(value: Any) -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Return an async `resolve_identity` that finds `value`."""

    async def resolve(connection: HTTPConnection) -> Any:
        return value

    return resolve


FOUND = [("site-9", "site-9"), (Identity("site-9"), "site-9"), (None, None), ("", None)]


@pytest.mark.parametrize(("found", "expected"), FOUND)
async def test_app_says_who_is_calling(found: Any, expected: str | None) -> None:
    """Where there is no signed instance, `resolve_identity` names a site or nobody."""
    assert expected == await outcome(caller(resolve=returning(found)))


@pytest.mark.parametrize(("found", "expected"), FOUND)
async def test_app_says_who_is_calling_after_a_while(found: Any, expected: str | None) -> None:
    """An async `resolve_identity` is asked by `identify`, and `identity` does not wait for it."""
    asked = caller(resolve=returning_later(found))
    try:
        identity: Identity | None = await asked.identify()
    except Unauthenticated:
        identity = None

    assert expected == (identity and identity.instance_id)
    assert asked.identity is None


async def test_coroutine_that_is_not_waited_for_is_closed() -> None:
    """A plain function that returns a coroutine is asked by `identify`, without a warning else."""
    later = returning_later("site-9")
    asked = caller(resolve=lambda connection: later(connection))

    assert asked.identity is None
    assert Identity("site-9") == await asked.identify()


class Later:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Any:
        yield from ()
        return "site-9"


async def test_any_awaitable_is_waited_for() -> None:
    """What `resolve_identity` returns may be any awaitable."""
    asked = caller(resolve=returning(Later()))

    assert asked.identity is None
    assert Identity("site-9") == await asked.identify()


async def test_resolve_gets_the_connection() -> None:
    """`resolve_identity` is called with the request: its headers, cookies and query."""
    seen: list[HTTPConnection] = []
    asked = caller("a=1", "Bearer session", resolve=seen.append)

    assert await outcome(asked) is None
    assert [("Bearer session", "1")] * 2 == [
        (connection.headers["authorization"], connection.query_params["a"]) for connection in seen
    ]


async def test_resolve_that_refuses_means_nobody() -> None:
    """Where `resolve_identity` raises Unauthenticated, nobody is calling."""

    def refuse(connection: HTTPConnection) -> None:
        raise Unauthenticated

    assert await outcome(caller(resolve=refuse)) is None


@pytest.mark.parametrize("query", ["instance=forged", f"instance={GOOD}&instance={GOOD}"])
async def test_forged_instance_is_final(query: str) -> None:
    """After a forgery the app's own function is not asked (R41, R47)."""
    asked = caller(query, resolve=returning(SITE))

    assert await outcome(asked) is None


async def test_signed_instance_wins_over_resolve() -> None:
    """A genuine signed instance goes before what the app's own function says."""
    assert SITE == await outcome(caller(f"instance={GOOD}", resolve=returning("site-9")))


async def test_known_caller_is_the_one_named() -> None:
    """A client for a named installation is never anybody else."""
    known = KnownCaller(SITE)

    assert known.identity == await known.identify() == Identity(SITE)


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
