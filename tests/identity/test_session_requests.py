"""The requests that may use a session: those that the app's own pages send."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from tests.handshake.handshaking import cookies_of
from tests.identity.visiting import NOBODY, installed, opened, outcome, visited
from tests.support import SITE
from wix_asgi.identity._session_requests import OwnOrigin, named_sites
from wix_asgi.testing import FakeWix

OWN = "https://app.example.com"
EVIL = "https://evil.example"

SAFE: dict[str, tuple[dict[str, str], bool]] = {
    "own fetch": ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, True),
    "typed address": ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, True),
    "iframe of Wix": ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),
    "link of a neighbour": ({"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}, True),
    "old browser or curl": ({}, True),
    "old browser, own fetch": ({"origin": OWN}, True),
    "script of another page": (
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        False,
    ),
    "fetch of another page": (
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors", "origin": EVIL},
        False,
    ),
    "fetch of a neighbour": ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, False),
    "old browser, fetch of another page": ({"origin": EVIL}, False),
}
"""By case: headers of a GET, and whether it may use the session."""

UNSAFE: dict[str, tuple[dict[str, str], bool]] = {
    "own fetch": ({"sec-fetch-site": "same-origin", "origin": OWN}, True),
    "own form without a referrer": ({"sec-fetch-site": "same-origin", "origin": "null"}, True),
    "old browser": ({"origin": OWN}, True),
    "form of another page": (
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "origin": EVIL},
        False,
    ),
    "a site that lies about its origin": ({"sec-fetch-site": "cross-site", "origin": OWN}, False),
    "form of a neighbour": ({"sec-fetch-site": "same-site", "origin": OWN}, False),
    "no page": ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, False),
    "an unknown word": ({"sec-fetch-site": "Same-Origin", "origin": OWN}, False),
    "old browser, form of another page": ({"origin": EVIL}, False),
    "old browser, sandboxed form": ({"origin": "null"}, False),
    "curl": ({}, False),
    "another scheme": ({"origin": "http://app.example.com"}, False),
    "another port": ({"origin": f"{OWN}:444"}, False),
    "a name that begins alike": ({"origin": f"{OWN}.evil.example"}, False),
    "a path": ({"origin": f"{OWN}/"}, False),
}
"""By case: headers of a POST, and whether it may use the session."""

SOCKET: dict[str, tuple[dict[str, str], bool]] = {
    "own page": ({"origin": OWN}, True),
    "own page, told twice": ({"origin": OWN, "sec-fetch-site": "same-origin"}, True),
    "another page": ({"origin": EVIL}, False),
    "another page, told by the browser": ({"origin": OWN, "sec-fetch-site": "cross-site"}, False),
    "no origin": ({"sec-fetch-site": "same-origin"}, False),
    "nothing": ({}, False),
}
"""By case: headers of a websocket's handshake, and whether it may use the session."""


async def call(app: ASGIApp, scope: dict[str, Any], messages: list[Message]) -> list[Message]:
    """Call `app` with these messages; return the messages that it sends."""
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def scope(kind: str, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    """Return the scope of a request with these headers."""
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": kind, "headers": pairs, "query_string": b"", **more}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize(("headers", "expected"), SAFE.values(), ids=SAFE)
def test_safe_requests(method: str, headers: dict[str, str], expected: bool) -> None:
    """Own pages and navigations may, and nothing that another page embeds or fetches (R59)."""
    assert expected is OwnOrigin(OWN).sent(scope("http", headers, method=method))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "get"])
@pytest.mark.parametrize(("headers", "expected"), UNSAFE.values(), ids=UNSAFE)
def test_unsafe_requests(method: str, headers: dict[str, str], expected: bool) -> None:
    """Only the app's own origin may, by the browser's word for it (R59)."""
    assert expected is OwnOrigin(OWN).sent(scope("http", headers, method=method))


@pytest.mark.parametrize(("headers", "expected"), SOCKET.values(), ids=SOCKET)
def test_websockets(headers: dict[str, str], expected: bool) -> None:
    """A websocket can be opened by any page, and always says which (R59)."""
    assert expected is OwnOrigin(OWN).sent(scope("websocket", headers))


@pytest.mark.parametrize(
    ("public_url", "origin"),
    [
        ("https://App.Example.com/mount", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("https://app.example.com:8443/x", "https://app.example.com:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_origin_is_that_of_the_public_url(public_url: str, origin: str) -> None:
    """It is written as browsers write it, without a path and a default port."""
    sent = scope("http", {"origin": origin}, method="POST")

    assert OwnOrigin(public_url).sent(sent)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", set()),
        (b"wix_site=a", {"a"}),
        (b"x=1&wix_site=a%2Db+c", {"a-b c"}),
        (b"wix_site=a&wix_site=b&wix_site=c", {"a", "b"}),
        (b"xwix_site=a&wix_sites=b&wix_site", set()),
        (b"x=" + b"y" * 70_000 + b"&wix_site=a", set()),
    ],
)
def test_the_site_that_a_query_names(query: bytes, expected: set[str]) -> None:
    """The parameter is found within a bound (R51)."""
    assert expected == named_sites({"headers": [], "query_string": query})


async def test_a_foreign_post_is_nobodys(fake: FakeWix) -> None:
    """The app answers it as it answers everybody: to other routes that is no error (R59)."""
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
    async with visited(fake) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
        answers = [
            await browser.http.post("/who", headers=headers),
            await browser.http.post("/plain", headers=headers),
            await browser.http.get("/who", headers=headers),
            await browser.http.post("/who"),
            await browser.http.post("/who", headers={"Origin": OWN}),
        ]

    assert 200 == answers[1].status_code
    assert {"at_once": None} == answers.pop(1).json()
    assert [NOBODY, NOBODY, NOBODY, SITE] == [outcome(answer) for answer in answers]


async def test_the_log_says_why_a_session_does_not_count(
    fake: FakeWix, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator sees what the request lacked; the caller is told that nobody calls."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
        answer = await browser.http.post("/who")

    assert "Another page than the app's own sent the request." in caplog.text
    assert "session" not in answer.text


@pytest.mark.parametrize(
    ("origin", "expected"), [(OWN, SITE), (EVIL, "refused"), (None, "refused")]
)
async def test_a_websocket_of_another_page_is_refused(
    fake: FakeWix, origin: str | None, expected: str
) -> None:
    """The session opens a websocket of the app's own pages only (R59)."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
        headers = [*cookies_of(browser), *([(b"origin", origin.encode())] if origin else [])]
        sent = await call(
            app,
            {
                "type": "websocket",
                "path": "/socket",
                "query_string": b"",
                "headers": headers,
                "extensions": {},
            },
            [{"type": "websocket.connect"}],
        )
        got = next((each["text"] for each in sent if each["type"] == "websocket.send"), "refused")

    assert expected in got
