"""Bodies on the way to an answer, which the app never asked for: reading them is limited, too."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from tests.client.clients import (
    API,
    EVIL,
    MEGABYTE,
    REFRESH,
    Drip,
    Internet,
    client_under,
    installed,
)
from wix_asgi import ResponseTooLarge, WixClient
from wix_asgi._http import httpx
from wix_asgi.client.policy import CallPolicy
from wix_asgi.testing import FakeWix


@pytest.fixture
def internet() -> Internet:
    """Return a network of the real Wix's names, with a fake Wix in it."""
    return Internet(FakeWix(url=API))


AT_ONCE = CallPolicy(total_seconds=0.0)
"""The time for a whole call is over when it begins."""

OnTheWay = Callable[..., httpx.Response]
ON_THE_WAY: dict[str, OnTheWay] = {
    "refusal": lambda body, **headers: httpx.Response(401, headers=headers, stream=body),
    "pause": lambda body, **headers: httpx.Response(
        503, headers={"Retry-After": "0", **headers}, stream=body
    ),
    "redirect": lambda body, **headers: httpx.Response(
        302, headers={"Location": "/echo", **headers}, stream=body
    ),
}


async def begin(client: WixClient) -> httpx.Response:
    """Begin to stream an answer, as `client.stream()` does."""
    request = client.build_request("GET", "/x")
    return await client.send(request, stream=True, follow_redirects=True)


each = pytest.mark.parametrize("on_the_way", ON_THE_WAY.values(), ids=ON_THE_WAY)


@each
async def test_large_body_on_the_way_to_a_stream(internet: Internet, on_the_way: OnTheWay) -> None:
    """A body that a stream has to read before its answer is not read beyond 10 MB (R39)."""
    drip = Drip(b"x" * MEGABYTE, 1024)
    internet.redirects.append(on_the_way(drip))
    async with installed(internet.fake, transport=internet) as (_, client):
        with pytest.raises(ResponseTooLarge, match="on the way"):
            await begin(client)

    assert 11 * MEGABYTE == drip.read
    assert drip.closed


@each
async def test_bomb_on_the_way_to_a_stream(internet: Internet, on_the_way: OnTheWay) -> None:
    """Nor does it unpack to more than that (R39)."""
    drip = Drip(gzip.compress(b"x" * 11 * MEGABYTE), 1000)
    internet.redirects.append(on_the_way(drip, **{"Content-Encoding": "gzip"}))
    async with installed(internet.fake, transport=internet) as (_, client):
        with pytest.raises(ResponseTooLarge):
            await begin(client)

    assert drip.read < 30_000
    assert drip.closed


@each
async def test_slow_body_on_the_way_to_a_stream(internet: Internet, on_the_way: OnTheWay) -> None:
    """Under the default timeouts it is there within the total limit, or not at all (R39)."""
    drip = Drip(b"x", 1024)
    internet.redirects.append(on_the_way(drip))
    async with installed(internet.fake, transport=internet) as (wix, _):
        with pytest.raises(httpx.ReadTimeout, match="No whole answer"):
            await begin(client_under(AT_ONCE, wix, internet))

    assert 1 == drip.read
    assert drip.closed


@each
async def test_timeouts_of_the_app_s_own_are_the_only_ones(
    internet: Internet, on_the_way: OnTheWay
) -> None:
    """Under timeouts of the app's own it has no total limit."""
    internet.redirects.append(on_the_way(Drip(b"x", 1024)))
    async with (
        installed(internet.fake, transport=internet) as (wix, _),
        client_under(AT_ONCE, wix, internet).stream(
            "GET", "/x", follow_redirects=True, timeout=60
        ) as answer,
    ):
        await answer.aread()

    assert 200 == answer.status_code


@each
@pytest.mark.parametrize("coding", ["identity", "gzip", "gzip, gzip"])
async def test_stream_behind_it_has_no_limit(
    internet: Internet, on_the_way: OnTheWay, coding: str
) -> None:
    """A body on the way leaves the stream behind it without limits, in any coding."""
    body = b"x" * 12 * MEGABYTE
    for layer in coding.split(", "):
        body = gzip.compress(body) if layer == "gzip" else body
    internet.redirects.append(on_the_way(Drip(b"x" * MEGABYTE, 6)))
    internet.redirects.append(
        httpx.Response(200, headers={"Content-Encoding": coding}, stream=Drip(body, 1))
    )
    async with (
        installed(internet.fake, transport=internet) as (_, client),
        client.stream("GET", "/x", follow_redirects=True) as answer,
    ):
        read = sum([len(chunk) async for chunk in answer.aiter_bytes()])

    assert 12 * MEGABYTE == read


async def test_stream_that_is_read_raw_has_the_chunks_that_came(internet: Internet) -> None:
    """A packed stream is handed over in the pieces in which it was sent."""
    internet.redirects.append(
        httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Drip(b"x" * 5000, 2))
    )
    async with (
        installed(internet.fake, transport=internet) as (_, client),
        client.stream("GET", "/x") as answer,
    ):
        read = [len(chunk) async for chunk in answer.aiter_raw()]

    assert [5000, 5000] == read


async def test_request_that_was_read_whole_before(internet: Internet) -> None:
    """A request that was sent once for a whole answer can be sent for a stream."""
    internet.elsewhere = lambda _: httpx.Response(200, stream=Drip(b"x" * MEGABYTE, left.pop(0)))
    left = [1, 12]
    async with installed(internet.fake, transport=internet) as (_, client):
        request = client.build_request("GET", EVIL)
        await client.send(request)
        answer = await client.send(request, stream=True)
        body = await answer.aread()

    assert 12 * MEGABYTE == len(body)


@pytest.mark.parametrize("stream", [False, True])
async def test_all_on_the_way_is_limited_together(internet: Internet, stream: bool) -> None:
    """A call reads 10 MB in all: not 10 MB of each of twenty redirects, which it keeps (R39)."""
    drips = [Drip(b"x" * MEGABYTE, 4) for _ in range(4)]
    internet.redirects += [ON_THE_WAY["redirect"](drip) for drip in drips]
    async with installed(internet.fake, transport=internet) as (_, client):
        request = client.build_request("GET", "/x")
        with pytest.raises(ResponseTooLarge):
            await client.send(request, stream=stream, follow_redirects=True)

    assert [4, 4, 3, 0] == [drip.read // MEGABYTE for drip in drips]
    assert 0 == internet.fake.count(REFRESH)
