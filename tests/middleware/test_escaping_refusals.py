"""Refusals that an app lets escape: answered by the middleware, a page for people, else JSON."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.middleware.probes import call, http_scope
from tests.support import PUBLIC_URL, make_wix
from wix_asgi import (
    CallerReason,
    NotInstalled,
    RequestRefused,
    StorageUnavailable,
    Unauthenticated,
    WixMiddleware,
    WixUnavailable,
    answer_refusal,
)
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

PAGE = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": "es-MX"}
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


class NoPlan(RequestRefused):
    """The site has no plan with this page."""

    status = 402
    reason = "no_plan"


REFUSALS = [
    (Unauthenticated(reason=CallerReason.FORGED), 401, "forged"),
    (Unauthenticated("Log in first."), 401, "no_identity"),
    (NotInstalled(), 403, "not_installed"),
    (WixUnavailable(asked=7), 503, "wix_unavailable"),
    (StorageUnavailable(), 503, "storage_unavailable"),
    (RequestRefused("Not on Sundays."), 403, "request_refused"),
    (NoPlan("Choose a plan with reports."), 402, "no_plan"),
]


def raising(error: Exception, *begun: Message) -> ASGIApp:
    """Return an app that sends these messages, and lets an error escape."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in begun:
            await send(message)
        raise error

    return app


async def ask(app: ASGIApp, **headers: str) -> httpx.Response:
    """Send a request to `app` behind the middleware, and return its answer."""
    wix = make_wix(FakeWix(), app_name="Shop Sync", support_url="https://example.com/help")
    transport = httpx.ASGITransport(app=WixMiddleware(app, wix))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        return await http.get("/", headers=headers)


@pytest.mark.parametrize(("refusal", "status", "reason"), REFUSALS)
async def test_program_gets_json(
    refusal: RequestRefused, status: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer has the status, the reason, the text for callers and its incident (R47)."""
    caplog.set_level(logging.DEBUG, "wix_asgi")
    answer = await ask(raising(refusal), Accept="application/json")
    body = answer.json()

    assert status == answer.status_code
    assert (reason, refusal.detail) == (body["error"], body["message"])
    assert body["incident"] in caplog.text
    assert "no-store" == answer.headers["Cache-Control"]
    assert "Accept, Accept-Language" == answer.headers["Vary"]
    assert (f'Wix error="{reason}"' if status == 401 else None) == answer.headers.get(
        "WWW-Authenticate"
    )
    assert (status == 503) == ("Retry-After" in answer.headers)


@pytest.mark.parametrize(("refusal", "status", "reason"), REFUSALS)
async def test_person_gets_a_page(refusal: RequestRefused, status: int, reason: str) -> None:
    """The page has the app's name, its support and a way to Wix, in the person's language."""
    answer = await ask(raising(refusal), **PAGE)

    assert (status, "es") == (answer.status_code, answer.headers["Content-Language"])
    assert "frame-ancestors https://*.wix.com" in answer.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in answer.headers
    for part in ("Shop Sync", 'href="https://example.com/help"', "Abrir Wix</a>", reason):
        assert part in answer.text
    assert (refusal.detail in answer.text) == (reason in {"request_refused", "no_plan"})


@pytest.mark.parametrize("refusal", [Unauthenticated(), NotInstalled(), WixUnavailable()])
async def test_response_that_has_begun_is_left_alone(refusal: Exception) -> None:
    """After the first message of the app its refusal is the server's, as any other error."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nobody reads")

    app = WixMiddleware(raising(refusal, START), make_wix(FakeWix()))
    with pytest.raises(type(refusal)) as caught:
        await app(http_scope("/"), receive, send)

    assert caught.value is refusal
    assert [START] == sent


@pytest.mark.parametrize("error", [ValueError("a bug"), HTTPException(418), KeyError()])
async def test_other_errors_pass(error: Exception) -> None:
    """Only refusals are answered: any other error is the server's."""
    app = WixMiddleware(raising(error), make_wix(FakeWix()))
    with pytest.raises(type(error)) as caught:
        await call(app, http_scope("/"))

    assert caught.value is error


async def test_uncaught_refusal_of_the_client_is_answered() -> None:
    """An app without a framework uses the client, and nobody is 401 without a line of its own."""

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        await scope["state"]["wix"].get("/x")

    answer = await ask(app)

    assert (401, "no_identity") == (answer.status_code, answer.json()["error"])


async def test_refused_websocket_is_closed() -> None:
    """A refusal of the app's own kind closes a websocket, as those of ours do."""
    app = WixMiddleware(raising(NoPlan("Choose a plan.")), make_wix(FakeWix()))
    sent = await call(app, {**http_scope("/"), "type": "websocket"})

    assert [{"type": "websocket.close", "code": 1008, "reason": "Choose a plan."}] == sent


@pytest.mark.parametrize("state", [{}, {"state": None}, {"state": {"wix": "of the app"}}])
async def test_refusal_has_an_answer_without_a_middleware(state: dict[str, Any]) -> None:
    """Where no WixMiddleware is in front, the page has no name and leads to Wix."""
    scope = {**http_scope("/"), "headers": [(b"accept", b"text/html")], **state}
    answer = answer_refusal(scope, NotInstalled())

    assert 403 == answer.status_code
    assert b'href="https://www.wix.com/dashboard"' in bytes(answer.body)


async def test_client_of_the_request_gives_the_pages() -> None:
    """A framework that answers refusals by itself makes the same page of them."""
    answers: list[bytes] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        answers.append(bytes(answer_refusal(scope, NotInstalled()).body))
        raise NotInstalled

    answer = await ask(app, **PAGE)

    assert b"Shop Sync" in answers[0]
    assert 403 == answer.status_code
