"""Sessions behind WixWSGIMiddleware: begun with the app's answer, as on ASGI."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from flask import Flask
from flask.typing import ResponseReturnValue

from tests.frameworks.wsgi_calls import Answer, Site, call
from tests.support import PUBLIC_URL, SITE, make_wix
from wix_asgi import Unauthenticated, Wix, WixWSGIMiddleware
from wix_asgi.concurrency.portal import portal
from wix_asgi.flask import wix as flask_wix
from wix_asgi.testing import FakeWix
from wix_asgi.wsgi import sync_wix_of

PREFIX = "__Host-wix_session-"


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Tell who is calling, by a list or by a generator, and what caches may do with it."""
    path = environ["PATH_INFO"]
    if path == "/refused":
        raise Unauthenticated
    if path == "/steps":
        return steps(environ, start_response)
    caller = sync_wix_of(environ).identity
    headers = [("Cache-Control", environ["test.cache"])] if "test.cache" in environ else []
    start_response("200 OK", headers)
    return [json.dumps(caller and caller.instance_id).encode()]


def steps(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Begin an answer, and replace it before a byte of it is sent (PEP 3333)."""
    start_response("200 OK", [("X-First", "1")])
    try:
        raise LookupError("lost")
    except LookupError:
        start_response("500 Oh", [("X-Second", "1")], sys.exc_info())
    yield b"x"


@pytest.fixture(name="wix")
def _wix(fake: FakeWix) -> Iterator[Wix]:
    wix = make_wix(fake, session=True)
    yield wix
    portal().call(wix.aclose)


@pytest.fixture(name="site")
def _site(wix: Wix, fake: FakeWix) -> Site:
    site = Site(WixWSGIMiddleware(app, wix), fake)
    site.install()
    return site


def cookies_of(answer: Answer) -> list[str]:
    """Return the session cookies that an answer sets."""
    lines = answer.headers.get_list("Set-Cookie")
    return [line for line in lines if line.startswith(PREFIX)]


def test_page_begins_a_session_that_names_its_further_requests(site: Site) -> None:
    """The cookie is that of ASGI apps; a further request with it needs no instance (R59)."""
    address = f"/?instance={site.fake.signed_instance(SITE)}"
    page = call(site.app, address)
    (line,) = cookies_of(page)
    cookie = line.partition(";")[0]
    further, foreign = (
        call(site.app, "/save", method="POST", HTTP_COOKIE=cookie, HTTP_SEC_FETCH_SITE=sender)
        for sender in ("same-origin", "cross-site")
    )
    again = call(site.app, address, HTTP_COOKIE=cookie)

    assert {"Secure", "HttpOnly", "Path=/", "SameSite=None", "Partitioned"} <= {
        *line.split("; ")[1:]
    }
    assert "private" == page.headers["Cache-Control"]
    assert [SITE, None] == [json.loads(answer.body) for answer in (further, foreign)]
    assert [[], [], []] == [cookies_of(answer) for answer in (further, foreign, again)]


@pytest.mark.parametrize(
    ("cache", "count", "expected"),
    [
        ("public", 0, ["public"]),
        ("max-age=60", 1, ["max-age=60", "private"]),
        ("No-Store", 1, ["No-Store"]),
    ],
)
def test_answer_with_a_session_is_private(
    site: Site, cache: str, count: int, expected: list[str]
) -> None:
    """No shared cache keeps the cookie; the app's own header stays as it is (R59)."""
    page = site.open("/", **{"test.cache": cache})

    assert count == len(cookies_of(page))
    assert expected == page.headers.get_list("Cache-Control")


def test_nobody_and_another_page_begin_none(site: Site) -> None:
    """Without a good instance, or sent by another page, a request begins no session."""
    nobody = call(site.app, "/")
    forged = call(site.app, "/?instance=a.b")
    foreign = site.open("/", HTTP_SEC_FETCH_SITE="cross-site", HTTP_SEC_FETCH_MODE="cors")

    assert [[], [], []] == [cookies_of(answer) for answer in (nobody, forged, foreign)]
    assert "Cache-Control" not in nobody.headers


@pytest.mark.parametrize("path", ["/refused", "/wix/install", "/wix/callback"])
def test_our_own_answers_begin_none(site: Site, path: str) -> None:
    """A refusal, and a path of ours, begin no session by the instance in their query."""
    answer = site.open(path)

    assert 200 != answer.status
    assert [] == cookies_of(answer)


def test_answer_that_is_replaced_has_its_session(site: Site) -> None:
    """A generator that calls `start_response` twice sets one cookie, with its last headers."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, [name for name, _ in headers], exc_info and exc_info[0]))
        return sys.stdout.write

    environ = site.open("/").environ
    environ["PATH_INFO"] = "/steps"
    body = b"".join(site.app(environ, start_response))

    assert b"x" == body
    assert [
        ("200 OK", ["X-First", "Set-Cookie", "Cache-Control"], None),
        ("500 Oh", ["X-Second", "Set-Cookie", "Cache-Control"], LookupError),
    ] == [(status, [name.title() for name in names], kind) for status, names, kind in started]


def test_session_of_a_flask_app(wix: Wix, fake: FakeWix) -> None:
    """Flask's test client, as a browser, opens the page once and is the site from then on."""
    flask = Flask("app")

    @flask.route("/who", methods=["GET", "POST"])
    def who() -> ResponseReturnValue:
        return {"site": flask_wix.identify().instance_id}

    flask.wsgi_app = WixWSGIMiddleware(flask.wsgi_app, wix)  # type: ignore[method-assign] # Flask's way
    Site(flask, fake).install()
    browser = flask.test_client()
    query = {"instance": fake.signed_instance(SITE)}
    opened = browser.get("/who", query_string=query, base_url=PUBLIC_URL)
    saved = browser.post(
        "/who", base_url=PUBLIC_URL, headers={"Sec-Fetch-Site": "same-origin", "Wix-Site": SITE}
    )

    assert [{"site": SITE}] * 2 == [opened.json, saved.json]
