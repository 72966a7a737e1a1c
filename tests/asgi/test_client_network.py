"""From which network a request came, as the server tells it."""

from __future__ import annotations

from typing import Any

import pytest

from wix_asgi.asgi.client_network import client_network


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("203.0.113.9", 50000), "203.0.113.9"),
        (["203.0.113.9", 50000], "203.0.113.9"),
        (("::ffff:203.0.113.9", 50000), "203.0.113.9"),
        (("testclient", 50000), "testclient"),
        (("", 0), None),
        (None, None),
    ],
)
def test_the_servers_word_is_taken(client: Any, expected: str | None) -> None:
    """An IPv4 address is the network of one client, in each of its spellings."""
    assert expected == client_network({"client": client})


def test_a_server_may_tell_nothing() -> None:
    """A scope without a client has the network of all clients without an address."""
    assert client_network({}) is None


def test_an_ipv6_network_is_one_client() -> None:
    """The addresses of a /64 are one client's, and those of the next /64 another's (R49)."""
    hosts = ["2001:db8:1:2::1", "2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:3::1"]
    one, same, other = [client_network({"client": (host, 50000)}) for host in hosts]

    assert one == same
    assert one != other
    assert client_network({"client": ("fe80::1%eth0", 1)}) == client_network(
        {"client": ("fe80::2", 1)}
    )


def test_headers_say_nothing() -> None:
    """X-Forwarded-For and Forwarded, which anybody can write, change nothing (R49)."""
    headers = [(b"x-forwarded-for", b"198.51.100.1"), (b"forwarded", b"for=198.51.100.1")]

    assert "203.0.113.9" == client_network({"client": ("203.0.113.9", 1), "headers": headers})
