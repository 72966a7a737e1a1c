"""The open connections of one event loop, in use by requests or idle.

Every request holds a ConnectionSlot. The number of slots is the limit of open connections, and a
slot owns at most one connection at a time. A connection that is being closed is still open, and
still owned by the slot that closes it. So open connections never outnumber the slots, and a slot
that needs room always finds an idle connection to close.
"""

from __future__ import annotations

import gc
import logging
import math
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import cast

import anyio
from anyio.lowlevel import current_token

from wix_asgi._http import httpx
from wix_asgi.concurrency.call_soon import call_soon
from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.transport.origins import Origin
from wix_asgi.transport.policy import PoolPolicy

__all__ = ["Connection", "ConnectionSlot", "Pool"]

_log = logging.getLogger("wix_asgi.transport")


class Connection:
    """One connection, as a transport that never has more than one.

    Attributes:
        reused: Whether an earlier request on it has succeeded.
        idle_since: The moment of its last return to the pool, in seconds of the monotonic clock.
        epoch: The pool's epoch when it was opened. `Pool.aclose` begins a new one, and connections
            of older epochs are closed instead of kept.
    """

    __slots__ = ("epoch", "idle_since", "origin", "reused", "transport")

    def __init__(self, transport: httpx.AsyncBaseTransport, origin: Origin, epoch: int) -> None:
        self.transport = transport
        self.origin = origin
        self.epoch = epoch
        self.reused = False
        self.idle_since = math.inf


class _Idle:
    """The idle connections.

    Both the warmest of an origin (the one used last) and the coldest of all are found in constant
    time, however many connections are idle.
    """

    def __init__(self) -> None:
        self._coldest_first: OrderedDict[Connection, None] = OrderedDict()
        self._by_origin: dict[Origin, dict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._coldest_first)

    def add(self, connection: Connection) -> None:
        self._coldest_first[connection] = None
        self._by_origin.setdefault(connection.origin, {})[connection] = None

    def pop_warmest(self, origin: Origin, since: float) -> Connection | None:
        of_origin = self._by_origin.get(origin)
        if of_origin is None:
            return None
        connection = next(reversed(of_origin))
        if connection.idle_since <= since:
            return None
        self._remove(connection)
        return connection

    def coldest(self) -> Connection:
        return next(iter(self._coldest_first))

    def pop_coldest(self) -> Connection:
        connection = self.coldest()
        self._remove(connection)
        return connection

    def _remove(self, connection: Connection) -> None:
        del self._coldest_first[connection]
        of_origin = self._by_origin[connection.origin]
        del of_origin[connection]
        if not of_origin:
            del self._by_origin[connection.origin]


