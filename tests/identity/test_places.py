"""The places of a signed instance: found as a query is read, and at no cost when it is huge."""

from __future__ import annotations

import sys
from collections.abc import Callable
from urllib.parse import parse_qsl

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.identity.signing import GOOD
from wix_asgi.identity._places import in_header, in_query

MEGABYTE = 1_000_000


def read_whole(query: bytes) -> list[str]:
    """Return the instances in a query as the standard library reads it."""
    if b"instance=" not in query:
        return []
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    values = [value for name, value in pairs if name == "instance"]
    return values if len(values) < 2 else [""]


PARTS = ["instance", "=", "&", "%69nstance", "i%6Estance", "i%6estanc%65", "%", "+", ";", "%26"]
PARTS += ["%3d", "INSTANCE", "inst", "ance", " ", "\xe4", "%C3%A4", "%FF", "x", GOOD, "instance="]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
@hypothesis.example("instance=a+b%20c")
@hypothesis.example("instance&instance=x")
@hypothesis.example("a=b&%69%6e%73%74%61%6e%63%65=instance=")
def test_query_is_read_as_ever(text: str) -> None:
    """Within the limits the values are those that the standard library finds."""
    query = text.encode("latin-1")

    assert read_whole(query) == in_query(query)


HUGE_QUERIES = {
    "a value": b"instance=" + b"a" * MEGABYTE,
    "an escaped value": b"instance=" + b"%41" * (MEGABYTE // 3),
    "parameters before it": b"a=1&" * (MEGABYTE // 4) + b"instance=x",
    "parameters after it": b"instance=x" + b"&a" * (MEGABYTE // 2),
    "no more than ampersands": b"instance=x" + b"&" * MEGABYTE,
    "the same parameter": b"instance=x&" * (MEGABYTE // 11),
    "escaped letters": b"instance=x&" + b"%69" * (MEGABYTE // 3),
    "no instance": b"a=1&" * (MEGABYTE // 4),
}


def steps(work: Callable[[], object]) -> int:
    """Return how often `work` calls or leaves a function, of Python or of C."""
    counted = 0

    def count(*_: object) -> None:
        nonlocal counted
        counted += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("query", HUGE_QUERIES.values(), ids=HUGE_QUERIES)
def test_huge_query_is_refused_unread(query: bytes) -> None:
    """A query over 64 kB is a forgery, whatever is in it, and is not looked at (R51)."""
    assert [""] == in_query(query)
    assert steps(lambda: in_query(query)) < 10


SHORT = b"instance=x&a=1"
LONG = {
    "parameters": b"instance=x" + b"&a=1" * 16000,
    "letters": b"instance=x&" + b"i" * 65000,
    "names that begin alike": b"instance=x" + b"&instanc" * 8000,
}


@pytest.mark.parametrize("query", LONG.values(), ids=LONG)
def test_other_parameters_cost_no_steps(query: bytes) -> None:
    """Beside one instance, other parameters are passed over without a call for each (R51)."""
    assert ["x"] == in_query(query)
    assert steps(lambda: in_query(SHORT)) == steps(lambda: in_query(query))


def test_many_instances_end_the_search() -> None:
    """The second instance ends the search (R51)."""
    two, many = b"instance=x&instance=x", b"instance=x&" * 5000

    assert [""] == in_query(two) == in_query(many)
    assert steps(lambda: in_query(two)) == steps(lambda: in_query(many))


@pytest.mark.parametrize("value", [b"a" * 25000, b"%41" * 8193])
def test_long_value_is_refused_undecoded(value: bytes) -> None:
    """A value that no instance is as long as is a forgery, and is not decoded (R51)."""
    query = b"instance=" + value

    assert [""] == in_query(query)
    assert steps(lambda: in_query(query)) < 40


def test_longest_escaped_instance_is_decoded() -> None:
    """An instance of 8 kB is found although every character of it is escaped."""
    assert ["A" * 8192] == in_query(b"instance=" + b"%41" * 8192)


HEAD = GOOD.partition(".")[0].encode() + b"."
HEADERS = {
    "in the form of an instance": (HEAD + b"a" * MEGABYTE, [""]),
    "in that form, with Bearer": (b"Bearer " + HEAD + b"a" * MEGABYTE, [""]),
    "opaque": (b"Bearer " + b"a" * MEGABYTE, []),
    "in three parts": (HEAD + b"a" * 9000 + b"." + b"a" * MEGABYTE, []),
    "in many parts": (HEAD + b".a" * (MEGABYTE // 2), []),
}


@pytest.mark.parametrize(("value", "expected"), HEADERS.values(), ids=HEADERS)
def test_huge_header_is_refused_or_ignored(value: bytes, expected: list[str]) -> None:
    """A header over 8 kB is a forgery if it has an instance's form, else the app's own (R51)."""
    headers = [(b"authorization", value)]

    assert expected == in_header(headers)
    assert steps(lambda: in_header(headers)) < 25
