"""A proxy that breaks connections as networks and servers do on a bad night."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self, get_args
from urllib.parse import parse_qsl, urlsplit

__all__ = [
    "HARMLESS",
    "KINDS",
    "Address",
    "Fault",
    "Kind",
    "Proxy",
    "address_of",
    "before_postgres",
]

Address = tuple[str, int] | Path
Kind = Literal[
    "latency",
    "bandwidth",
    "slices",
    "refuse",
    "reset_before",
    "reset_middle",
    "drop_answer",
    "hang",
    "truncate",
    "corrupt",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
HARMLESS: Final[frozenset[Kind]] = frozenset({"latency", "bandwidth", "slices"})
"""The kinds of faults that only take time."""

_CHUNK: Final = 64 * 1024
_SLOW_PART: Final = 64
_SLICE: Final = 7
_LATENCY: Final = 0.2
_PORT: Final = 5432
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a connection, from the moment on that its client sends certain bytes.

    Attributes:
        kind: `reset_before` and `hang` keep the request from its server; `drop_answer`,
            `reset_middle`, `truncate` and `corrupt` let it arrive, and spoil the answer.
        when: The bytes; empty bytes stand for any.
        after: How many of the client's writes pass between these bytes and the fault.
        times: How many connections it happens to; None until the proxy is healed.
    """

    kind: Kind
    when: bytes = b""
    after: int = 0
    times: int | None = 1


class Proxy:
    """Listens while a block runs, and passes all bytes on but for one fault at a time.

    Attributes:
        struck: How many connections a fault has happened to.
        nights: How often it was healed.
    """

    def __init__(self, upstream: Address, *, room: Path | None = None, seed: object = 0) -> None:
        """Stand before `upstream`, on a free port, or in the directory `room` as Postgres does."""
        self._upstream = upstream
        self.address: Address = ("127.0.0.1", 0) if room is None else room / f".s.PGSQL.{_PORT}"
        self.random: Final = random.Random(str(seed))  # noqa: S311 - to be repeated, not to be secret
        self.struck = 0
        self.nights = 0
        self._changed = asyncio.Event()
        self._fault: Fault | None = None
        self._left: int | None = None
        self._server: asyncio.Server | None = None
        self._holder: socket.socket | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if not isinstance(self.address, Path):
            # Bound and never listening, it keeps the port while connections are refused.
            self._holder = socket.socket()
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._holder.bind(self.address)
            self.address = self._holder.getsockname()
        await self._listen()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self._hang_up()
        if self._holder is not None:
            self._holder.close()

    @property
    def url(self) -> str:
        """The URL at which an HTTP client reaches the server; not for a proxy in a directory."""
        assert not isinstance(self.address, Path)
        return "http://{}:{}".format(*self.address)

    async def arm(self, fault: Fault) -> None:
        """Have `fault` happen from now on; a fault that refuses ends open connections, too."""
        self._fault, self._left = fault, fault.times
        if fault.kind == "refuse":
            self._count()
            await self._hang_up()

    async def has_struck(self) -> None:
        """Wait until a fault has happened to a connection."""
        await self._changed.wait()

    async def heal(self) -> None:
        """Pass on everything from now on; a connection that hangs already stays as it is."""
        self._fault = None
        self.nights += 1
        if self._server is None:
            await self._listen()

    def awaits(self, sent: bytes) -> Fault | None:
        """Return the fault that these bytes of a client lead to, if any."""
        return self._fault if self._fault and self._fault.when in sent else None

    def strike(self, fault: Fault) -> bool:
        """Return whether it is a connection's turn to have `fault`, and count it."""
        if fault is not self._fault:
            return False
        self._count()
        if self._left is not None:
            self._left -= 1
            self._fault = fault if self._left else None
        return True

    def _count(self) -> None:
        self.struck += 1
        self._changed.set()

    async def _listen(self) -> None:
        if isinstance(self.address, Path):
            self._server = await asyncio.start_unix_server(self._serve, self.address)
            return
        self._server = await asyncio.start_server(self._serve, *self.address, reuse_port=True)

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if isinstance(self.address, Path):
            self.address.unlink(missing_ok=True)
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        # The loop closes an aborted connection in its next turn, which may be its last.
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            # A server that is down is a client that is hung up on.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await _Link(self, reader, writer).run(*await _connect(self._upstream))
        finally:
            self._links.discard(task)
            _reset(writer)


