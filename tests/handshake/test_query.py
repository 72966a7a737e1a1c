"""Reading a query: its parameters, and the bounds that no query passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from traceback import TracebackException
from urllib.parse import quote, unquote_plus, unquote_to_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wix_asgi.asgi.cookies import read_cookies
from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.handshake._query import ADVANCED, EXTERNAL, Parameters, read_query

OURS = ["code", "state", "instanceId", "error", "token"]


def read(query: bytes) -> dict[str, str]:
    """Return the parameters of `query` as a dictionary."""
    found = read_query(query)
    return {name: found[name] for name in found}


def refusal(query: bytes) -> int:
    """Return the status with which `query` is refused."""
    with pytest.raises(HandshakeRefused) as caught:
        read_query(query)
    assert caught.value.reason is Reason.BAD_REQUEST
    return caught.value.status


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", {}),
        (b"&&&", {}),
        (b"code=b", {"code": "b"}),
        (b"code", {"code": ""}),
        (b"code=", {"code": ""}),
        (b"=b", {}),
        (b"code=b=c", {"code": "b=c"}),
        (b"code=b;state=d", {"code": "b;state=d"}),
        (b"code=b+c%20d%2B", {"code": "b c d+"}),
        (b"token=%C3%A9", {"token": "\u00e9"}),
        (b"token=%F0%9F%98%80", {"token": "\U0001f600"}),
        (b"token=%zz%", {"token": "%zz%"}),
        (b"%73%74%61te=b&%69nstanceId=c", {"state": "b", "instanceId": "c"}),
        (b"State=a&state=b&state[]=c&+state=d&state%20=e&%2573tate=f", {"state": "b"}),
    ],
)
def test_parameters_are_read(query: bytes, expected: dict[str, str]) -> None:
    """Names and values are decoded once."""
    assert expected == read(query)


@given(st.dictionaries(st.sampled_from(OURS), st.text(st.characters(exclude_categories=["C"]))))
def test_what_is_encoded_is_read_back(pairs: dict[str, str]) -> None:
    """Every text without control characters comes through as it was."""
    assert pairs == read(urlencode(pairs).encode())


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    "values", ["{0}=a&{0}=b", "{0}=b&{0}=a", "{0}=a&{0}=a", "{0}&{0}=", "{0}=a&x=y&{0}=b"]
)
def test_named_twice_is_refused(name: str, values: str) -> None:
    """A parameter of ours that is there twice is refused, with equal values as well (R13)."""
    escaped = "".join(f"%{ord(char):02x}" for char in name)

    assert 400 == refusal(values.format(name).encode())
    assert 400 == refusal(f"{name}=a&{escaped}=b".encode())


@pytest.mark.parametrize(
    ("name", "limit"), [("code", 8192), ("state", 4096), ("token", 4096), ("error", 4096)]
)
def test_values_are_bounded(name: str, limit: int) -> None:
    """A value of ours may have the length of the bound, and not a character more (R14)."""
    assert {name: "x" * limit} == read(f"{name}={'x' * limit}".encode())
    assert 414 == refusal(f"{name}={'x' * (limit + 1)}".encode())


def test_query_is_bounded() -> None:
    """A query may have 16 kB, whatever is in it, and a longer one is not looked at (R14, R49)."""
    query = f"state=b&x={'x' * 16 * 1024}".encode()[: 16 * 1024]

    assert {"state": "b"} == read(query)
    assert 414 == refusal(query + b"x")
    assert 414 == refusal(b"\xff" * 10_000_000)


@pytest.mark.parametrize(
    "foreign",
    [
        b"&".join(b"utm_%d=x" % number for number in range(25)),
        b"&" * 16_000,
        b"%63=&" * 3_200,
        b"x=1&x=2",
        b"x=" + b"x" * 8_000,
        b"utm_campaign=caf%E9",
        b"caf%E9=a",
        b"caf\xc3\xa9=\xff",
        b"a=%c3&b=%c0%80&c=%ed%a0%80&d=%f5%80%80%80",
        b"note=two%0D%0Alines%00&two%0Alines=",
    ],
    ids=lambda foreign: repr(foreign[:20]),
)
def test_foreign_parameters_are_left_out(foreign: bytes) -> None:
    """Links of campaigns have any number of parameters, in any encoding: none of them is read."""
    assert {"code": "a", "state": "b"} == read(b"code=a&" + foreign + b"&state=b")
    assert 400 == refusal(foreign + b"&state=a&state=b")


@pytest.mark.parametrize("code", [*range(0x20), 0x7F])
@pytest.mark.parametrize("template", ["code={0}", "token=x{0}", "error=a&state=b{0}c"])
def test_control_characters_are_refused(code: int, template: str) -> None:
    """No value of ours has a control character (R14)."""
    assert 400 == refusal(template.format(quote(chr(code), safe="")).encode())


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    "value", [b"%ff", b"%c3", b"%c0%80", b"%ed%a0%80", b"%f5%80%80%80", b"\xc3\xa9", b"a%E9&x=y"]
)
def test_other_encodings_are_refused(name: str, value: bytes) -> None:
    """A value of ours that is not UTF-8, or not escaped, is refused (R14)."""
    assert 400 == refusal(name.encode() + b"=" + value)


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_refused(query: bytes) -> None:
    """Any bytes are either read within the bounds or refused as a bad request (R14)."""
    try:
        found = read(query)
    except HandshakeRefused as exc:
        assert exc.reason is Reason.BAD_REQUEST  # noqa: PT017 - reading may also succeed
    else:
        assert set(found) <= set(OURS)
        assert all(value.isprintable() or max(value) > "\x7f" for value in found.values())


def read_by_the_pair(query: bytes, parameters: Parameters) -> dict[str, str] | str:
    """Read `query` as one would write it down, or return what it is refused for."""
    found: dict[str, str] = {}
    for pair in query.split(b"&"):
        written, _, value = pair.partition(b"=")
        name = unquote_to_bytes(written).decode("latin-1")
        if name not in parameters.max_lengths or not written.isascii():
            continue
        if name in found:
            return "a parameter is repeated"
        try:
            text = unquote_plus(value.decode("ascii"), errors="strict")
        except ValueError:
            return "the query is malformed"
        if len(text) > parameters.max_lengths[name]:
            return "a parameter is too long"
        if any(char < " " or char == "\x7f" for char in text):
            return "a parameter has control characters"
        found[name] = text
    return found


WRITTEN = [name.encode() for name in {*ADVANCED.max_lengths, *EXTERNAL.max_lengths}]
PIECES = [
    *WRITTEN,
    *(b"%%%02x" % name[0] + name[1:] for name in WRITTEN),
    *(name[:-1] + b"%%%02X" % name[-1] for name in WRITTEN),
    *(b"&", b"=", b"%", b"%26", b"%3d", b"%3D", b"%25", b"%u01", b"+", b"\\", b"\\u0141", b"\\x"),
    *(b"%5c", b"%dc", b"%C3%A9", b"%a9", b"\xe9", b"%e3ode", b"\xe3ode", b"%A6", b"%a5", b"\xa5"),
    *(b"4", b"a", b"A", b"%00", b"\0", b"\r\n", b"%7f", b"\x7f", b"%f0%9f%98%80", b"x" * 4096),
]
"""What has a meaning in a query, or had one in some step of its reading."""


@pytest.mark.parametrize("parameters", [ADVANCED, EXTERNAL], ids=["advanced", "external"])
@given(
    query=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3)), max_size=24).map(
        lambda pieces: b"".join(pieces)[: 16 * 1024]
    )
)
def test_query_is_read_as_by_the_pair(query: bytes, parameters: Parameters) -> None:
    """All pairs at once are read as they are one by one, and refused for the same (R13, R14)."""
    try:
        query_found = read_query(query, parameters)
        found: dict[str, str] | str = {name: query_found[name] for name in query_found}
    except HandshakeRefused as exc:
        found = exc.message

    assert read_by_the_pair(query, parameters) == found


def test_repr_shows_no_value() -> None:
    """Codes and states do not get into tracebacks that show locals (R35)."""
    query = read_query(b"code=test-code-0123456789&state=test-state-0123456789")

    assert "<Query of 2>" == repr(query) == str(query)
    assert 2 == len(query)


@pytest.mark.parametrize(
    "hidden", [read_query(b"code=a"), read_cookies([(b"cookie", b"wix-a=b")], "wix-")], ids=repr
)
def test_trackers_cannot_walk_through_the_values(hidden: object) -> None:
    """Trackers walk through the containers among locals, and never ask them for a repr (R52)."""
    assert not isinstance(hidden, Mapping | Sequence | AbstractSet)
    assert not hasattr(hidden, "__dict__")


def test_refusals_say_nothing_of_the_query() -> None:
    """A refusal quotes nothing of the query (R19, R35)."""
    for query in (
        b"code=hostile&code=hostile",
        b"code=hostile%00",
        b"code=hostile%ff",
        b"hostile" * 9000,
    ):
        with pytest.raises(HandshakeRefused) as caught:
            read_query(query)
        said = "".join(TracebackException.from_exception(caught.value).format_exception_only())

        assert "hostile" not in said + str(caught.value.__cause__)
