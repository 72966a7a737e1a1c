"""The network of a client: the part of its address that one subscriber has for himself."""

from __future__ import annotations

import ipaddress
from typing import Final

from starlette.types import Scope

__all__ = ["client_network"]

_SUBSCRIBER_BITS: Final = 64
"""Bits of an IPv6 address that a provider gives to one subscriber, to choose the rest freely.

RFC 6177, section 2: the smallest network that an end site gets is a /64.
"""


def client_network(scope: Scope) -> str | None:
    """Return the IPv4 address, or the /64 of the IPv6 address, from which a request came.

    The server says so (ASGI, `client`), and no header: anybody can write `X-Forwarded-For`. A
    client without an address, such as one at a Unix socket, is None; a name is returned as it is.
    """
    host: str = (scope.get("client") or [""])[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return f"{int(address) >> _SUBSCRIBER_BITS:x}::/{_SUBSCRIBER_BITS}"
        address = address.ipv4_mapped
    return str(address)
