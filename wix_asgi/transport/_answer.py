"""The answer to one request: its head, and the unread part of its body."""

from __future__ import annotations

import math
import re
from typing import Final

import httptools

from wix_asgi._http import httpx

__all__ = ["Answer"]

_MAX_BYTES_WITHOUT_BODY: Final = 100 * 1024
"""The most bytes of a head, or of chunk lines and trailers in a row. It is the bound of httpcore
(`AsyncHTTP11Connection.MAX_INCOMPLETE_EVENT_SIZE`); the parser has none of its own."""

_HEAD_END: Final = re.compile(rb"\n\r?\n")
_LINE_END: Final = re.compile(rb"\r?\n")
_FOLD: Final = re.compile(rb"[ \t]*\r\n[ \t]+")
_NAME: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_TEXT: Final = re.compile(rb"(?:[^\x00\s]|[ \t])*")
"""What h11 takes in a reason or a value: control characters, too, save NUL and white space."""

_CHUNKS_END: Final = re.compile(rb"[^\r\n]\r\n\r\n\Z")
"""The end of chunks: a line, which is never empty, and an empty one. The parser skips further empty
lines behind it, and does not tell."""

_MAX_LENGTH_DIGITS: Final = 20
"""As in h11: a larger number than any file has bytes."""


class _Message:
    """What the parser calls. It does not refer to the parser, so that no cycle needs collecting."""

    __slots__ = ("body", "headers", "is_complete", "is_one", "reason", "size")

    def __init__(self) -> None:
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.size = 0
        self.is_one = True
        self.is_complete = False

    def on_message_begin(self) -> None:
        self.is_one = not self.is_complete

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value.rstrip(b" \t")))

    def on_body(self, piece: bytes) -> None:
        if not self.is_complete:
            self.add(piece)

    def on_message_complete(self) -> None:
        self.is_complete = True

    def add(self, piece: bytes) -> None:
        self.body.append(piece)
        self.size += len(piece)


