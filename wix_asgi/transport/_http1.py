"""One HTTP/1.1 connection on asyncio's own protocol (RFC 9112)."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from wix_asgi._http import httpx
from wix_asgi.transport._answer import Answer

__all__ = ["Http1Connection"]

_MAX_UNREAD_BYTES: Final = 256 * 1024
"""Unread bytes of a body above which nothing more is received: what asyncio receives at a time
(`asyncio.selector_events._SelectorTransport.max_size`), so there is at most twice as much."""


class Http1Connection(asyncio.Protocol):
    """One connection, which carries one request at a time.

    The server ends an idle connection by hanging up, or by sending what was not asked for.

    Attributes:
        answer: The answer to the request that is on its way, None while the connection is idle.
        has_ended: Whether the peer has hung up, or the connection was closed.
    """

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.has_ended = False
        self._loop = asyncio.get_running_loop()
        self._lost = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._is_reading_paused = False
        self._is_writing_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timed_out: type[httpx.TimeoutException] = httpx.ReadTimeout
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a request may begin."""
        return self.answer is None and not self.has_ended

    def get_extra_info(self, info: str) -> Any:
        """Answer as httpcore's `network_stream` does, of whose methods this is the only one."""
        names = {"client_addr": "sockname", "server_addr": "peername"}
        if info == "is_readable":
            return self.has_ended
        return self.transport.get_extra_info(names.get(info, info))

    @property
    def transport(self) -> asyncio.Transport:
        """The connected transport."""
        return cast("asyncio.Transport", self._transport)

    def begin(self, *, is_head_only: bool) -> Answer:
        """Begin a request, and return its answer, which is filled from here on."""
        self.answer = Answer(is_head_only=is_head_only)
        return self.answer

    async def write(self, data: bytes, seconds: float | None) -> bool:
        """Send `data`; return False where the peer has hung up, and may have answered before that.

        Raises:
            httpx.WriteTimeout: The peer has not taken enough of it within `seconds`.
        """
        if self.has_ended:
            return False
        self.transport.write(data)
        if self._is_writing_paused:
            deadline = self._deadline_in(seconds)
            while self._is_writing_paused and not self.has_ended:
                await self._wait(deadline, httpx.WriteTimeout)
        return not self.has_ended

    async def receive_head(self, answer: Answer, seconds: float | None) -> None:
        """Wait for the head of the answer, or its failure.

        Raises:
            httpx.ReadTimeout: Nothing was received for `seconds`.
            httpx.TransportError: The answer has failed.
        """
        while not answer.status and answer.error is None:
            await self._wait(self._deadline_in(seconds), httpx.ReadTimeout)
        if answer.error is not None and not answer.status:
            raise answer.error

    async def receive(self, answer: Answer, seconds: float | None) -> bytes:
        """Return the next bytes of the body, none at its end.

        Raises:
            httpx.ReadTimeout: Nothing was received for `seconds`.
            httpx.TransportError: The answer has failed.
        """
        while not (answer.size or answer.has_ended):
            await self._wait(self._deadline_in(seconds), httpx.ReadTimeout)
        body = answer.take_body()
        if not body and answer.error is not None:
            raise answer.error
        if self._is_reading_paused:
            self._resume_reading()
        return body

    def finish(self, *, keep: bool) -> None:
        """End the request: keep the connection for another if that can be, or close it."""
        answer, self.answer = self.answer, None
        if not (keep and answer is not None and answer.leaves_reusable and not self.has_ended):
            self.close()
        elif self._is_reading_paused:
            self._resume_reading()

    def close(self) -> None:
        """Close at once. What was not sent yet is not sent any more."""
        self.has_ended = True
        transport = self.transport
        if transport.get_extra_info("ssl_object") is not None:
            # Sends the closing alert of TLS, and would wait for that of the peer.
            transport.close()
        transport.abort()

    async def aclose(self) -> None:
        """Close, and return when the socket is closed."""
        self.close()
        await asyncio.shield(self._lost)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Of `asyncio.Protocol`."""
        answer = self.answer
        if answer is None:
            self.close()
            return
        answer.feed(data)
        if answer.size > _MAX_UNREAD_BYTES and not self._is_reading_paused:
            self._is_reading_paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Of `asyncio.Protocol`; the transport closes itself afterwards."""
        self.has_ended = True
        if self.answer is not None:
            self.answer.feed_eof()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Of `asyncio.Protocol`."""
        self.has_ended = True
        if self.answer is not None:
            if exc is not None:
                self.answer.fail(httpx.ReadError(str(exc)))
            self.answer.feed_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._wake()
        self._lost.set_result(None)

    def pause_writing(self) -> None:
        """Of `asyncio.Protocol`."""
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        """Of `asyncio.Protocol`."""
        self._is_writing_paused = False
        self._wake()

    def _resume_reading(self) -> None:
        self._is_reading_paused = False
        if not self.has_ended:
            self.transport.resume_reading()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _deadline_in(self, seconds: float | None) -> float | None:
        return None if seconds is None else self._loop.time() + seconds

    async def _wait(self, deadline: float | None, timed_out: type[httpx.TimeoutException]) -> None:
        """Wait until anything happens on the connection.

        Raises:
            httpx.TimeoutException: `timed_out`, at `deadline`.
        """
        self._waiter = self._loop.create_future()
        if deadline is not None:
            self._timed_out = timed_out
            self._deadline = deadline
            self._set_timer(deadline)
        else:
            self._deadline = float("inf")
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self, deadline: float) -> None:
        """Have `_tick` called at `deadline` or before; most requests leave the timer as it is."""
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done() or self._deadline == float("inf"):
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._tick)
        else:
            waiter.set_exception(self._timed_out(""))
