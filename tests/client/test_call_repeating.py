"""A call that Wix refuses: the token is renewed, the call repeated, and both end in time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.client.clients import API, EVIL, REFRESH, Internet, client_under, installed
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi import NotInstalled, WixClient
from wix_asgi._http import httpx
from wix_asgi.client.policy import CallPolicy
from wix_asgi.testing import FakeWix
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport


async def test_refused_token_is_renewed_once() -> None:
    """A 401 costs one refresh and one more try, which the caller does not see."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.expire_access_tokens()
        answers = [await client.get("/x"), await client.get("/x")]

    assert [200, 200] == [answer.status_code for answer in answers]
    assert 1 == fake.count(REFRESH)
    assert 3 == fake.count("/x")


async def test_second_401_is_the_answer() -> None:
    """A call that is refused with the new token, too, is answered with that 401: no loop."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.fail("/x", status=401, times=None, body={"no": "way"})
        answer = await client.get("/x")

    assert (401, {"no": "way"}) == (answer.status_code, answer.json())
    assert 1 == fake.count(REFRESH)
    assert 2 == fake.count("/x")


async def test_an_api_that_is_always_refused_costs_one_refresh() -> None:
    """Calls that no token helps do not have a new one made for each of them."""
    fake = FakeWix()
    fake.echo("/y")
    async with installed(fake) as (_, client):
        fake.fail("/x", status=401, times=None)
        answers = [await client.get("/x") for _ in range(5)]
        other = await client.get("/y")

    assert ([401] * 5, 200) == ([answer.status_code for answer in answers], other.status_code)
    assert 1 == fake.count(REFRESH)
    # The first call goes with either token, each later call with the token in the cache.
    assert 6 == fake.count("/x")


async def test_replayable_body_is_sent_again() -> None:
    """A POST with JSON is repeated after a 401, which did nothing."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.expire_access_tokens()
        answer = await client.post("/x", json={"a": 1})

    assert {"a": 1} == answer.json()["body"]


async def once() -> AsyncIterator[bytes]:
    """Be a body that can be sent once."""
    yield b"on"
    yield b"ce"


async def test_one_shot_body_is_not_sent_again() -> None:
    """A streamed body gets its 401, and the next call has a new token."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.expire_access_tokens()
        answers = [await client.post("/x", content=once()) for _ in range(2)]

    assert [401, 200] == [answer.status_code for answer in answers]
    assert 1 == fake.count(REFRESH)
    assert 2 == fake.count("/x")


async def test_401_of_others_renews_nothing() -> None:
    """A 401 from another origin, also behind a redirect, leaves the token as it is."""
    internet = Internet(FakeWix(url=API), lambda _: httpx.Response(401))
    async with installed(internet.fake, transport=internet) as (_, client):
        direct = await client.get(EVIL)
        internet.redirect(302, EVIL)
        redirected = await client.get("/x", follow_redirects=True)

    assert [401, 401] == [direct.status_code, redirected.status_code]
    assert 0 == internet.fake.count(REFRESH)
    assert 3 == len(internet.hops)


async def test_401_of_a_removed_app_is_not_installed() -> None:
    """Where the token was refused and cannot be renewed, the app is not installed."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.uninstall(SITE)
        with pytest.raises(NotInstalled):
            await client.get("/x")


class Naps(list[float]):
    """The seconds for which calls would have waited: they wait for no time."""

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)
        await checkpoint()


@asynccontextmanager
async def napping(fake: FakeWix, naps: Naps) -> AsyncIterator[WixClient]:
    """Run a Wix that is installed on the first site, with a client for it that takes `naps`."""
    async with installed(fake) as (wix, _):
        yield client_under(CallPolicy(), wix, fake.transport, naps.sleep)


