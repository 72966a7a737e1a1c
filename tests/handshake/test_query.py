"""Reading a query: its parameters, and the bounds that no query passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from traceback import TracebackException
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.handshake._cookies import read_cookies
from wix_asgi.handshake._query import read_query


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
        (b"a=b", {"a": "b"}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"=b", {"": "b"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=b;c=d", {"a": "b;c=d"}),
        (b"a=b+c%20d%2B", {"a": "b c d+"}),
        (b"a=%C3%A9&%C3%A9=a", {"a": "\u00e9", "\u00e9": "a"}),
        (b"a=%F0%9F%98%80", {"a": "\U0001f600"}),
        (b"a=%zz%", {"a": "%zz%"}),
        (b"x=1&x=2", {"x": "2"}),
        (b"State=a&state=b&state[]=c", {"State": "a", "state": "b", "state[]": "c"}),
    ],
)
def test_parameters_are_read(query: bytes, expected: dict[str, str]) -> None:
    """Names and values are decoded once."""
    assert expected == read(query)


@given(st.dictionaries(st.sampled_from("abcde"), st.text(st.characters(exclude_categories=["C"]))))
def test_what_is_encoded_is_read_back(pairs: dict[str, str]) -> None:
    """Every text without control characters comes through as it was."""
    assert pairs == read(urlencode(pairs).encode())


@pytest.mark.parametrize("name", ["code", "state", "instanceId", "error", "token"])
@pytest.mark.parametrize(
    "values", ["{0}=a&{0}=b", "{0}=b&{0}=a", "{0}=a&{0}=a", "{0}&{0}=", "{0}=a&x=y&{0}=b"]
)
def test_named_twice_is_refused(name: str, values: str) -> None:
    """A parameter of ours that is there twice is refused, with equal values as well (R13)."""
    escaped = "".join(f"%{ord(char):02x}" for char in name)

    assert 400 == refusal(values.format(name).encode())
    assert 400 == refusal(f"{name}=a&{escaped}=b".encode())


@pytest.mark.parametrize(
    ("name", "limit"), [("code", 8192), ("state", 4096), ("token", 4096), ("x", 4096)]
)
def test_values_are_bounded(name: str, limit: int) -> None:
    """A value may have the length of the bound, and not a character more (R14)."""
    assert {name: "x" * limit} == read(f"{name}={'x' * limit}".encode())
    assert 414 == refusal(f"{name}={'x' * (limit + 1)}".encode())


def test_query_is_bounded() -> None:
    """A query may have 16 kB (R14)."""
    query = "&".join(f"{number}={'x' * 3200}" for number in range(6)).encode()[: 16 * 1024]

    assert 6 == len(read(query))
    assert 414 == refusal(query + b"x")
    assert 414 == refusal(b"\xff" * 1_000_000)


def test_number_of_parameters_is_bounded() -> None:
    """A query may have 20 parameters, empty ones among them (R14)."""
    names = [str(number) for number in range(20)]

    assert dict.fromkeys(names, "") == read("&".join(names).encode())
    assert 400 == refusal("&".join([*names, "one-more"]).encode())
    assert 400 == refusal(b"&" * 20)


@pytest.mark.parametrize("code", [*range(0x20), 0x7F])
@pytest.mark.parametrize("template", ["a={0}", "a=x{0}", "{0}=a", "code={0}", "state=a&b={0}c"])
def test_control_characters_are_refused(code: int, template: str) -> None:
    """Neither a name nor a value has a control character (R14)."""
    assert 400 == refusal(template.format(quote(chr(code), safe="")).encode())


@pytest.mark.parametrize(
    "query",
    [b"a=%ff", b"%ff=a", b"a=%c3", b"a=%c0%80", b"a=%ed%a0%80", b"a=%f5%80%80%80", b"a=\xc3\xa9"],
)
def test_other_encodings_are_refused(query: bytes) -> None:
    """A query that is not UTF-8, or not escaped, is refused (R14)."""
    assert 400 == refusal(query)


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_refused(query: bytes) -> None:
    """Any bytes are either read within the bounds or refused as a bad request (R14)."""
    try:
        found = read(query)
    except HandshakeRefused as exc:
        assert exc.reason is Reason.BAD_REQUEST  # noqa: PT017 - reading may also succeed
    else:
        assert len(found) <= 20
        assert all(
            (name + value).isprintable() or max(name + value) > "\x7f"
            for name, value in found.items()
        )


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
    for query in (b"code=hostile&code=hostile", b"hostile=%00", b"hostile=%ff", b"hostile" * 9000):
        with pytest.raises(HandshakeRefused) as caught:
            read_query(query)
        said = "".join(TracebackException.from_exception(caught.value).format_exception_only())

        assert "hostile" not in said + str(caught.value.__cause__)
