"""Headers of any number and size, of which the beginning is read."""

from __future__ import annotations

from wix_asgi.asgi.request_headers import read_headers


def test_headers_are_read_by_name() -> None:
    """Values come in the order of the names; the first of a name counts, a missing one is empty."""
    headers = [(b"a", b"1"), (b"b", b"\xe9"), (b"a", b"2"), (b"ab", b"3")]

    assert ["\u00e9", "1", ""] == read_headers({"headers": headers}, b"b", b"a", b"c")


def test_values_are_bounded() -> None:
    """A value of any length is read to 1 kB (R51)."""
    headers = [(b"a", b"x" * 5_000_000), (b"b", b"y" * 1024)]

    assert ["x" * 1024, "y" * 1024] == read_headers({"headers": headers}, b"a", b"b")


def test_number_of_headers_is_bounded() -> None:
    """A thousand headers are looked at, and no further one (R51)."""
    others = [(b"other", b"")] * 999

    assert ["1"] == read_headers({"headers": [*others, (b"a", b"1")]}, b"a")
    assert [""] == read_headers({"headers": [*others, (b"b", b""), (b"a", b"1")]}, b"a")
