"""The responses of the handshake: their headers, a page or JSON, an incident."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from tests.handshake.handshaking import JSON, Answer, ask, begin, cookies_of, cookies_set, split_url
from tests.support import Browser, make_wix, running
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.handshake.responses import Responses, make_pages
from wix_asgi.handshake.state import StateSigner
from wix_asgi.hooks import Hooks
from wix_asgi.pages.template import STYLE_SOURCE
from wix_asgi.settings import WixSettings
from wix_asgi.testing import FakeWix

HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "unsafe-none",
}
# Headers that an app or a framework may put on its own responses.
OF_THE_APP = {
    "Cache-Control": "public, max-age=3600",
    "Referrer-Policy": "unsafe-url",
    "X-Content-Type-Options": "",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
ANCESTORS = "frame-ancestors https://*.wix.com https://wix.example"
PATHS = ["/wix/install", "/wix/callback"]


def policy_of(answer: Answer) -> dict[str, str]:
    """Return the directives of the Content-Security-Policy."""
    policy = answer.one("Content-Security-Policy") or ""
    directives = [directive.partition(" ") for directive in policy.split("; ")]
    assert len(directives) == len({name for name, _, _ in directives})
    return {name: value for name, _, value in directives}


def check_headers(answer: Answer) -> None:
    """Check the headers of the handshake, once each."""
    assert HEADERS == {name: answer.one(name) for name in HEADERS}
    assert not answer.all("X-Frame-Options")
    assert not answer.all("Access-Control-Allow-Origin")
    assert "https://*.wix.com" == policy_of(answer)["frame-ancestors"].split()[0]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("query", [b"", b"code=a&state=b", b"token=a&token=b", b"a" * 17_000])
@pytest.mark.parametrize("accept", [b"*/*", b"application/json"])
async def test_every_answer_has_headers(
    path: str, method: str, query: bytes, accept: bytes
) -> None:
    """Each response has the security headers once, a policy, and no X-Frame-Options (R15, R16)."""
    async with running(FakeWix()) as app:
        answer = await ask(app, path, query, method=method, headers=[(b"accept", accept)])
    check_headers(answer)

    assert {
        "default-src": "'none'",
        "style-src": STYLE_SOURCE,
        "base-uri": "'none'",
        "form-action": "'none'",
    } == {name: value for name, value in policy_of(answer).items() if name != "frame-ancestors"}


async def test_success_has_headers() -> None:
    """The redirect that ends an install carries the headers, and no body (R15, R17)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        answer = await ask(app, path, query, headers=cookies_of(browser))
    check_headers(answer)

    assert (303, b"") == (answer.status, answer.body)


async def test_paths_of_the_app_are_left_alone() -> None:
    """None of these headers is put on the responses of the app (R16)."""
    async with running(FakeWix()) as app:
        answer = await ask(app, "/plain")

    assert {"content-length", "content-type"} == {name for name, _ in answer.headers}


async def _chunks() -> AsyncIterator[bytes]:
    yield b"streamed"


def _responses() -> dict[str, Response]:
    return {
        "plain": PlainTextResponse("x", headers=OF_THE_APP),
        "html": HTMLResponse("x", headers=OF_THE_APP),
        "json": JSONResponse({}, headers=OF_THE_APP),
        "redirect": RedirectResponse("/welcome", 303, OF_THE_APP),
        "stream": StreamingResponse(_chunks(), headers=OF_THE_APP),
        "file": FileResponse(__file__, headers=OF_THE_APP),
    }