class _Link:
    """One connection through a proxy."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._fault: Fault | None = None
        self._night = proxy.nights
        self._waiting: Fault | None = None
        self._passing = 0
        self._tail = b""

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on between the two until either ends."""
        ways = [asyncio.ensure_future(self._up(writer)), asyncio.ensure_future(self._down(reader))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            _reset(writer)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    @property
    def _kind(self) -> Kind | None:
        """The kind of this connection's fault, until the proxy is healed."""
        return self._fault.kind if self._fault and self._night == self._proxy.nights else None

    async def _up(self, writer: asyncio.StreamWriter) -> None:
        while chunk := await self._reader.read(_CHUNK):
            self._look(chunk)
            match self._kind:
                case "reset_before":
                    return
                case "hang":
                    await _drain(self._reader)
                    return
                case "latency":
                    await asyncio.sleep(_LATENCY)
            writer.write(chunk)
            await writer.drain()

    def _look(self, chunk: bytes) -> None:
        """See whether it is time for a fault."""
        if self._kind is not None:
            return
        if self._waiting is not None:
            self._passing -= 1
        elif waiting := self._proxy.awaits(self._tail + chunk):
            self._waiting, self._passing = waiting, waiting.after
        self._tail = chunk[-_SLOW_PART:]
        if self._waiting is not None and not self._passing:
            self._fault = self._waiting if self._proxy.strike(self._waiting) else None
            self._waiting, self._tail, self._night = None, b"", self._proxy.nights

    async def _down(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            for part in self._spoil(chunk):
                self._writer.write(part)
                await self._writer.drain()
                await self._wait()
            match self._kind:
                case "drop_answer" | "reset_middle":
                    return
                case "truncate":
                    self._writer.write_eof()
                    return

    def _spoil(self, chunk: bytes) -> Iterator[bytes]:
        match self._kind:
            case "drop_answer":
                return
            case "reset_middle" | "truncate":
                yield chunk[: self._proxy.random.randrange(len(chunk))]
            case "corrupt":
                yield self._corrupted(chunk)
            case "bandwidth":
                yield from _parts(chunk, _SLOW_PART)
            case "slices":
                yield from _parts(chunk, _SLICE)
            case _:
                yield chunk

    def _corrupted(self, chunk: bytes) -> bytes:
        spoilt = bytearray(chunk)
        for _ in range(3):
            spoilt[self._proxy.random.randrange(len(spoilt))] ^= 1 << self._proxy.random.randrange(
                8
            )
        return bytes(spoilt)

    async def _wait(self) -> None:
        match self._kind:
            case "bandwidth":
                await asyncio.sleep(0.01)
            case "latency":
                await asyncio.sleep(_LATENCY)
            case "slices":
                await asyncio.sleep(0)


def _parts(chunk: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(chunk), size):
        yield chunk[at : at + size]


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK):
        pass


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, Path):
        return await asyncio.open_unix_connection(address)
    return await asyncio.open_connection(*address)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection the hard way."""
    peer = writer.get_extra_info("socket")
    if peer is not None and peer.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


def address_of(url: str) -> Address:
    """Return where the server of a URL listens."""
    parts = urlsplit(url)
    if host := dict(parse_qsl(parts.query)).get("host"):
        return Path(host, f".s.PGSQL.{_PORT}")
    assert parts.hostname is not None
    return parts.hostname, parts.port or _PORT


@contextlib.asynccontextmanager
async def before_postgres(url: str, *, seed: object = 0) -> AsyncIterator[tuple[Proxy, str]]:
    """Give a proxy before the Postgres at `url`, and the URL that leads through it."""
    with tempfile.TemporaryDirectory(prefix="wix-px-") as room:
        async with Proxy(address_of(url), room=Path(room), seed=seed) as proxy:
            parts = urlsplit(url)
            user = parts.netloc.rpartition("@")[0]
            yield proxy, f"{parts.scheme}://{user}@{parts.path}?host={room}"
