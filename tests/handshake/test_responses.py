"""What every answer of the handshake carries: headers, a page or JSON, an incident."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

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
from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.handshake.responses import Responses
from wix_asgi.hooks import Hooks
from wix_asgi.pages import STYLE_SOURCE, refusal_page, refusal_text
from wix_asgi.settings import WixSettings
from wix_asgi.testing import FakeWix

HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "unsafe-none",
}
# What an app or a framework may put on its own responses.
OF_THE_APP = {
    "Cache-Control": "public, max-age=3600",
    "Referrer-Policy": "unsafe-url",
    "X-Content-Type-Options": "",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
ANCESTORS = "frame-ancestors https://*.wix.com https://wix.example"
PATHS = ["/wix/install", "/wix/callback"]


class Page(HTMLParser):
    """The tags, attributes and style of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str] = {}
        self.style = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update((name, value or "") for name, value in attrs)

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style":
            self.style += data.strip("\r") if not self.style else ""


def policy_of(answer: Answer) -> dict[str, str]:
    """Return the directives of the Content-Security-Policy."""
    policy = answer.one("Content-Security-Policy") or ""
    directives = [directive.partition(" ") for directive in policy.split("; ")]
    assert len(directives) == len({name for name, _, _ in directives})
    return {name: value for name, _, value in directives}


def check_dressed(answer: Answer) -> None:
    """Check what is on every answer, once each."""
    assert {name: answer.one(name) for name in HEADERS} == HEADERS
    assert not answer.all("X-Frame-Options")
    assert not answer.all("Access-Control-Allow-Origin")
    assert policy_of(answer)["frame-ancestors"].split()[0] == "https://*.wix.com"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("query", [b"", b"code=a&state=b", b"token=a&token=b", b"a" * 17_000])
@pytest.mark.parametrize("accept", [b"*/*", b"application/json"])
async def test_every_answer_is_dressed(path: str, method: str, query: bytes, accept: bytes) -> None:
    """Each carries the security headers once, a policy, and no X-Frame-Options (R15, R16)."""
    async with running(FakeWix()) as app:
        answer = await ask(app, path, query, method=method, headers=[(b"accept", accept)])

    check_dressed(answer)
    assert {
        name: value for name, value in policy_of(answer).items() if name != "frame-ancestors"
    } == {
        "default-src": "'none'",
        "style-src": STYLE_SOURCE,
        "base-uri": "'none'",
        "form-action": "'none'",
    }


async def test_success_is_dressed() -> None:
    """So is the redirect that ends an install, which shows nothing itself (R15, R17)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        answer = await ask(app, path, query, headers=cookies_of(browser))

    check_dressed(answer)
    assert (303, b"") == (answer.status, answer.body)


async def test_paths_of_the_app_are_left_alone() -> None:
    """None of these headers is put on what is not ours (R16)."""
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
async def test_responses_of_hooks_are_dressed(kind: str, touched: bool) -> None:
    """An app's own Response gets our headers over its own, whatever it had there (R16)."""
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
        check_dressed(answer)
        assert ["frame-ancestors"] == list(policy_of(answer))
        assert ("session=of-the-app" in repr(answer.all("Set-Cookie"))) == touched
    assert "Max-Age=0" in installed.all("Set-Cookie")[-1]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("default-src 'self'", ["default-src 'self'", ANCESTORS]),
        ("Frame-Ancestors 'none'; img-src *", ["Frame-Ancestors 'none'; img-src *"]),
    ],
)
async def test_policy_of_a_hook_is_its_own(policy: str, expected: list[str]) -> None:
    """A page keeps the policy it has; who may frame it is said where it does not say (R15)."""
    page = HTMLResponse("x", headers={"Content-Security-Policy": policy, "X-Frame-Options": "DENY"})
    async with running(FakeWix(), on_error=lambda _: page) as app:
        answer = await ask(app, "/wix/callback")

    assert expected == answer.all("Content-Security-Policy")
    assert [] == answer.all("X-Frame-Options")


