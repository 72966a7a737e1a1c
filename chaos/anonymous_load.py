"""`python -m chaos.anonymous_load`: requests at a fixed rate, however slowly they are answered.

A process of its own, so that its time on the CPU is not the app's. It imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pickle
import re
import sys
from collections.abc import Sequence
from typing import Final, cast

__all__ = ["Load", "Response", "Tally"]

_MAX_CONNECTIONS: Final = 8000
"""Unanswered requests above which no further one is sent: less than the files of a process."""

_LAST_ANSWERS: Final = 60.0
"""Seconds after the last request for the answers that are still to come."""

_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """Requests for the server on `port`.

    Attributes:
        requests: The bytes of each, to be sent in this order, and again from the first on.
        rate: The number of requests in a second.
        count: The number of requests in all.
    """

    port: int
    requests: Sequence[bytes]
    rate: float
    count: int


@dataclasses.dataclass(slots=True)
class Tally:
    """The outcome of a load; times in seconds.

    Attributes:
        statuses: How many responses had each status.
        sent: How many requests were sent; the rest found no free connection.
        seconds: How long the sending took.
        waits: The time of each response since its request was due.
    """

    statuses: dict[int, int] = dataclasses.field(default_factory=dict)
    sent: int = 0
    seconds: float = 0.0
    waits: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Response:
    """The bytes of a response, as they come."""

    received: bytes = b""

    @property
    def status(self) -> int | None:
        """Its status, once all of it has come."""
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(body) < int(length[1] if length else 0):
            return None
        return int(head.split(b" ", 2)[1])


class _Connection(asyncio.Protocol):
    """One connection that is kept, with one request at a time."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender
        self._response = Response()
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, due: float) -> None:
        self._response, self._due = Response(), due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._response.received += data
        if (status := self._response.status) is not None:
            self._sender.answered(self, status, self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._sender.lost(self)


class _Sender:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._free: list[_Connection] = []
        self._count = 0
        self._unanswered = 0
        self._is_sent = False
        self._all_answered = asyncio.Event()
        self._connecting: set[asyncio.Task[None]] = set()
        self._tally = Tally()

    async def send_all(self) -> Tally:
        load, began = self._load, self._loop.time()
        for number in range(load.count):
            due = began + number / load.rate
            if due > self._loop.time():
                await asyncio.sleep(due - self._loop.time())
            self._start(load.requests[number % len(load.requests)], due)
        self._tally.seconds = self._loop.time() - began
        self._is_sent = True
        if self._unanswered:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_answered.wait(), _LAST_ANSWERS)
        return self._tally

    def answered(self, connection: _Connection, status: int, due: float) -> None:
        self._end_one()
        statuses = self._tally.statuses
        statuses[status] = statuses.get(status, 0) + 1
        self._tally.waits.append(self._loop.time() - due)
        self._free.append(connection)

    def lost(self, connection: _Connection) -> None:
        self._count -= 1
        if connection in self._free:
            self._free.remove(connection)
        else:
            self._end_one()

    def _end_one(self) -> None:
        self._unanswered -= 1
        if self._is_sent and not self._unanswered:
            self._all_answered.set()

    def _start(self, request: bytes, due: float) -> None:
        if not self._free and self._count >= _MAX_CONNECTIONS:
            return
        self._tally.sent += 1
        self._unanswered += 1
        if self._free:
            self._free.pop().send(request, due)
            return
        self._count += 1
        task = asyncio.create_task(self._connect(request, due))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, request: bytes, due: float) -> None:
        try:
            _, connection = await self._loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self._load.port
            )
        except OSError:
            self._count -= 1
            self._end_one()
        else:
            connection.send(request, due)


async def _send(load: Load) -> Tally:
    return await _Sender(load).send_all()


def main() -> None:
    """Carry out the load on the standard input; write the tally; both are pickled tuples."""
    load = Load(*pickle.load(sys.stdin.buffer))  # noqa: S301 - of our own parent process
    tally = asyncio.run(_send(load))
    pickle.dump(dataclasses.astuple(tally), sys.stdout.buffer)


if __name__ == "__main__":
    main()
