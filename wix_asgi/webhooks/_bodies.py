"""Reading the bodies of webhooks, bounded in bytes, time and number: anybody can send them."""

from __future__ import annotations

from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from wix_asgi.asgi.request_headers import read_headers
from wix_asgi.concurrency.deadline import Deadline
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.webhooks._refusal import WebhookRefused
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["Bodies", "Body"]

_SLOW: Final = "its body did not arrive in time"
_CROWDED: Final = "too many bodies are under way"


class Body:
    """The bytes of one body, which no log line and no traceback shows."""

    __slots__ = ("_bytes",)

    def __init__(self, content: bytes) -> None:
        """Hold `content`, without the white space around it."""
        self._bytes = content.strip()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} bytes>"

    def __len__(self) -> int:
        return len(self._bytes)

    def __bytes__(self) -> bytes:
        return self._bytes


class Bodies:
    """Reads bodies within the bounds of a policy; shared by all requests and event loops.

    Above a bound of an event loop its oldest body is given up, so that strangers who hold bodies
    open keep no event out.
    """

    def __init__(self, policy: WebhookPolicy) -> None:
        """Begin with no body."""
        self._policy = policy
        self._under_way = PerLoop(lambda: _UnderWay(policy))

    async def read(self, scope: Scope, receive: Receive) -> Body:
        """Return the body of a request.

        Raises:
            WebhookRefused: It is too large or too slow, or had to make room.
            ClientDisconnect: The client has hung up.
        """
        (length,) = read_headers(scope, b"content-length")
        if length.isdecimal() and int(length) > self._policy.max_body:
            raise self._too_large()
        under_way = self._under_way.here()
        arrival = under_way.begin()
        try:
            async with arrival.deadline:
                while arrival.is_unfinished:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    if len(arrival.content) + len(message.get("body", b"")) > self._policy.max_body:
                        raise self._too_large()
                    under_way.add(arrival, message)
                return Body(bytes(arrival.content))
        finally:
            under_way.end(arrival)
        if arrival.was_given_up:
            raise WebhookRefused(503, _CROWDED, retry_after=self._policy.retry_after)
        raise WebhookRefused(408, _SLOW)

    def _too_large(self) -> WebhookRefused:
        return WebhookRefused(413, f"its body has over {self._policy.max_body} bytes")


class _Arrival:
    """One body under way."""

    __slots__ = ("content", "deadline", "is_unfinished", "was_given_up")

    def __init__(self, timeout: float) -> None:
        self.content = bytearray()
        self.deadline = Deadline(timeout)
        self.is_unfinished = True
        self.was_given_up = False


class _UnderWay:
    """The bodies under way on one event loop, in the order in which they began."""

    def __init__(self, policy: WebhookPolicy) -> None:
        self._policy = policy
        self._arrivals: dict[_Arrival, None] = {}
        self._bytes = 0

    def begin(self) -> _Arrival:
        """Begin a body, which is under way until `end`."""
        arrival = _Arrival(self._policy.body_timeout)
        self._arrivals[arrival] = None
        self._give_up_oldest()
        return arrival

    def add(self, arrival: _Arrival, message: Message) -> None:
        """Add the next part of a body, which may be given up for its size."""
        part = message.get("body", b"")
        arrival.content += part
        arrival.is_unfinished = message.get("more_body", False)
        if arrival in self._arrivals:
            self._bytes += len(part)
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        policy = self._policy
        while len(self._arrivals) > policy.max_bodies or self._bytes > policy.max_bytes:
            oldest = next(iter(self._arrivals))
            self.end(oldest)
            oldest.was_given_up = True
            # Its task may be waiting for a part that never comes.
            oldest.deadline.move(0)

    def end(self, arrival: _Arrival) -> None:
        """End a body, unless it has ended before."""
        if arrival in self._arrivals:
            del self._arrivals[arrival]
            self._bytes -= len(arrival.content)
