"""Refusals on websockets: by HTTP before they are accepted, by a close afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, WebSocketException
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from tests.middleware.probes import http_scope
from tests.support import make_wix
from wix_asgi import (
    NotInstalled,
    StorageUnavailable,
    Unauthenticated,
    WixMiddleware,
    WixUnavailable,
)
from wix_asgi.errors import CallerReason
from wix_asgi.testing import FakeWix

REFUSALS = {
    "unauthenticated": (Unauthenticated(reason=CallerReason.FORGED), 401, 1008),
    "not_installed": (NotInstalled(), 403, 1008),
    "wix_unavailable": (WixUnavailable(asked=7), 503, 1013),
    "storage_unavailable": (StorageUnavailable(), 503, 1013),
}


class Server:
    """A server with one websocket, which refuses messages that ASGI does not allow."""

    def __init__(self, *, answers: bool = True, gone: bool = False) -> None:
        self._answers = answers
        self._gone = gone
        self._coming: list[Message] = [{"type": "websocket.connect"}]
        self._state = "connecting"
        self.sent: list[Message] = []

    async def serve(self, app: Any) -> list[Message]:
        """Serve `app` one websocket; return the messages that it sends."""
        extensions: Scope = {"websocket.http.response": {}} if self._answers else {}
        scope = {**http_scope("/talk", scheme="wss", extensions=extensions), "type": "websocket"}
        await app(scope, self._receive, self._send)
        return self.sent

    async def _receive(self) -> Message:
        return self._coming.pop(0) if self._coming else {"type": "websocket.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone and self._state == "open":
            raise OSError("the caller has hung up")
        allowed: dict[str, str] = {
            "connecting": {
                "websocket.accept": "open",
                "websocket.close": "closed",
                **({"websocket.http.response.start": "answering"} if self._answers else {}),
            },
            "answering": {"websocket.http.response.body": "closed"},
            "open": {"websocket.send": "open", "websocket.close": "closed"},
            "closed": {},
        }[self._state]
        if message["type"] not in allowed:
            raise RuntimeError(f"{message['type']} after {[one['type'] for one in self.sent]}")
        self._state = allowed[message["type"]]
        self.sent.append(message)


def bare(talk: Callable[[WebSocket], Any]) -> Any:
    """Return an app without a framework."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await talk(WebSocket(scope, receive, send))

    return app


def star(talk: Callable[[WebSocket], Any]) -> Any:
    """Return an app of Starlette."""
    return Starlette(routes=[WebSocketRoute("/talk", talk)])


def fast(talk: Callable[[WebSocket], Any]) -> Any:
    """Return an app of FastAPI."""
    app = FastAPI()
    app.add_api_websocket_route("/talk", talk)
    return app


def handling(talk: Callable[[WebSocket], Any]) -> Any:
    """Return an app with a handler of its own for refusals, which runs in a thread."""

    def answer(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        return PlainTextResponse(exc.detail, exc.status_code, exc.headers)

    app = star(talk)
    app.add_exception_handler(HTTPException, answer)
    return app


MAKERS = [bare, star, fast, handling]


def wrap(app: Any) -> WixMiddleware:
    """Return the app behind the middleware."""
    return WixMiddleware(app, make_wix(FakeWix()))


def talking(error: Exception, *steps: str) -> Callable[[WebSocket], Any]:
    """Return a conversation that ends with this error."""

    async def talk(websocket: WebSocket) -> None:
        for step in steps:
            if step == "accept":
                await websocket.accept()
            elif step == "send":
                await websocket.send_text("hello")
            elif step == "receive":
                await websocket.receive()
            else:
                await websocket.close()
        raise error

    return talk


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refusal_before_it_is_accepted(make: Callable[..., Any], refusal: str) -> None:
    """It is answered with the status and headers of the error, as a request is."""
    error, status, _ = REFUSALS[refusal]
    start, body = await Server().serve(wrap(make(talking(error))))
    headers = {name.decode(): value.decode() for name, value in start["headers"]}

    assert status == start["status"]
    assert error.detail in body["body"].decode()
    assert {name.lower(): value for name, value in (error.headers or {}).items()} == {
        name: headers[name] for name in ("www-authenticate", "retry-after") if name in headers
    }


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refusal_where_a_server_answers_no_websocket(
    make: Callable[..., Any], refusal: str
) -> None:
    """It is closed, which servers answer with 403, where they know no other answer."""
    error, _, code = REFUSALS[refusal]
    (close,) = await Server(answers=False).serve(wrap(make(talking(error))))

    assert {"type": "websocket.close", "code": code, "reason": error.detail} == close


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refusal_after_it_was_accepted(
    make: Callable[..., Any], refusal: str, answers: bool
) -> None:
    """It is closed with a code and the text for callers, and no error comes out."""
    error, _, code = REFUSALS[refusal]
    app = wrap(make(talking(error, "accept", "send")))
    *_, close = sent = await Server(answers=answers).serve(app)

    assert ["websocket.accept", "websocket.send", "websocket.close"] == [m["type"] for m in sent]
    assert {"type": "websocket.close", "code": code, "reason": error.detail} == close


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "steps", [("accept", "close"), ("close",), ("accept", "receive"), ("receive", "receive")]
)
async def test_refusal_after_the_end(make: Callable[..., Any], steps: tuple[str, ...]) -> None:
    """Where the app or the caller has closed it, nothing more is sent, and no error comes out."""
    sent = await Server().serve(wrap(make(talking(NotInstalled(), *steps))))

    assert len([step for step in steps if step != "receive"]) == len(sent)


