"""Requests over TLS, in a process of its own: the certificates it trusts are read once.

Run as `python -m tests.transport.corpus.over_tls`, it prints a line of JSON for each transport.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSAttribute, TLSListener, TLSStream

from tests.certificates import self_signed
from tests.transport.corpus.conftest import WIRES, Wire, client_on
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy

LARGE = b"x" * 1_000_000


class SecureServer:
    """An HTTPS server on loopback, for `localhost`, which answers with the body it was sent.

    Attributes:
        names: The server names that clients asked for.
        protocols: What was agreed on by ALPN, by connection.
    """

    def __init__(self, key: Path, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._context.sni_callback = self._note_name
        self.port = 0
        self.names: list[str | None] = []
        self.protocols: list[str | None] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[SecureServer]:
        """Serve for the duration of the block."""
        plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.port = plain.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
        listener = TLSListener(plain, self._context, standard_compatible=False)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._answer)
            yield self
            tasks.cancel_scope.cancel()

    def _note_name(self, _: object, name: str | None, __: object) -> None:
        self.names.append(name)

    async def _answer(self, stream: TLSStream) -> None:
        self.protocols.append(stream.extra(TLSAttribute.alpn_protocol))  # noqa: S610 - as above
        reader = BufferedByteReceiveStream(stream)
        try:
            while True:
                head = await reader.receive_until(b"\r\n\r\n", 65536)
                _, _, length = head.lower().partition(b"content-length: ")
                body = await reader.receive_exactly(int(length.split()[0])) if length else b"ok"
                await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                await stream.send(body)
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.aclose()


async def told(client: httpx.AsyncClient, url: str, **extensions: Any) -> str:
    """Return the body of the answer, or the name of the error."""
    try:
        return (await client.get(url, extensions=extensions)).text
    except httpx.TransportError as exc:
        return type(exc).__name__


async def play(wire: Wire, known: SecureServer, stranger: SecureServer) -> None:
    """Print what the transport makes of a server it trusts, and of one it does not."""
    async with (
        known.listening(),
        stranger.listening(),
        client_on(wire.make(PoolPolicy(max_connections=1))) as client,
    ):
        by_name = f"https://localhost:{known.port}"
        by_address = f"https://127.0.0.1:{known.port}"
        line: dict[str, object] = {
            "first": await told(client, by_name),
            "second": await told(client, by_name),
            "large": len((await client.post(by_name, content=LARGE)).content),
            "connections": len(known.protocols),
            "another name": await told(client, by_address),
            "the name that was given": await told(client, by_address, sni_hostname="localhost"),
            "a stranger": await told(client, f"https://localhost:{stranger.port}"),
            "names": known.names,
            "protocols": known.protocols[:1],
        }
    sys.stdout.write(f"{json.dumps({'wire': str(wire), **line})}\n")


def main() -> None:
    """Play for each transport, with servers of its own."""
    with tempfile.TemporaryDirectory() as known, tempfile.TemporaryDirectory() as strange:
        trusted, others = (
            self_signed(Path(known), "localhost"),
            self_signed(Path(strange), "localhost"),
        )
        os.environ["SSL_CERT_FILE"] = str(trusted[1])
        for wire in WIRES:
            servers = SecureServer(*trusted), SecureServer(*others)
            anyio.run(play, wire, *servers, backend=wire.loop)


if __name__ == "__main__":
    main()