@pytest.mark.parametrize("kind", list(_responses()))
@pytest.mark.parametrize("touched", [False, True], ids=["fresh", "touched"])
async def test_responses_of_hooks_have_headers(kind: str, touched: bool) -> None:
    """On an app's own Response our headers replace its own of the same names (R16)."""
    fake = FakeWix()
    response = _responses()[kind]
    if touched:
        response.headers.append("X-Frame-Options", "SAMEORIGIN")
        response.headers.append("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
        response.set_cookie("session", "of-the-app")
    async with running(fake, on_install=lambda _: response, on_error=lambda _: response) as app:
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        installed = await ask(app, path, query, headers=cookies_of(browser))
        refused = await ask(app, "/wix/callback")

    for answer in (installed, refused):
        check_headers(answer)
        assert ["frame-ancestors"] == list(policy_of(answer))
        assert touched == ("session=of-the-app" in repr(answer.all("Set-Cookie")))
    assert "Max-Age=0" in installed.all("Set-Cookie")[-1]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("default-src 'self'", ["default-src 'self'", ANCESTORS]),
        ("Frame-Ancestors 'none'; img-src *", ["Frame-Ancestors 'none'; img-src *"]),
    ],
)
async def test_policy_of_a_hook_is_its_own(policy: str, expected: list[str]) -> None:
    """A hook's page keeps its policy, and gets our frame-ancestors if it has none (R15)."""
    page = HTMLResponse("x", headers={"Content-Security-Policy": policy, "X-Frame-Options": "DENY"})
    async with running(FakeWix(), on_error=lambda _: page) as app:
        answer = await ask(app, "/wix/callback")

    assert expected == answer.all("Content-Security-Policy")
    assert [] == answer.all("X-Frame-Options")


async def test_fake_wix_may_frame_the_pages() -> None:
    """Wix under another address, as in a demo, may show our pages in its frames, too (R15)."""
    async with running(FakeWix(), wix_url="http://localhost:9000/wix") as app:
        answer = await ask(app, "/wix/callback")
    allowed = policy_of(answer)["frame-ancestors"]

    assert "https://*.wix.com http://127.0.0.1:9000 http://localhost:9000" == allowed


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("application/json", True),
        ("Application/JSON", True),
        ("application/json, */*;q=0.1", True),
        ("application/json;charset=utf-8", True),
        ("", False),
        ("*/*", False),
        ("text/html", False),
        ("text/html, application/json", False),
        ("application/json, TEXT/HTML", False),
        ("application/xhtml+xml", False),
    ],
)
async def test_accept_chooses_the_form(accept: str, is_json: bool) -> None:
    """A request for JSON and not for HTML gets JSON; any other request gets a page."""
    async with running(FakeWix()) as app:
        answer = await Browser(app).http.get("/wix/callback", headers={"Accept": accept})
    expected = "application/json" if is_json else "text/html; charset=utf-8"

    assert expected == answer.headers["Content-Type"]


async def test_incidents_are_distinct() -> None:
    """Every refusal has an incident of its own."""
    async with running(FakeWix()) as app:
        browser = Browser(app)
        answers = [await browser.http.get("/wix/callback", headers=JSON) for _ in range(100)]

    assert 100 == len({answer.json()["incident"] for answer in answers})


async def test_a_whole_page_is_sent() -> None:
    """The page is complete, and has the length of its `Content-Length`."""
    async with running(FakeWix()) as app:
        answer = await ask(app, "/wix/callback")

    assert answer.body.startswith(b"<!doctype html>")
    assert answer.body.rstrip().endswith(b"</html>")
    assert str(len(answer.body)) == answer.one("Content-Length")


@pytest.fixture(name="responses")
def _new_responses() -> Responses:
    settings = WixSettings.load(**FakeWix().settings(), public_url="https://app.test")
    return Responses(settings, Hooks(detached=DetachedTasks()), make_pages(settings))


def test_own_responses_are_changed_in_place(responses: Responses) -> None:
    """Our own responses are not copied."""
    response = Response()

    assert responses.with_headers(response) is response
    assert "no-store" == response.headers["Cache-Control"]


async def test_headers_of_a_refusal_are_sent(responses: Responses) -> None:
    """The response has the refusal's own status and headers."""
    refusal = HandshakeRefused(Reason.BAD_REQUEST, status=405, headers={"Allow": "GET"})
    request = Request({"type": "http", "method": "PUT", "path": "/", "headers": []})
    response = await responses.refuse(request, refusal)

    assert (405, "GET") == (response.status_code, response.headers["Allow"])


def test_cookies_of_several_flows_are_set_side_by_side(responses: Responses) -> None:
    """Each cookie has a header of its own."""
    response = Response()
    flow = StateSigner(make_wix(FakeWix()).settings).mint()
    responses.set_cookie(response, flow)
    responses.clear_cookie(response, "__Host-wix-0000000000000000")
    headers = [(name.decode(), value.decode()) for name, value in response.raw_headers]

    assert [flow.cookie_value, ""] == [
        cookie.value for cookie in cookies_set(Answer(200, headers, b""))
    ]