class Pool:
    """The connections of one event loop; never used from another.

    Attributes:
        size: The most connections that may be open, and the most requests in flight.
        close_seconds: The time in which a connection must close before it is abandoned.
    """

    def __init__(
        self,
        policy: PoolPolicy,
        connect: Callable[[], httpx.AsyncBaseTransport],
        dropped_lines: LineLimit,
    ) -> None:
        self.size = policy.max_connections
        # Held here, so that the socket of an answer in a cycle is not collected with the answer.
        self._open: set[Connection] = set()
        self.close_seconds = policy.close_seconds
        self._collect_pause = policy.collect_pause
        self._collect_wait = policy.collect_wait
        self._collected_at = -math.inf
        self._keepalive_seconds = policy.keepalive_seconds
        self._fresh_seconds = policy.fresh_seconds
        self._connect = connect
        self._dropped_lines = dropped_lines
        # Not `concurrency.slots`, which looks up its event loop each time: this pool belongs to
        # one, and every request comes through here.
        self._free_slots = anyio.Semaphore(self.size, max_value=self.size)
        self._idle = _Idle()
        self._epoch = 0
        # No slot owns them, no request may have them, and they are open until the next sweep.
        self._dropped: deque[Connection] = deque()
        # Weak: trio's loop would be kept alive, and this pool with it.
        self._loop = weakref.ref(current_token().native_token)

    @property
    def opened(self) -> int:
        """The number of open connections: owned by a slot, idle, or dropped."""
        return len(self._open)

    @property
    def in_flight(self) -> int:
        """The number of requests that hold a slot."""
        return self.size - self._free_slots.value

    @property
    def idle(self) -> int:
        """The number of connections that are kept for later requests."""
        return len(self._idle)

    async def acquire(self, seconds: float | None) -> ConnectionSlot:
        """Wait for a slot, first come first served.

        Raises:
            TimeoutError: No slot came free within `seconds`.
        """
        try:
            self._free_slots.acquire_nowait()
        except anyio.WouldBlock:
            await self._wait_for_slot(seconds)
        return ConnectionSlot(self)

    async def _wait_for_slot(self, seconds: float | None) -> None:
        with anyio.move_on_after(seconds):
            await self._free_slots.acquire()
            return
        # httpx's answers are in reference cycles: the collector may not come for minutes.
        if monotonic() - self._collected_at >= self._collect_pause:
            self._collected_at = monotonic()
            gc.collect()
        with anyio.fail_after(self._collect_wait):
            await self._free_slots.acquire()

    def release(self) -> None:
        """Hand the slot to the request that has waited longest; for `ConnectionSlot` alone."""
        self._free_slots.release()

    async def take(self, origin: Origin, *, repeatable: bool) -> Connection:
        """Hand out the warmest idle connection to `origin`, or else a new one.

        For a request that is not `repeatable`, an idle connection must also be so fresh that its
        server is not about to close it.
        """
        await self.sweep()
        since = -math.inf if repeatable else monotonic() - self._fresh_seconds
        return self._idle.pop_warmest(origin, since) or await self.open(origin)

    async def open(self, origin: Origin) -> Connection:
        """Open a connection; where there is no room, the coldest idle one is closed for it."""
        while self.opened >= self.size:
            await self.close(self._pop_spare())
        connection = Connection(self._connect(), origin, self._epoch)
        self._open.add(connection)
        return connection

    async def keep(self, connection: Connection) -> None:
        """Take back a connection that is fit for another request."""
        connection.reused = True
        connection.idle_since = monotonic()
        if connection.epoch == self._epoch:
            self._idle.add(connection)
        else:
            await self.close(connection)

    async def close(self, connection: Connection) -> None:
        """Close a connection to the end, even if the calling task is cancelled meanwhile."""
        try:
            with anyio.move_on_after(self.close_seconds, shield=True):
                await connection.transport.aclose()
        except Exception as exc:
            _log.debug("A connection did not close cleanly: %s", type(exc).__name__)
        finally:
            self._open.remove(connection)

    async def sweep(self) -> None:
        """Close in turn the connections that were dropped, or are too old to be used again."""
        while self._dropped or (self._idle and self._is_over(self._idle.coldest())):
            await self.close(self._pop_spare())

    async def aclose(self) -> None:
        """Close the idle connections now, and each connection in use when it is given back."""
        self._epoch += 1
        try:
            self._free_slots.acquire_nowait()
        except anyio.WouldBlock:
            return  # the release of any slot sweeps
        try:
            await self.sweep()
        finally:
            self._free_slots.release()

    def drop(self, connection: Connection) -> None:
        """Take back the slot of a connection whose answer was collected as garbage.

        May be called from any thread. It neither blocks nor logs, since the collector may run in
        the middle of any code.
        """
        loop = self._loop()
        if loop is not None:
            # Where the loop is over, its sockets are gone with it.
            call_soon(loop, partial(self._take_back, connection))

    def _take_back(self, connection: Connection) -> None:
        """Release the slot at once; its connection is closed by the next request."""
        self._dropped.append(connection)
        self.release()
        left_out = self._dropped_lines.admit(connection.origin)
        if left_out is not None:
            scheme, host, _ = connection.origin
            _log.warning(
                "an answer of %s://%s was dropped unclosed, and its connection with it: "
                "close streamed answers%s",
                scheme,
                host.decode("ascii"),
                and_more(left_out),
            )

    def _pop_spare(self) -> Connection:
        """Take the connection that is the least worth keeping, of those that no slot owns."""
        return self._dropped.popleft() if self._dropped else self._idle.pop_coldest()

    def _is_over(self, connection: Connection) -> bool:
        idle_for = monotonic() - connection.idle_since
        return connection.epoch != self._epoch or idle_for >= self._keepalive_seconds


class ConnectionSlot:
    """The right to one open connection, from `Pool.acquire` to `release`."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None

    async def take(self, origin: Origin, *, repeatable: bool) -> Connection:
        """Own a connection to `origin`, an idle one or a new one, and return it."""
        self._connection = await self._pool.take(origin, repeatable=repeatable)
        return self._connection

    async def replace(self, connection: Connection) -> Connection:
        """Close `connection`, and own a new one to the same origin instead."""
        self._connection = None
        await self._pool.close(connection)
        self._connection = await self._pool.open(connection.origin)
        return self._connection

    def drop(self) -> None:
        """Release the slot, whose answer was collected as garbage; from any thread."""
        # Every answer came over a connection.
        self._pool.drop(cast("Connection", self._connection))

    async def release(self, *, keep: bool) -> None:
        """Return the connection to the pool, or close it unless `keep`; to be called once."""
        try:
            if self._connection is not None:
                await (self._pool.keep if keep else self._pool.close)(self._connection)
            await self._pool.sweep()
        finally:
            self._pool.release()
