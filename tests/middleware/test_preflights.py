"""Preflights on protected paths: they reach the app, and bring back no body (R58)."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.middleware.probes import call, http_scope
from tests.support import make_wix
from wix_asgi import WixMiddleware
from wix_asgi.testing import FakeWix

CORS = (b"access-control-allow-origin", b"https://site.example")
START: dict[str, Any] = {
    "type": "http.response.start",
    "status": 207,
    "headers": [CORS, (b"Content-Length", b"6")],
}
PART = {"type": "http.response.body", "body": b"secret", "more_body": True}
LAST = {"type": "http.response.body", "body": b"secret"}


def empty(is_more: bool = False) -> dict[str, Any]:
    """Return a part of an empty body."""
    return {"type": "http.response.body", "body": b"", "more_body": is_more}


async def sent_for(fake: FakeWix, path: str, told: list[dict[str, Any]]) -> list[Message]:
    """Return what a client gets for a preflight that the app answers by these messages."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in told:
            await send(message)

    headers = [(b"access-control-request-method", b"GET")]
    async with make_wix(fake) as wix:
        guarded = WixMiddleware(app, wix, require_identity=["/api"])
        return await call(guarded, http_scope(path, method="OPTIONS", headers=headers))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([LAST], [empty()]),
        ([PART, PART, LAST], [empty(True), empty(True), empty()]),
        ([{"type": "http.response.pathsend", "path": "/etc/secret"}], [empty()]),
        (
            [{"type": "http.response.zerocopysend", "file": 3, "more_body": True}, LAST],
            [empty(True), empty()],
        ),
        ([LAST, {"type": "http.response.trailers", "headers": [(b"x", b"secret")]}], [empty()]),
        ([{"type": "http.response.debug", "info": {"x": "secret"}}, LAST], [empty()]),
    ],
    ids=["whole", "streamed", "pathsend", "zerocopysend", "trailers", "debug"],
)
async def test_preflight_gets_the_headers_alone(
    fake: FakeWix, told: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    """Status and CORS headers are kept, and no body, length or trailer comes with them (R58)."""
    start, *rest = await sent_for(fake, "/api/x", [{**START, "trailers": True}, *told])

    assert {**START, "headers": [CORS], "trailers": False} == start
    assert expected == rest


async def test_preflight_elsewhere_is_left_as_it_is(fake: FakeWix) -> None:
    """The answer of a path that is not protected is passed on unchanged."""
    assert [START, LAST] == await sent_for(fake, "/public", [START, LAST])