class Answer:
    """Takes the bytes of a connection, from the head of an answer to its end.

    Informational answers are skipped. Lines that end without a carriage return and folded headers
    (RFC 9112, 2.2 and 5.2) are read as h11 reads them.

    Attributes:
        status: The status code, 0 until the head has come.
        headers: Names and values as they were sent, without the white space around values.
        is_complete: Whether the end of the body has come.
        has_surplus: Whether more bytes came than the answer has.
        error: Why no more will come of an answer that is not complete.
    """

    __slots__ = (
        "_head",
        "_is_head_only",
        "_message",
        "_parser",
        "_tail",
        "_to_come",
        "_without_body",
        "error",
        "has_surplus",
        "headers",
        "http_version",
        "is_complete",
        "keep_alive",
        "reason",
        "status",
    )

    def __init__(self, *, is_head_only: bool) -> None:
        """Expect no body where `is_head_only`: the request is a HEAD."""
        self._is_head_only = is_head_only
        self._head = b""
        self._message = _Message()
        self._parser = httptools.HttpResponseParser(self._message)
        self._to_come: float | None = None
        self._tail = b""
        self._without_body = 0
        self.status = 0
        self.http_version = b""
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False
        self.keep_alive = False
        self.has_surplus = False
        self.error: httpx.TransportError | None = None

    @property
    def size(self) -> int:
        """The number of bytes of the body that were not read yet."""
        return self._message.size

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to come, be it complete or not."""
        return self.is_complete or self.error is not None

    @property
    def leaves_reusable(self) -> bool:
        """Whether its connection can carry another request."""
        return self.is_complete and self.keep_alive and not self.has_surplus

    def feed(self, data: bytes) -> None:
        """Take received bytes; a fault in them becomes the `error`."""
        if self.has_ended:
            self.has_surplus = True
            return
        try:
            if not self.status:
                data = self._feed_head(data)
            if data:
                self._feed_body(data)
        except httptools.HttpParserError as exc:
            self._refuse(str(exc))

    def feed_eof(self) -> None:
        """End here: a body without a length is complete, and any other is not."""
        if self.has_ended:
            return
        if self._to_come == math.inf:
            self.is_complete = True
        elif self.status:
            self._refuse("peer closed connection without sending complete message body")
        else:
            self._refuse("Server disconnected without sending a response.")

    def fail(self, error: httpx.TransportError) -> None:
        """End with `error`, unless it has ended."""
        if not self.has_ended:
            self.error = error

    def take_body(self) -> bytes:
        """Return the bytes of the body that were not read yet."""
        message = self._message
        pieces = message.body
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        message.size = 0
        return body

    def _refuse(self, message: str) -> None:
        self.fail(httpx.RemoteProtocolError(message))

    def _feed_head(self, data: bytes) -> bytes:
        """Take the heads of informational answers and of the answer; return the bytes after it."""
        # An empty line has four bytes at most, of which three may have come before.
        start = max(0, len(self._head) - 3)
        data = self._head + data
        while True:
            end = _HEAD_END.search(data, start, _MAX_BYTES_WITHOUT_BODY)
            start = 0
            if end is None:
                self._head = data
                if len(data) >= _MAX_BYTES_WITHOUT_BODY:
                    self._refuse("the head of the answer is too large")
                return b""
            self._parse_head(data[: end.end()])
            data = data[end.end() :]
            if self.error is not None:
                return b""
            if self._parser.get_status_code() >= 200:
                break
            self._start_message()
        self._begin_body()
        return data

    def _parse_head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/"):
            # The parser takes other protocols, and empty lines before.
            self._refuse("the answer is not one of HTTP/1.1")
            return
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # of 101, which is refused in any case
        except httptools.HttpParserError:
            self._parse_odd_head(head)
        if self._parser.get_status_code() == 101:
            # Requests that ask for it go by httpcore.
            self._refuse("the server switches to a protocol that was not asked for")
        if not _TEXT.fullmatch(self._message.reason):
            self._refuse("the reason of the answer has a character that is not allowed")

    def _parse_odd_head(self, head: bytes) -> None:
        """Parse an unusual head, and refuse everything in it that h11 refuses."""
        first, _, lines = _LINE_END.sub(b"\r\n", head).partition(b"\r\n")
        if lines.startswith((b" ", b"\t")):
            self._refuse("the first line of the answer is folded")
            return
        self._start_message()
        self._parser.set_dangerous_leniencies(lenient_headers=True)
        self._parser.feed_data(first + b"\r\n" + _FOLD.sub(b" ", lines))
        headers = self._message.headers
        if not all(_NAME.fullmatch(name) and _TEXT.fullmatch(value) for name, value in headers):
            self._refuse("a header of the answer has a character that is not allowed")

    def _start_message(self) -> None:
        self._message = _Message()
        self._parser = httptools.HttpResponseParser(self._message)

    def _begin_body(self) -> None:
        """Read the fields of the head that frame the body and keep the connection."""
        message = self._message
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            self._refuse("the answer is of a version other than HTTP/1.1 and HTTP/1.0")
            return
        length: float | None = math.inf
        options: set[bytes] = set()
        for name, value in message.headers:
            lowered = name.lower()
            if lowered == b"content-length":
                # The parser has seen to it that there is one, of digits.
                if len(value) > _MAX_LENGTH_DIGITS:
                    self._refuse("bad Content-Length")
                    return
                length = int(value)
            elif lowered == b"transfer-encoding":
                if length is None or value.lower() != b"chunked":
                    self._refuse("Only Transfer-Encoding: chunked is supported")
                    return
                length = None
                # As h11: some servers send them.
                self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
            elif lowered == b"connection":
                options.update(option.strip() for option in value.lower().split(b","))
        self.status = self._parser.get_status_code()
        if self._is_head_only or self.status in {204, 304}:
            length = 0
        self._to_come = length
        self.is_complete = length == 0
        self.keep_alive = (
            length != math.inf
            and b"close" not in options
            and (version == "1.1" or b"keep-alive" in options)
        )
        self.http_version = b"HTTP/" + version.encode("ascii")
        self.reason = message.reason
        # Trailers, of which the parser tells as of headers, are left out.
        self.headers, message.headers = message.headers, []

    def _feed_body(self, data: bytes) -> None:
        if self.has_ended:
            self.has_surplus = True
        elif self._to_come is None:
            self._feed_chunks(data)
        elif len(data) > self._to_come:
            self.has_surplus = True
            self._add(data[: int(self._to_come)], self._to_come)
        else:
            self._add(data, self._to_come)

    def _add(self, data: bytes, to_come: float) -> None:
        self._message.add(data)
        self._to_come = to_come - len(data)
        self.is_complete = not self._to_come

    def _feed_chunks(self, data: bytes) -> None:
        message = self._message
        before = message.size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not message.is_complete:
                raise
            message.is_one = False
        message.headers.clear()
        self._tail = (self._tail + data)[-5:]
        self.is_complete = message.is_complete
        if self.is_complete:
            self.has_surplus = not (message.is_one and _CHUNKS_END.search(self._tail))
        elif message.size == before:
            self._without_body += len(data)
            if self._without_body >= _MAX_BYTES_WITHOUT_BODY:
                self._refuse("the trailers of the answer are too large")
        else:
            self._without_body = 0
