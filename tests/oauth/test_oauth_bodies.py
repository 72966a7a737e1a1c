from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from tests.engine import make_oauth
from tests.oauth.answering import CANARY, Answers, fails
from wix_asgi._http import httpx
from wix_asgi.errors import WixError, WixUnavailable
from wix_asgi.oauth.client import OAuthPolicy
from wix_asgi.testing import FakeWix


class Body(httpx.AsyncByteStream):
    """A body in chunks, which may break off or hang, and remembers that it was closed."""

    def __init__(self, *chunks: bytes, then: Callable[[], Awaitable[None]] | None = None) -> None:
        self.chunks = list(chunks)
        self.then = then
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        if self.then is not None:
            await self.then()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


def unavailable(error: WixError) -> WixUnavailable:
    """Return `error`, which must be a WixUnavailable."""
    assert isinstance(error, WixUnavailable)
    return error


def pack_twice(body: bytes) -> bytes:
    """Return what is small even beside what a packed body is."""
    return gzip.compress(gzip.compress(body))


def test_the_default_bounds() -> None:
    """Each answer has 5 s to connect, 10 s to read, 15 s in all and 256 kB (R39)."""
    policy = OAuthPolicy()

    assert (5, 10) == (policy.connect_seconds, policy.read_seconds)
    assert (15.0, 256 * 1024) == (policy.total_seconds, policy.max_answer_bytes)


async def test_a_body_that_hangs_ends(fake: FakeWix) -> None:
    """An answer that begins and does not go on is bounded, too, and its connection closed."""
    body = Body(b"{", then=anyio.sleep_forever)
    transport = Answers(httpx.Response(200, stream=body))
    policy = OAuthPolicy(total_seconds=0.25)
    await fails(lambda: make_oauth(fake, transport, policy=policy).exchange(CANARY))

    assert body.closed


async def test_a_body_is_bounded(fake: FakeWix) -> None:
    """It is read until it is known to be too long, and its connection closed."""
    body = Body(*[b" " * 65_536] * 100)
    transport = Answers(httpx.Response(200, stream=body))
    error = await fails(lambda: make_oauth(fake, transport).exchange(CANARY))

    assert "Wix answered far more than a token." == str(error)
    assert (95, True) == (len(body.chunks), body.closed)


async def test_a_body_is_bounded_as_it_unpacks(fake: FakeWix) -> None:
    """A small body that unpacks to a large one counts as a large one."""
    packed = gzip.compress(b" " * 10_000_000)
    headers = {"Content-Encoding": "gzip"}
    transport = Answers(httpx.Response(200, stream=Body(packed), headers=headers))
    error = await fails(lambda: make_oauth(fake, transport).exchange(CANARY))

    assert "Wix answered far more than a token." == str(error)


async def test_a_packed_body_is_unpacked(fake: FakeWix) -> None:
    """An encoding that was not asked for is unpacked, too; a broken one is a lost answer."""
    packed = gzip.compress(b'{"access_token": "a-token"}')
    headers = {"Content-Encoding": "gzip"}
    whole = Answers(httpx.Response(200, stream=Body(packed), headers=headers))
    broken = Answers(httpx.Response(200, stream=Body(b"no gzip"), headers=headers))
    grant = await make_oauth(fake, whole).exchange(CANARY)
    error = await fails(lambda: make_oauth(fake, broken).exchange(CANARY))

    assert "a-token" == grant.access_token.value
    assert str(error).startswith("The answer of Wix was lost (DecodingError: ")


async def test_a_body_that_breaks_off_is_a_lost_answer(fake: FakeWix) -> None:
    """The connection may end in mid-answer; the code is not known to be unspent."""

    async def break_off() -> None:
        raise httpx.RemoteProtocolError("x")

    body = Body(b'{"access', then=break_off)
    transport = Answers(httpx.Response(200, stream=body))
    error = unavailable(await fails(lambda: make_oauth(fake, transport).exchange(CANARY)))

    assert not error.unsent
    assert body.closed


@pytest.mark.parametrize(
    "lines", [["gzip, gzip"], ["gzip", "gzip"], ["GZIP\t,gzip"], ["gzip, br"], ["br"], ["zstd"]]
)
async def test_a_body_packed_in_another_way_is_a_lost_answer(
    fake: FakeWix, lines: list[str]
) -> None:
    """A body that cannot be unpacked bit by bit is not unpacked, however small it is (R39)."""
    body = Body(gzip.compress(gzip.compress(b'{"access_token": "a-token"}')))
    headers = [("Content-Encoding", line) for line in lines]
    transport = Answers(httpx.Response(200, stream=body, headers=headers))
    error = unavailable(await fails(lambda: make_oauth(fake, transport).exchange(CANARY)))

    assert str(error).startswith("The answer of Wix was lost (DecodingError: ")
    assert isinstance(error.__cause__, httpx.DecodingError)
    assert body.closed


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("gzip, gzip", pack_twice)],
)
async def test_a_bomb_takes_no_more_than_a_megabyte_or_two(
    fake: FakeWix, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    """A body is not in memory beyond its bound and a little, however much it unpacks to (R39)."""
    body = Body(pack(b"\0" * 100_000_000))
    transport = Answers(httpx.Response(200, stream=body, headers={"Content-Encoding": coding}))
    oauth = make_oauth(fake, transport)
    tracemalloc.start()
    try:
        await fails(lambda: oauth.exchange(CANARY))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 3_000_000


async def test_a_header_that_is_not_ascii(fake: FakeWix) -> None:
    """An answer with an id of the request in Latin-1 is read like any other."""
    headers = [(b"Retry-After", b"6"), (b"X-Wix-Request-Id", b"caf\xe9")]
    transport = Answers(httpx.Response(429, headers=headers))
    error = await fails(lambda: make_oauth(fake, transport).refresh("a-refresh-token"))

    assert 6.0 == unavailable(error).asked
