"""h11 as the judge: what a plain reading of the bytes of an answer gives."""

from __future__ import annotations

from dataclasses import dataclass

import h11

from tests.transport.corpus.cases import Headers

__all__ = ["Verdict", "judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What h11 reads in the bytes of an answer.

    Attributes:
        status: None where it refuses the bytes.
        ends: Whether the answer ended by itself, and not with the connection.
        has_more: Whether bytes came behind the answer.
    """

    status: int | None = None
    headers: Headers = ()
    body: bytes = b""
    ends: bool = False
    has_more: bool = False


def judged(method: str, raw: bytes) -> Verdict:
    """Return what h11 reads in `raw`, of which the connection's end follows."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(raw)
    try:
        return _read(reader)
    except h11.RemoteProtocolError:
        return Verdict()


def _read(reader: h11.Connection) -> Verdict:
    status, body, ends = None, b"", True
    headers: Headers = ()
    while not isinstance(event := reader.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
        if event is h11.NEED_DATA:
            ends = False
            reader.receive_data(b"")
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, tuple(event.headers.raw_items())
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
    has_more = bool(reader.trailing_data[0])
    return Verdict(status=status, headers=headers, body=body, ends=ends, has_more=has_more)
