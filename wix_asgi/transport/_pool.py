"""Which connections are open: the places and idle connections of one event loop.

Every request holds a Place, of which there are as many as connections may be open, and a Place
owns at most one connection at a time. A connection that is being closed is still open, and still
owned by the Place that closes it: so open connections never exceed the places, and a Place that
needs room always finds an idle connection to close.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

import anyio

from wix_asgi._http import httpx
from wix_asgi.transport.origins import Origin

__all__ = ["CLOSE_SECONDS", "Connection", "ConnectionSlot", "Pool"]

CLOSE_SECONDS = 5.0
"""How long closing a connection may take before it is abandoned."""

# Servers hang up on idle connections after two seconds or more, be a request on its way or not.
_FRESH_SECONDS = 1.0


_log = logging.getLogger("wix_asgi.transport")


class Connection:
    """One connection, as a transport that never has more than one.

    Attributes:
        reused: Whether a request went well on it before.
        idle_since: When it was last given back, on the monotonic clock.
        epoch: The epoch of the pool it was opened in.
    """

    __slots__ = ("epoch", "idle_since", "origin", "reused", "transport")

    def __init__(self, transport: httpx.AsyncBaseTransport, origin: Origin, epoch: int) -> None:
        self.transport = transport
        self.origin = origin
        self.epoch = epoch
        self.reused = False
        self.idle_since = math.inf


class _Idle:
    """Idle connections: the warmest of an origin and the coldest of all, each at once."""

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
        size: The most connections that may be open, and requests that may be in flight.
        opened: How many are open: owned by a Place, or idle.
    """

    def __init__(
        self, size: int, keepalive_expiry: float, connect: Callable[[], httpx.AsyncBaseTransport]
    ) -> None:
        self.size = size
        self.opened = 0
        self._keepalive_expiry = keepalive_expiry
        self._connect = connect
        self._places = anyio.Semaphore(size, max_value=size)
        self._idle = _Idle()
        self._epoch = 0

    @property
    def in_flight(self) -> int:
        """How many places are taken."""
        return self.size - self._places.value

    @property
    def idle(self) -> int:
        """How many connections wait to be used again."""
        return len(self._idle)

    async def enter(self, patience: float | None) -> ConnectionSlot:
        """Wait for a place, first come first served.

        Raises:
            TimeoutError: None was free for `patience` seconds.
        """
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.fail_after(patience):
                await self._places.acquire()
        return ConnectionSlot(self)

    def leave(self) -> None:
        """Hand the place on; called by Place alone."""
        self._places.release()

    async def take(self, origin: Origin, *, repeatable: bool) -> Connection:
        """Hand out the warmest idle connection to `origin`, or else a new one.

        A request that is not `repeatable` gets none that its server may be about to close.
        """
        await self.sweep()
        since = -math.inf if repeatable else monotonic() - _FRESH_SECONDS
        return self._idle.pop_warmest(origin, since) or await self.open(origin)

    async def open(self, origin: Origin) -> Connection:
        """Open a connection, at the cost of the coldest idle one where there is no room."""
        while self.opened >= self.size:
            await self.close(self._idle.pop_coldest())
        connection = Connection(self._connect(), origin, self._epoch)
        self.opened += 1
        return connection

    async def keep(self, connection: Connection) -> None:
        """Take back a connection that is fit to be used again."""
        connection.reused = True
        connection.idle_since = monotonic()
        if connection.epoch == self._epoch:
            self._idle.add(connection)
        else:
            await self.close(connection)

    async def close(self, connection: Connection) -> None:
        """Close a connection, whatever becomes of the caller meanwhile."""
        try:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await connection.transport.aclose()
        except Exception as exc:
            _log.debug("A connection did not close cleanly: %s", type(exc).__name__)
        finally:
            self.opened -= 1

    async def sweep(self) -> None:
        """Close, one after the other, the idle connections that are not to be used again."""
        while self._idle and self._is_over(self._idle.coldest()):
            await self.close(self._idle.pop_coldest())

    async def aclose(self) -> None:
        """Close the idle connections now, and those in use when they are given back."""
        self._epoch += 1
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            return  # whoever leaves a place sweeps
        try:
            await self.sweep()
        finally:
            self._places.release()

    def _is_over(self, connection: Connection) -> bool:
        idle_for = monotonic() - connection.idle_since
        return connection.epoch != self._epoch or idle_for >= self._keepalive_expiry


class ConnectionSlot:
    """Leave to have one connection open, from `Pool.enter` to `leave`."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None

    async def take(self, origin: Origin, *, repeatable: bool) -> Connection:
        """Own a connection to `origin`, used before or not."""
        self._connection = await self._pool.take(origin, repeatable=repeatable)
        return self._connection

    async def replace(self, connection: Connection) -> Connection:
        """Own a connection never used before, for `connection`, which is closed."""
        self._connection = None
        await self._pool.close(connection)
        self._connection = await self._pool.open(connection.origin)
        return self._connection

    async def leave(self, *, keep: bool) -> None:
        """Give the connection back, or close it unless `keep`; to be called once."""
        try:
            if self._connection is not None:
                await (self._pool.keep if keep else self._pool.close)(self._connection)
            await self._pool.sweep()
        finally:
            self._pool.leave()
