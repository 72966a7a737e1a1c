from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from tests.engine import make_settings
from wix_asgi import oauth as oauth_module
from wix_asgi._http import httpx
from wix_asgi.endpoints import Endpoints
from wix_asgi.errors import WixError, WixUnavailable
from wix_asgi.oauth import OAuth
from wix_asgi.testing import FakeWix

CANARY = "canary-code-or-token-0123456789"


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


class Answers(httpx.AsyncBaseTransport):
    """Answers with what it was given, the last of it for ever; an exception is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        secret = self.remember(request)  # in a frame of the transport, as in httpcore's
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert secret
        return answer

    def remember(self, request: httpx.Request) -> bytes:
        """Note the request, and return its body."""
        self.requests.append(request)
        self.bodies.append(request.content)
        return request.content


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix()


def make_oauth(fake: FakeWix, transport: httpx.AsyncBaseTransport | None = None) -> OAuth:
    """Return an OAuth that speaks to `fake`, or through `transport`."""
    return OAuth(Endpoints(make_settings(fake)), transport or fake.transport)


async def fails(work: Callable[[], Awaitable[object]]) -> WixError:
    """Return what `work` raises."""
    with pytest.raises(WixError) as caught:
        await work()
    return caught.value


def unavailable(error: WixError) -> WixUnavailable:
    """Return `error`, which must be a WixUnavailable."""
    assert isinstance(error, WixUnavailable)
    return error


async def test_a_body_that_hangs_ends(fake: FakeWix, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that begins and does not go on is bounded, too, and its connection let go."""
    monkeypatch.setattr(oauth_module, "_TOTAL_SECONDS", 0.05)

    body = Body(b"{", then=anyio.sleep_forever)
    transport = Answers(httpx.Response(200, stream=body))
    await fails(lambda: make_oauth(fake, transport).exchange(CANARY))

    assert body.closed


async def test_a_body_is_bounded(fake: FakeWix) -> None:
    """Not more than is needed to see that it is too long is read, and the connection let go."""
    body = Body(*[b" " * 65_536] * 100)
    transport = Answers(httpx.Response(200, stream=body))
    error = await fails(lambda: make_oauth(fake, transport).exchange(CANARY))

    assert "Wix answered far more than a token." == str(error)
    assert (95, True) == (len(body.chunks), body.closed)


async def test_a_body_is_bounded_as_it_unpacks(fake: FakeWix) -> None:
    """A small body that unpacks to a large one is a large one."""
    packed = gzip.compress(b" " * 10_000_000)
    headers = {"Content-Encoding": "gzip"}
    transport = Answers(httpx.Response(200, stream=Body(packed), headers=headers))
    error = await fails(lambda: make_oauth(fake, transport).exchange(CANARY))

    assert "Wix answered far more than a token." == str(error)


async def test_a_packed_body_is_unpacked(fake: FakeWix) -> None:
    """An encoding that nobody asked for is understood all the same; a broken one is a loss."""
    packed = gzip.compress(b'{"access_token": "a-token"}')
    headers = {"Content-Encoding": "gzip"}
    whole = Answers(httpx.Response(200, stream=Body(packed), headers=headers))
    broken = Answers(httpx.Response(200, stream=Body(b"no gzip"), headers=headers))
    _, token = await make_oauth(fake, whole).exchange(CANARY)
    error = await fails(lambda: make_oauth(fake, broken).exchange(CANARY))

    assert "a-token" == token.value
    assert "The answer of Wix was lost." == str(error)


async def test_a_body_that_breaks_off_is_a_loss(fake: FakeWix) -> None:
    """The connection may end in mid-answer; the code is not known to be unspent."""

    async def break_off() -> None:
        raise httpx.RemoteProtocolError("x")

    body = Body(b'{"access', then=break_off)
    transport = Answers(httpx.Response(200, stream=body))
    error = unavailable(await fails(lambda: make_oauth(fake, transport).exchange(CANARY)))

    assert not error.unsent
    assert body.closed
