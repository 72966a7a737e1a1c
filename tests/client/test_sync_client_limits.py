"""The bounds of the sync client: time, size, and the end of a call by an interrupt."""

from __future__ import annotations

import gzip
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from tests.client.clients import API, EVIL, MEGABYTE, REFRESH, Drip, Internet
from tests.client.sync_clients import installed
from tests.limits import PATIENCE
from tests.support import SITE, make_wix
from wix_asgi import (
    ResponseTooLarge,
    SyncWixClient,
    Wix,
)
from wix_asgi._http import httpx
from wix_asgi.client._limits import ReadLimits
from wix_asgi.client._sync_parts import Deadline, _ThreadedBody
from wix_asgi.client.client import ClientFactory
from wix_asgi.client.policy import CallPolicy
from wix_asgi.client.sync_client import sync_client
from wix_asgi.identity.callers import KnownCaller
from wix_asgi.identity.signed_callers import SignedCallers
from wix_asgi.testing import FakeWix


def client_under(
    policy: CallPolicy, wix: Wix, transport: httpx.AsyncBaseTransport
) -> SyncWixClient:
    """Return a client for the first site whose calls keep to `policy`."""
    factory = ClientFactory(
        api_url=wix.settings.api_url,
        transport=transport,
        tokens=wix._tokens,
        signed=SignedCallers(wix.settings),
        ready=wix.open,
        policy=policy,
    )
    return sync_client(factory, lambda: KnownCaller(SITE))


@pytest.mark.parametrize("chunk", [b"x" * MEGABYTE, gzip.compress(b"x" * MEGABYTE)])
def test_large_answer_is_refused(fake: FakeWix, chunk: bytes) -> None:
    """An answer over 10 MB, packed or not, is an error, and its connection is given back."""
    drip = Drip(chunk, 12)
    packed = {} if chunk[:1] == b"x" else {"Content-Encoding": "gzip"}
    body = gzip.compress(b"x" * 12 * MEGABYTE) if packed else None
    stream = Drip(body, 1) if body else drip
    internet = Internet(fake, lambda _: httpx.Response(200, headers=packed, stream=stream))
    with installed(fake, transport=internet) as (_, client):
        with pytest.raises(ResponseTooLarge):
            client.get(f"{EVIL}/x")
        with client.stream("GET", f"{EVIL}/x") as answer:
            status = answer.status_code

    assert 200 == status


def test_packed_answer_is_unpacked(fake: FakeWix) -> None:
    """A packed answer of several kilobytes is read whole, and streamed without a limit."""
    content = os.urandom(100_000)

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=Drip(gzip.compress(content), 1)
        )

    with installed(fake, transport=Internet(fake, answer)) as (_, client):
        whole = client.get(f"{EVIL}/x").content
        with client.stream("GET", f"{EVIL}/x") as streamed:
            chunks = b"".join(streamed.iter_bytes())

    assert content == whole == chunks


def test_left_stream_is_closed(fake: FakeWix) -> None:
    """A streamed answer that is left half-way gives its connection back."""
    drip = Drip(b"x", 100)
    closed = []

    class Closing(httpx.AsyncByteStream):
        def __aiter__(self) -> Drip:
            return drip

        async def aclose(self) -> None:
            closed.append(drip.times)

    internet = Internet(fake, lambda _: httpx.Response(200, stream=Closing()))
    with (
        installed(fake, transport=internet) as (_, client),
        client.stream("GET", f"{EVIL}/x") as answer,
    ):
        next(answer.iter_bytes())

    assert [99] == closed


class Stuck(Internet):
    """A network in which calls to other origins never end, and note how they end."""

    def __init__(self, fake: FakeWix, begun: Callable[[], object] = lambda: None) -> None:
        super().__init__(fake)
        self.begun = begun
        self.cancelled = threading.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != "evil.example":
            return await super().handle_async_request(request)
        self.begun()
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.set()
        raise AssertionError


def test_whole_call_has_a_deadline(fake: FakeWix) -> None:
    """A call that takes longer than the policy's seconds is an httpx.ReadTimeout."""
    with installed(fake) as (wix, _):
        stuck = Stuck(fake)
        client = client_under(CallPolicy(total_seconds=1.0), wix, stuck)
        with pytest.raises(httpx.ReadTimeout, match="No whole answer"):
            client.get(f"{EVIL}/x")

    assert stuck.cancelled.wait(PATIENCE)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt: shells start what runs in the background without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_interrupt_cancels_the_call(fake: FakeWix) -> None:
    """Ctrl-C ends the waiting call at once, and what it does on the portal."""
    stuck = Stuck(fake, lambda: os.kill(os.getpid(), signal.SIGINT))
    with installed(fake, transport=stuck) as (_, client), pytest.raises(KeyboardInterrupt):
        client.get(f"{EVIL}/x")

    assert stuck.cancelled.wait(PATIENCE)


@pytest.mark.usefixtures("interrupts")
def test_interrupt_for_a_token_ends_the_call(fake: FakeWix) -> None:
    """Ctrl-C while Wix is asked for a token leaves nothing behind: the next call works."""
    begun = threading.Event()

    class Refreshing(Internet):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == REFRESH and not begun.is_set():
                begun.set()
                os.kill(os.getpid(), signal.SIGINT)
            return await super().handle_async_request(request)

    with installed(fake, transport=Refreshing(fake)) as (_, client):
        fake.expire_access_tokens()
        with pytest.raises(KeyboardInterrupt):
            client.get("/x")
        answer = client.get("/x")

    assert 200 == answer.status_code


async def test_deadline_bounds_work() -> None:
    """Work that ends in time is left alone, and other work is cancelled."""
    request = httpx.Request("GET", API)

    async def work() -> str:
        return "done"

    with pytest.raises(httpx.ReadTimeout, match="within 0 s"):
        await Deadline(0.0).bound(request, anyio.sleep_forever)
    lifted = Deadline(0.0)
    lifted.lift()

    assert "done" == await Deadline(PATIENCE).bound(request, work)
    assert "done" == await lifted.bound(request, work)


async def test_iterated_body_is_read_in_a_thread() -> None:
    """Both ways of reading it give its parts."""

    class Parts(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from (b"a", b"b")

    read = [chunk async for chunk in _ThreadedBody(Parts())]

    assert [b"a", b"b"] == read == list(_ThreadedBody(Parts()))


async def test_pieces_of_one_read_come_together(fake: FakeWix) -> None:
    """A sync reader gets 64 pieces at a time."""
    body: Any = Drip(b"x" * 100 * 1024, 1)
    packed = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=body)
    internet = Internet(fake, lambda _: packed)
    wix = make_wix(fake, transport=internet)
    request = httpx.Request("GET", f"{EVIL}/x")
    async with wix, wix.client(SITE) as client:
        transport = client._transport
        ReadLimits(MEGABYTE, PATIENCE, unproductive=MEGABYTE).hold_for(request)
        response = await transport.handle_async_request(request)
        stream: Any = response.stream
        sizes = [len(await stream.read_pieces()) for _ in range(2)]
        with pytest.raises(StopAsyncIteration):
            await stream.read_pieces()

    assert [64, 36] == sizes