@pytest.fixture
def naps() -> Naps:
    """Return no naps yet."""
    return Naps()


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_wait_that_wix_asks_for(status: int, method: str, naps: Naps) -> None:
    """An idempotent call waits as `Retry-After` says, and is sent again."""
    fake = FakeWix()
    async with napping(fake, naps) as client:
        fake.fail("/x", status=status, headers={"Retry-After": "3"})
        answer = await client.request(method, "/x")

    assert 200 == answer.status_code
    assert [3.0] == naps


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("POST", {"Retry-After": "1"}, []),
        ("PATCH", {"Retry-After": "1"}, []),
        ("GET", {}, []),
        ("GET", {"Retry-After": "soon"}, []),
        ("GET", {"Retry-After": "-1"}, []),
        ("GET", {"Retry-After": "11"}, []),
        ("GET", {"Retry-After": "99999999999"}, []),
        ("GET", {"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"}, []),
        ("GET", {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, [0.0, 0.0]),
        ("GET", {"Retry-After": "1"}, [1.0, 1.0]),
        ("GET", {"Retry-After": "5"}, [5.0, 5.0]),
        ("GET", {"Retry-After": "6"}, [6.0]),
        ("GET", {"Retry-After": "10"}, [10.0]),
    ],
)
async def test_waiting_is_limited(
    method: str, headers: dict[str, str], expected: list[float], naps: Naps
) -> None:
    """A call is repeated twice at most and waits ten seconds in all; then it is answered."""
    fake = FakeWix()
    async with napping(fake, naps) as client:
        fake.fail("/x", status=429, times=None, headers=headers, body="slow down")
        answer = await client.request(method, "/x")

    assert (429, "slow down") == (answer.status_code, answer.text)
    assert expected == naps
    assert 1 + len(expected) == fake.count("/x")


async def test_one_shot_body_does_not_wait(naps: Naps) -> None:
    """A streamed body is not repeated for a 503 either."""
    fake = FakeWix()
    async with napping(fake, naps) as client:
        fake.fail("/x", headers={"Retry-After": "1"})
        answer = await client.put("/x", content=once())

    assert 503 == answer.status_code
    assert [] == naps


async def test_waiting_and_renewing_go_together(naps: Naps) -> None:
    """A call may be told to wait, lose its token, and wait again."""
    fake = FakeWix()
    async with napping(fake, naps) as client:
        for status in (503, 401, 429):
            fake.fail("/x", status=status, headers={"Retry-After": "1"})
        answer = await client.get("/x")

    assert 200 == answer.status_code
    assert [1.0, 1.0] == naps
    assert 4 == fake.count("/x")


async def test_other_failures_are_answers(naps: Naps) -> None:
    """A 500 or a 502 is not repeated, with `Retry-After` neither."""
    fake = FakeWix()
    async with napping(fake, naps) as client:
        for status in (500, 502):
            fake.fail("/x", status=status, headers={"Retry-After": "1"})
        answers = [await client.get("/x") for _ in range(2)]

    assert [500, 502] == [answer.status_code for answer in answers]
    assert [] == naps


async def test_no_deadlock_with_one_connection() -> None:
    """A 401 gives its connection back before the refresh, which may need the same one."""
    fake = FakeWix()
    pool = PoolTransport(PoolPolicy(max_connections=1), connect=lambda: fake.transport)
    async with installed(fake, transport=pool) as (_, client):
        fake.expire_access_tokens()
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(client.get, "/x")

        assert 0 == pool.in_flight
    assert 1 == fake.count(REFRESH)
    assert 5 == len([one for one in fake.calls if one.path == "/x" and one.status == 200])


async def test_connection_is_free_while_a_call_waits() -> None:
    """While a call waits as Wix asked, another call has the only connection."""
    fake = FakeWix()
    fake.echo("/y")
    pool = PoolTransport(PoolPolicy(max_connections=1), connect=lambda: fake.transport)
    waiting, go_on = anyio.Event(), anyio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await go_on.wait()

    async with installed(fake, transport=pool) as (wix, _):
        client = client_under(CallPolicy(), wix, pool, sleep)
        fake.fail("/x", headers={"Retry-After": "1"})
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, "/x")
                await waiting.wait()
                other = await client.get("/y")
                go_on.set()

    assert 200 == other.status_code
    assert 2 == fake.count("/x")


async def chunks() -> AsyncIterator[bytes]:
    """Be a body of two chunks."""
    yield b"no"
    yield b"pe"


async def test_stream_of_a_refusal_can_be_read_raw() -> None:
    """A streamed answer that is not repeated has not been read by anybody before."""
    fake = FakeWix()
    busy = httpx.MockTransport(lambda _: httpx.Response(429, content=chunks()))
    async with installed(fake, transport=busy) as (_, client), client.stream("GET", "/x") as answer:
        read = [chunk async for chunk in answer.aiter_raw()]

    assert [b"no", b"pe"] == read
