"""All but the middleware's own paths passes as though the middleware were not there."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from tests.client.clients import MEGABYTE, install
from tests.middleware.probes import INSTALL, Probe, call, http_scope
from tests.support import PUBLIC_URL, SITE, make_wix
from wix_asgi import StorageUnavailable, WixMiddleware, get_wix
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix


@pytest.mark.parametrize("kind", ["lifespan2", "http3.datagram", ""])
async def test_unknown_scopes_pass(wrapped: WixMiddleware, probe: Probe, kind: str) -> None:
    """A scope of a type to come passes as the very object it is (R46)."""
    scope = {"type": kind, "path": INSTALL}
    await call(wrapped, scope)

    assert probe.scopes[0] is scope
    assert {"type": kind, "path": INSTALL} == scope


async def test_receive_is_the_servers_and_messages_are_the_apps() -> None:
    """No body is read, and the server gets each message of the app as it is (R46)."""
    start = {"type": "http.response.start", "status": 200, "headers": []}
    body = {"type": "http.response.body", "body": b"x"}
    seen: list[object] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(receive)
        await send(start)
        await send(body)

    async def receive() -> Message:
        raise AssertionError("nobody reads")

    async def send(message: Message) -> None:
        sent.append(message)

    await WixMiddleware(app, make_wix(FakeWix()))(http_scope("/x"), receive, send)

    assert [receive] == seen
    assert [id(start), id(body)] == [id(message) for message in sent]
    assert {"type": "http.response.start", "status": 200, "headers": []} == start


async def test_websocket_on_an_own_path_is_the_apps(wrapped: WixMiddleware, probe: Probe) -> None:
    """The handshake is HTTP: a websocket on a path of the middleware passes."""
    await call(wrapped, {**http_scope(INSTALL), "type": "websocket"})

    assert 1 == len(probe.scopes)


async def talk(websocket: WebSocket) -> None:
    """Answer each message with the answer of Wix to it."""
    await websocket.accept()
    async for text in websocket.iter_text():
        answer = await get_wix(websocket).post("/x", json=text)
        await websocket.send_json(answer.json()["body"])


def test_websocket_has_a_client() -> None:
    """A websocket can call Wix until it is closed."""
    fake = FakeWix()
    wix = make_wix(fake)
    anyio.run(install, wix, fake)
    app = WixMiddleware(Starlette(routes=[WebSocketRoute("/ws", talk)]), wix)
    url = f"/ws?instance={fake.signed_instance(SITE)}"
    with TestClient(app) as browser, browser.websocket_connect(url) as websocket:
        answers = []
        for text in ("one", "two"):
            websocket.send_text(text)
            answers.append(websocket.receive_json())

    assert ["one", "two"] == answers


async def test_streams_flow_both_ways() -> None:
    """Each chunk passes as it comes: the answer to the first is there before the second."""
    order: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})
            if not more:
                return

    async def receive() -> Message:
        number = len(order) // 2
        order.append(f"in {number}")
        return {"type": "http.request", "body": b"%d" % number, "more_body": number < 2}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            order.append(f"out {message['body'].decode()}")

    await WixMiddleware(app, make_wix(FakeWix()))(http_scope("/x"), receive, send)

    assert ["in 0", "out 0", "in 1", "out 1", "in 2", "out 2"] == order


async def digest(request: Request) -> Response:
    """Answer the digest of a body of any size."""
    sha = hashlib.sha256()
    async for chunk in request.stream():
        sha.update(chunk)
    return PlainTextResponse(sha.hexdigest())


async def test_upload_of_100_megabytes_in_bounded_memory() -> None:
    """A large upload goes through in chunks, and is never held (R46)."""
    chunk = b"x" * MEGABYTE
    left = 100

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": chunk + b"", "more_body": left > 0}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    app = WixMiddleware(Starlette(routes=[Route("/x", digest)]), make_wix(FakeWix()))
    tracemalloc.start()
    try:
        await app(http_scope("/x"), receive, send)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert hashlib.sha256(chunk * 100).hexdigest().encode() == sent[1]["body"]
    assert peak < 10 * MEGABYTE


async def events() -> AsyncIterator[str]:
    """Be a stream of server-sent events."""
    for number in range(5):
        yield f"data: {number}\n\n"


async def fail(request: Request) -> Response:
    """Fail as the storage does."""
    raise StorageUnavailable("The test database is down.")


def various() -> Starlette:
    """Return an app that answers in many ways."""
    headers = {"Set-Cookie": "a=1", "X-Frame-Options": "DENY", "Cache-Control": "public"}
    return Starlette(
        routes=[
            Route("/plain", lambda _: PlainTextResponse("plain", headers=headers)),
            Route("/empty", lambda _: Response(status_code=204)),
            Route("/bytes", lambda _: Response(bytes(range(256)) * 100)),
            Route("/sse", lambda _: StreamingResponse(events(), media_type="text/event-stream")),
            Route("/wix/other", lambda _: PlainTextResponse("not ours")),
            Route("/digest", digest, methods=["POST", "PUT"]),
            Route("/down", fail),
        ]
    )


def requests() -> Iterator[httpx.Request]:
    """Yield 500 requests."""
    paths = ("/plain", "/empty", "/bytes", "/sse", "/wix/other", "/digest", "/down", "/none", "/")
    for number in range(500):
        path = paths[number % len(paths)]
        method = ("GET", "POST", "HEAD", "OPTIONS", "PUT")[number % 5]
        url = f"{PUBLIC_URL}{path}?number={number}&instance=x"
        yield httpx.Request(method, url, content=b"x" * number, headers={"Cookie": f"a={number}"})


async def test_answers_are_the_same_bytes() -> None:
    """500 answers of an app are the same with and without the middleware (R46)."""
    bare = httpx.ASGITransport(various())
    behind = httpx.ASGITransport(WixMiddleware(various(), make_wix(FakeWix())))
    different = []
    for request in requests():
        answers = [await transport.handle_async_request(request) for transport in (bare, behind)]
        seen = [
            (answer.status_code, answer.headers.raw, await answer.aread()) for answer in answers
        ]
        if seen[0] != seen[1]:
            different.append((request.url, seen))

    assert [] == different
