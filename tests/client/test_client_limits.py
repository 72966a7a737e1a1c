"""The limits of a call: its time, and the size of its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from tests.client.clients import (
    API,
    MEGABYTE,
    Drip,
    Internet,
    client_under,
    dripping,
    installed,
)
from wix_asgi import ResponseTooLarge, WixClient
from wix_asgi._http import httpx
from wix_asgi.client.policy import CallPolicy
from wix_asgi.testing import FakeWix


@pytest.fixture
def fake() -> FakeWix:
    """Return a Wix at the real one's address."""
    return FakeWix(url=API)


async def test_default_timeouts(fake: FakeWix) -> None:
    """Each call has timeouts: 5 s to connect, 10 s to read and to write (R39)."""
    internet = Internet(fake)
    async with installed(fake, transport=internet) as (_, client):
        await client.get("/x")
        await client.get("/x", timeout=3)

    first, second = [request.extensions["timeout"] for request in internet.requests]
    assert {"connect": 5, "read": 10, "write": 10, "pool": 30} == first
    assert {"connect": 3, "read": 3, "write": 3, "pool": 3} == second


def test_default_limits() -> None:
    """A whole answer has 30 s and 10 MB, as the README says (R39)."""
    policy = CallPolicy()

    assert (30.0, 10 * MEGABYTE) == (policy.total_seconds, policy.max_bytes)


AT_ONCE = CallPolicy(total_seconds=0.0)
"""The time for a whole call is over when it begins."""

Use = Callable[[WixClient], Awaitable[object]]
LIMITED: dict[str, Use] = {
    "get": lambda client: client.get("/x"),
    "post": lambda client: client.post("/x", json={}),
    "build_request": lambda client: client.send(client.build_request("GET", "/x")),
    "httpx.Request": lambda client: client.send(httpx.Request("GET", f"{API}/x")),
}


@pytest.mark.parametrize("use", LIMITED.values(), ids=LIMITED)
async def test_total_limit(fake: FakeWix, use: Use) -> None:
    """Under the default timeouts a whole answer is there within the limit, or not at all (R39)."""
    fake.fail("/x", kind="hang")
    async with installed(fake) as (wix, _):
        with pytest.raises(httpx.ReadTimeout, match="No whole answer"):
            await use(client_under(AT_ONCE, wix, fake.transport))
        fake.heal()


async def stream(client: WixClient) -> httpx.Response:
    """Stream an answer."""
    async with client.stream("GET", "/x") as answer:
        await answer.aread()
    return answer


async def get_after_setting(client: WixClient) -> httpx.Response:
    """Ask with a timeout of the client's own."""
    client.timeout = httpx.Timeout(60)
    return await client.send(httpx.Request("GET", f"{API}/x"))


UNLIMITED: dict[str, Callable[[WixClient], Awaitable[httpx.Response]]] = {
    "a timeout of its own": lambda client: client.get("/x", timeout=60),
    "no timeout": lambda client: client.get("/x", timeout=None),
    "a client's timeout": get_after_setting,
    "stream": stream,
}


@pytest.mark.parametrize("use", UNLIMITED.values(), ids=UNLIMITED)
async def test_total_limit_is_for_the_default(
    fake: FakeWix, use: Callable[[WixClient], Awaitable[httpx.Response]]
) -> None:
    """A call with timeouts of the app's own, or a stream, has no total limit."""
    async with installed(fake) as (wix, _):
        answer = await use(client_under(AT_ONCE, wix, fake.transport))

    assert 200 == answer.status_code


async def test_cancelled_call_is_cancelled(fake: FakeWix) -> None:
    """A cancellation from outside is no timeout."""
    async with installed(fake) as (_, client):
        with fake.hold("/x") as gate, anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, "/x")
                await gate.arrived()
                scope.cancel()

    assert scope.cancelled_caught


async def test_answer_of_ten_megabytes_is_read(fake: FakeWix) -> None:
    """Up to the limit an answer is read whole."""
    drip = Drip(b"x" * MEGABYTE, 10)
    async with installed(fake, transport=dripping(fake, drip)) as (_, client):
        answer = await client.get("https://elsewhere.example/")

    assert 10 * MEGABYTE == len(answer.content)


async def test_larger_answer_is_an_error(fake: FakeWix) -> None:
    """A gigabyte is not read whole: it stops behind the limit, and the connection is closed."""
    drip = Drip(b"x" * MEGABYTE, 1024)
    async with installed(fake, transport=dripping(fake, drip)) as (_, client):
        with pytest.raises(ResponseTooLarge, match="stream"):
            await client.get("https://elsewhere.example/")

    assert 11 * MEGABYTE == drip.read
    assert drip.closed


async def test_event_hook_may_drop_the_limits(fake: FakeWix) -> None:
    """A hook of the app's own that replaces the extensions of a request leaves it unlimited."""

    async def drop(request: httpx.Request) -> None:
        request.extensions = {}

    drip = Drip(b"x" * MEGABYTE, 12)
    async with installed(fake, transport=dripping(fake, drip)) as (_, client):
        client.event_hooks = {"request": [drop]}
        answer = await client.get("https://elsewhere.example/")

    assert 12 * MEGABYTE == len(answer.content)


async def test_stream_has_no_limit(fake: FakeWix) -> None:
    """A streamed answer may be of any size."""
    drip = Drip(b"x" * MEGABYTE, 12)
    read = 0
    async with (
        installed(fake, transport=dripping(fake, drip)) as (_, client),
        client.stream("GET", "https://elsewhere.example/") as answer,
    ):
        async for chunk in answer.aiter_bytes():
            read += len(chunk)

    assert 12 * MEGABYTE == read
