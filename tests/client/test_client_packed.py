"""Packed answers: they are unpacked within the limits, or not at all."""

from __future__ import annotations

import gzip
import pickle
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from tests.client.clients import API, EVIL, MEGABYTE, Drip, Internet, dripping, installed
from wix_asgi import ResponseTooLarge
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix


@pytest.fixture
def fake() -> FakeWix:
    """Return a Wix at the real one's address."""
    return FakeWix(url=API)


def packed(fake: FakeWix, drip: Drip, coding: str = "gzip") -> Internet:
    """Return a network where everything but Wix answers with this packed body."""
    return dripping(fake, drip, **{"Content-Encoding": coding})


@pytest.mark.parametrize("times", [1, 1000])
async def test_packed_answer_is_limited_by_its_unpacked_size(fake: FakeWix, times: int) -> None:
    """A small answer that unpacks to more than the limit is not read whole either (R39)."""
    drip = Drip(gzip.compress(b"x" * 11 * MEGABYTE), times)
    async with installed(fake, transport=packed(fake, drip)) as (_, client):
        with pytest.raises(ResponseTooLarge):
            await client.get(EVIL)

    assert drip.read < 30_000
    assert drip.closed


async def test_packed_answer_is_unpacked(fake: FakeWix) -> None:
    """A packed answer within the limit is read as httpx reads it."""
    drip = Drip(gzip.compress(b'{"a": 1}'), 1)
    internet = dripping(
        fake, drip, **{"Content-Encoding": "gzip", "Content-Type": "application/json"}
    )
    async with installed(fake, transport=internet) as (_, client):
        answer = await client.get(EVIL)

    assert {"a": 1} == answer.json()
    assert "application/json" == answer.headers["content-type"]


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "gzip, gzip": lambda body: gzip.compress(gzip.compress(body)),
    "gzip, deflate": lambda body: zlib.compress(gzip.compress(body)),
}


@pytest.mark.parametrize("coding", PACK)
async def test_bomb_takes_no_more_than_the_limit(fake: FakeWix, coding: str) -> None:
    """The unpacked bytes of one chunk are in memory up to the limit and a little more (R39)."""
    bomb = PACK[coding](b"\0" * 64 * MEGABYTE)
    internet = packed(fake, Drip(bomb, 1), coding)
    async with installed(fake, transport=internet) as (_, client):
        tracemalloc.start()
        try:
            with pytest.raises((ResponseTooLarge, httpx.DecodingError)):
                await client.get(EVIL)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak < 13 * MEGABYTE


@pytest.mark.parametrize(
    "lines",
    [
        ["gzip, gzip"],
        ["gzip,gzip"],
        ["gzip", "gzip"],
        ["GZip ,\t deflate"],
        ["gzip,, identity ,gzip"],
        ["gzip, br"],
        ["br"],
        [" ZSTD "],
    ],
)
async def test_answer_packed_in_another_way_is_an_error(fake: FakeWix, lines: list[str]) -> None:
    """Codings that do not unpack bit by bit are refused: layers, Brotli, Zstandard (R39)."""
    drip = Drip(gzip.compress(gzip.compress(b"{}")), 1)
    headers = [("Content-Encoding", line) for line in lines]
    internet = Internet(fake, lambda _: httpx.Response(200, headers=headers, stream=drip))
    async with installed(fake, transport=internet) as (_, client):
        with pytest.raises(httpx.DecodingError, match="and once") as caught:
            await client.get(EVIL)

    assert EVIL == str(caught.value.request.url)
    assert drip.closed


@pytest.mark.parametrize("coding", ["gzip", " GZIP ", "identity, gzip", ",gzip,"])
async def test_one_coding_may_be_spelled_oddly(fake: FakeWix, coding: str) -> None:
    """An answer that is packed once is unpacked as httpx does it."""
    internet = packed(fake, Drip(gzip.compress(b"{}"), 1), coding)
    async with installed(fake, transport=internet) as (_, client):
        answer = await client.get(EVIL)

    assert b"{}" == answer.content


@pytest.mark.parametrize("coding", ["", "identity", "utf-8"])
async def test_coding_that_is_none_is_limited_as_well(fake: FakeWix, coding: str) -> None:
    """A body that httpx does not unpack counts as it is (R39)."""
    drips = [Drip(b"x" * MEGABYTE, times) for times in (10, 11)]
    left = list(drips)
    headers = {"Content-Encoding": coding}
    internet = Internet(fake, lambda _: httpx.Response(200, headers=headers, stream=left.pop(0)))
    async with installed(fake, transport=internet) as (_, client):
        answer = await client.get(EVIL)
        with pytest.raises(ResponseTooLarge):
            await client.get(EVIL)

    assert 10 * MEGABYTE == len(answer.content)


async def test_layers_without_a_body_are_no_error(fake: FakeWix) -> None:
    """The answer to a HEAD has nothing to unpack, also with headers of layers."""
    async with installed(fake, transport=packed(fake, Drip(b"", 0), "gzip, gzip")) as (_, client):
        answer = await client.head(EVIL)

    assert "gzip, gzip" == answer.headers["Content-Encoding"]


async def test_body_that_unpacks_to_nothing_ends(fake: FakeWix) -> None:
    """Behind the end of the packed data no endless rest is read and kept by the decoder (R39)."""
    drip = Drip(gzip.compress(b"{}") * 1000, 1000)
    async with installed(fake, transport=packed(fake, drip)) as (_, client):
        with pytest.raises(ResponseTooLarge):
            await client.get(EVIL)

    assert drip.read < MEGABYTE
    assert drip.closed


async def test_packed_answer_counts_once(fake: FakeWix) -> None:
    """An answer that was read whole can be read again, any number of times."""
    drip = Drip(gzip.compress(b"x" * 6 * MEGABYTE), 1)
    async with installed(fake, transport=packed(fake, drip)) as (_, client):
        answer = await client.get(EVIL)
        again = [[chunk async for chunk in answer.aiter_bytes()] for _ in range(2)]

    assert [[answer.content], [answer.content]] == again


async def test_packed_answer_can_be_pickled(fake: FakeWix) -> None:
    """As every answer of httpx that was read, it can be kept elsewhere."""

    class Connection(Drip):
        """A body that cannot be pickled, as a class that is local cannot."""

    drip = Connection(gzip.compress(b'{"a": 1}'), 1)
    async with installed(fake, transport=packed(fake, drip)) as (_, client):
        answer = pickle.loads(pickle.dumps(await client.get(EVIL)))  # noqa: S301 - our own
        again = [chunk async for chunk in answer.aiter_bytes()]

    assert {"a": 1} == answer.json()
    assert [b'{"a": 1}'] == again


def test_every_coding_of_httpx_is_known() -> None:
    """Each coding that httpx knows is either unpacked within the limits or refused (R39)."""
    with httpx.Client(trust_env=False) as plain:
        codings = plain.headers["Accept-Encoding"].split(", ")

    assert set(codings) <= {"gzip", "deflate", "br", "zstd"}


async def test_no_coding_is_asked_for_that_is_refused(fake: FakeWix) -> None:
    """Where httpx has Brotli or Zstandard, it does not ask for them unless it is told to."""
    internet = Internet(fake)
    async with installed(fake, transport=internet) as (_, client):
        await client.get("/x")
        await client.get(EVIL)
        await client.get("/x", headers={"Accept-Encoding": "gzip, deflate, br"})

    asked = [request.headers["Accept-Encoding"] for request in internet.requests]
    assert ["gzip, deflate", "gzip, deflate", "gzip, deflate, br"] == asked
