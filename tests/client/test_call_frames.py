"""What an error of a call tells of the frames it came through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from traceback import TracebackException, walk_tb
from typing import Any, NoReturn

import pytest

from tests.client.clients import API, Internet, install, installed
from tests.support import SITE, make_wix
from wix_asgi import StorageUnavailable, Unauthenticated, WixClient
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

_, OTHER, _ = DEMO_SITES


class Cut(httpx.AsyncBaseTransport):
    """A transport of an app's own that fails in a frame which holds the token."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.tokens: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["Authorization"]
        self.tokens.append(token)
        raise self.error


class HalfWay(Cut, httpx.AsyncByteStream):
    """The same where the body of the answer is read."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.tokens.append(request.headers["Authorization"])
        return httpx.Response(200, stream=self)

    def __aiter__(self) -> HalfWay:
        return self

    async def __anext__(self) -> bytes:
        token = self.tokens[-1]
        del token
        held = list(self.tokens)
        raise self.error.with_traceback(None) from LookupError(len(held))


def shown(error: BaseException) -> str:
    """Return an error as a tracker shows it, with its history and all locals."""
    return "".join(TracebackException.from_exception(error, capture_locals=True).format())


def ours(error: BaseException) -> list[str]:
    """Return the functions of our frames in an error."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return [f.f_code.co_name for f in frames if f.f_globals["__name__"].startswith("wix_asgi.")]


@pytest.mark.parametrize("error", [httpx.ConnectError("cut"), RuntimeError("cut")], ids=repr)
@pytest.mark.parametrize("kind", [Cut, HalfWay])
async def test_no_frame_holds_the_token(kind: type[Cut], error: Exception) -> None:
    """The frames below us, which hold the request as it is dialled, are dropped (R35, R52)."""
    transport = kind(error)
    async with make_wix(FakeWix(url=API), transport=transport) as wix:
        await install(wix, FakeWix(url=API))
        with pytest.raises(type(error), match="cut") as caught:
            await wix.client(SITE).get("/x")

    # Not in the assertion: pytest keeps the parts of it among the locals of this frame.
    is_shown = transport.tokens[0] in shown(error)
    assert caught.value is error
    assert not is_shown
    assert [] == ours(error)


async def test_frames_of_a_streamed_body_hold_no_token() -> None:
    """Nor does an error that comes while the app itself reads the body (R35, R52)."""
    transport = HalfWay(httpx.ReadError("cut"))
    async with make_wix(FakeWix(url=API), transport=transport) as wix:
        await install(wix, FakeWix(url=API))
        with pytest.raises(httpx.ReadError) as caught:
            async with wix.client(SITE).stream("GET", "/x") as answer:
                await answer.aread()

    is_shown = transport.tokens[0] in shown(caught.value)
    assert not is_shown


async def test_an_error_that_the_app_handles_keeps_its_frames() -> None:
    """A call that fails while the app handles an error of its own leaves that error whole."""
    mine = LookupError("mine")

    def fail() -> NoReturn:
        raise mine

    async with make_wix(FakeWix(url=API), transport=Cut(httpx.ConnectError("cut"))) as wix:
        await install(wix, FakeWix(url=API))
        try:
            fail()
        except LookupError:
            with pytest.raises(httpx.ConnectError) as caught:
                await wix.client(SITE).get("/x")

    names = [frame.f_code.co_name for frame, _ in walk_tb(mine.__traceback__)]
    assert mine is caught.value.__context__
    assert "fail" == names[-1]


async def ask(client: WixClient) -> object:
    """Ask who is calling."""
    return await client.identify()


async def call(client: WixClient) -> object:
    """Call Wix as whoever is calling."""
    return await client.get("/x")


@pytest.mark.parametrize("use", [ask, call])
async def test_no_frame_holds_signed_instances(
    use: Callable[[WixClient], Awaitable[object]],
) -> None:
    """A caller with two sites is refused, and neither proof is in a frame (R35, R52)."""
    fake = FakeWix(url=API)
    proofs = [fake.signed_instance(site) for site in (SITE, OTHER)]
    scope: dict[str, Any] = {
        "query_string": f"instance={proofs[0]}".encode(),
        "headers": [(b"authorization", proofs[1].encode())],
    }
    async with installed(fake, transport=Internet(fake)) as (wix, _):
        client = wix.clients.for_request(scope)
        with pytest.raises(Unauthenticated) as caught:
            await use(client)

    frames = [frame for frame, _ in walk_tb(caught.value.__traceback__)][1:]
    held = [repr(value) for frame in frames for value in frame.f_locals.values()]
    assert [] == [text for text in held for proof in proofs if proof in text]
    assert [] == ours(caught.value)


async def test_storage_failure_has_no_frame_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that becomes httpx's as well tells nothing of our frames, nor does its cause."""

    async def lose(*_: object) -> NoReturn:
        raise StorageUnavailable("down") from OSError("down")

    fake = FakeWix(url=API)
    async with make_wix(fake, transport=Internet(fake)) as wix:
        await install(wix, fake)
        monkeypatch.setattr(wix.storage, "get", lose)
        with pytest.raises(StorageUnavailable) as caught:
            await wix.client(SITE).get("/x")

    # Where it becomes httpx's.
    assert ["send"] == ours(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert [] == ours(caught.value.__context__ or caught.value)
