"""The numbers of a call through the client, each with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from wix_asgi._http import httpx

__all__ = ["CallPolicy"]


def _default_timeout() -> httpx.Timeout:
    return httpx.Timeout(connect=5, read=10, write=10, pool=30)


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How long a call may take, how much it may read, and how often it is sent again."""

    timeout: httpx.Timeout = field(default_factory=_default_timeout)
    """Seconds for single steps of a call, as httpx counts them.

    Connecting takes five: a SYN packet that is lost is sent again after one second and after three
    (RFC 6298). The wait for a connection of the pool may take all of `total_seconds`: it ends as
    soon as another call does, and should not fail before the call itself would.
    """

    total_seconds: float = 30.0
    """Seconds for a whole call, redirects and refusals included, under the default `timeout`.

    A server that sends a byte every nine seconds would never exceed the timeout of a single read.
    """

    max_bytes: int = 10 * 1024 * 1024
    """Bytes, unpacked, that a call may read before its answer is handed over.

    An answer that is read whole is in memory as a whole, once for each call under way.
    """

    max_unproductive_bytes: int = 256 * 1024
    """Packed bytes in a row that may unpack to nothing.

    A gzip header may take a little over 64 KiB (RFC 1952, 2.3.1.1) before the first byte comes out.
    Behind the end of the packed data a decoder keeps every further byte and gives nothing, so that
    `max_bytes` would never be reached.
    """

    max_repeats: int = 2
    """How often a call is sent again after a 429 or 503 with `Retry-After`.

    Wix allows an app 200 requests a minute for each site ("Rate Limits"), and a repeated request
    counts again: an app that is over that limit is helped by fewer requests.
    """

    max_wait_seconds: float = 10.0
    """Seconds of `Retry-After` that a call waits in all: a third of `total_seconds`.

    The rest is for the requests themselves, with a read timeout of ten seconds each.
    """