@pytest.mark.parametrize("make", MAKERS)
async def test_refusal_of_a_caller_who_is_gone(make: Callable[..., Any]) -> None:
    """An error of the server, which cannot send the close, does not come out."""
    server = Server(gone=True)
    await server.serve(wrap(make(talking(NotInstalled(), "accept"))))

    assert ["websocket.accept"] == [message["type"] for message in server.sent]


@pytest.mark.parametrize("text", ["x" * 200, "ä" * 100, "x" + "€" * 60])
async def test_long_reason_is_cut(text: str) -> None:
    """A close has room for 123 bytes, and no half character is sent (RFC 6455, 5.5)."""
    error = Unauthenticated(text)
    _, close = await Server().serve(wrap(star(talking(error, "accept"))))

    assert text.startswith(close["reason"])
    assert 120 < len(close["reason"].encode()) <= 123


@pytest.mark.parametrize("steps", [(), ("accept",)])
@pytest.mark.parametrize(
    "error", [HTTPException(404), LookupError("a bug"), WebSocketException(4000)]
)
async def test_other_errors_are_as_before(error: Exception, steps: tuple[str, ...]) -> None:
    """Errors that are not ours end as they do without the middleware (R46)."""
    ends: list[tuple[object, str, list[Message]]] = []
    for app in (star(talking(error, *steps)), wrap(star(talking(error, *steps)))):
        server = Server()
        try:
            await server.serve(app)
        except Exception as exc:
            ends.append((type(exc), str(exc), server.sent))
        else:
            ends.append((None, "", server.sent))

    assert ends[0] == ends[1]


async def test_answers_of_the_app_pass() -> None:
    """An app that answers a websocket by HTTP itself goes on doing so (R46)."""

    async def talk(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("no", 418))

    start, body = await Server().serve(wrap(star(talk)))

    assert (418, b"no") == (start["status"], body["body"])


async def test_messages_of_other_kinds_pass() -> None:
    """A message that ASGI does not know goes to the server, whose word it is (R46)."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "websocket.ping"})

    with pytest.raises(RuntimeError, match=r"websocket\.ping after \[\]"):
        await Server().serve(wrap(app))


async def test_a_refusal_that_the_app_handles_is_no_end() -> None:
    """An app that catches the error goes on as it likes."""

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            raise NotInstalled
        except NotInstalled:
            await websocket.send_text("install the app first")
        await websocket.close(4403)

    sent = await Server().serve(wrap(star(talk)))

    assert ["websocket.accept", "websocket.send", "websocket.close"] == [m["type"] for m in sent]
    assert 4403 == sent[-1]["code"]


async def test_no_extensions_at_all() -> None:
    """A server may give None for its extensions."""
    server = Server(answers=False)

    app = wrap(bare(talking(NotInstalled())))

    async def without(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": None}, receive, send)

    (close,) = await server.serve(without)

    assert 1008 == close["code"]