async def test_fake_wix_may_frame_the_pages() -> None:
    """Wix under another address, as in a demo, may show our pages in its frames, too (R15)."""
    async with running(FakeWix(), wix_url="http://localhost:9000/wix") as app:
        answer = await ask(app, "/wix/callback")

    assert policy_of(answer)["frame-ancestors"] == "https://*.wix.com http://localhost:9000"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_page(reason: Reason) -> None:
    """A site owner reads what happened and what to do; nothing is loaded from elsewhere (R17)."""
    text = refusal_page(reason, "0123456789ab")
    page = Page(text)

    assert {"script", "link", "img", "iframe", "form", "base", "object", "svg"}.isdisjoint(
        page.tags
    )
    assert {"src", "href", "style", "srcset", "action", "data", "background"}.isdisjoint(
        page.attributes
    )
    assert not [name for name in page.attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|//|\$", text)
    assert 1 == page.tags.count("h1")
    assert "en" == page.attributes["lang"]
    assert "0123456789ab" in text
    assert reason.value in text


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_text(reason: Reason) -> None:
    """The JSON form says in sentences what the page says."""
    text = refusal_text(reason)

    assert text.isprintable()
    assert text.endswith(".")
    assert text.count(". ") >= 1
    assert "Wix" in text or "window" in text or "page" in text or "again" in text


def test_policy_allows_the_style_of_the_page() -> None:
    """The hash in the policy is that of the one style sheet, and no other style is there (R17)."""
    text = refusal_page(Reason.INTERNAL, "0123456789ab")
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert f"'sha256-{digest}'" == STYLE_SOURCE
    assert "\r" not in style
    assert style == Page(text).style


def test_page_escapes_what_it_shows() -> None:
    """No incident can become a tag (R19)."""
    text = refusal_page(Reason.INTERNAL, '<script>"&$title')

    assert "&lt;script&gt;&quot;&amp;$title" in text
    assert "<script>" not in text


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
    """Who asks for JSON and not for HTML gets JSON; everybody else gets a page."""
    async with running(FakeWix()) as app:
        answer = await Browser(app).http.get("/wix/callback", headers={"Accept": accept})

    expected = "application/json" if is_json else "text/html; charset=utf-8"
    assert answer.headers["Content-Type"] == expected


async def test_incidents_are_distinct() -> None:
    """Every refusal has an incident of its own."""
    async with running(FakeWix()) as app:
        browser = Browser(app)
        answers = [await browser.http.get("/wix/callback", headers=JSON) for _ in range(100)]

    assert 100 == len({answer.json()["incident"] for answer in answers})


async def test_a_whole_page_is_sent() -> None:
    """The page is complete, and as long as its header says."""
    async with running(FakeWix()) as app:
        answer = await ask(app, "/wix/callback")

    assert answer.body.startswith(b"<!doctype html>")
    assert answer.body.rstrip().endswith(b"</html>")
    assert str(len(answer.body)) == answer.one("Content-Length")


@pytest.fixture(name="answers")
def _answers() -> Responses:
    settings = WixSettings.load(**FakeWix().settings(), public_url="https://app.test")
    return Responses(settings, Hooks())


def test_own_answers_are_dressed_in_place(answers: Responses) -> None:
    """Of our own answers no copy is made."""
    response = Response()

    assert answers.dress(response) is response
    assert response.headers["Cache-Control"] == "no-store"


async def test_headers_of_a_refusal_are_sent(answers: Responses) -> None:
    """A refusal's own status and headers are those of the answer."""
    refusal = HandshakeRefused(Reason.BAD_REQUEST, status=405, headers={"Allow": "GET"})
    request = Request({"type": "http", "method": "PUT", "path": "/", "headers": []})
    response = await answers.refuse(request, refusal)

    assert (405, "GET") == (response.status_code, response.headers["Allow"])


async def test_cookies_of_several_flows_are_set_side_by_side(answers: Responses) -> None:
    """Each cookie has a header of its own."""
    response = Response()
    async with make_wix(FakeWix()) as wix:
        flow = wix.handshake._parts.signer.mint()
    answers.bind(response, flow)
    answers.unbind(response, "__Host-wix-0000000000000000")
    headers = [(name.decode(), value.decode()) for name, value in response.raw_headers]

    assert [flow.cookie_value, ""] == [
        cookie.value for cookie in cookies_set(Answer(200, headers, b""))
    ]
