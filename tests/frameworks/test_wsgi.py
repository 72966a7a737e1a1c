"""WixWSGIMiddleware: the paths that Wix calls in front of a WSGI app, and `environ["wix"]`."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import anyio
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tests.frameworks.wsgi_calls import Site, call
from tests.limits import PATIENCE
from tests.support import SITE, make_wix
from wix_asgi import (
    MiddlewareMissing,
    SettingsError,
    StorageUnavailable,
    SyncWixClient,
    Unauthenticated,
    Wix,
    WixWSGIMiddleware,
)
from wix_asgi._http import httpx
from wix_asgi.concurrency.portal import portal
from wix_asgi.events import WebhookEvent
from wix_asgi.frameworks.wsgi import _answering, _running_loop
from wix_asgi.testing import FakeWix
from wix_asgi.wsgi import sync_wix_of


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Ask Wix as the calling site, in one of several ways."""
    client = sync_wix_of(environ)
    path = environ["PATH_INFO"]
    if path == "/begun":
        start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/down":
        raise StorageUnavailable("the disk is full", retry_after=7)
    if path == "/bug":
        raise LookupError("lost")
    body = b"plain" if path == "/plain" else client.get("/x").content
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


@pytest.fixture(name="wix")
def _wix(fake: FakeWix) -> Iterator[Wix]:
    wix = make_wix(fake, public_key=fake.public_key)
    yield wix
    portal().call(wix.aclose)


@pytest.fixture(name="served")
def _served(wix: Wix) -> WixWSGIMiddleware:
    return WixWSGIMiddleware(app, wix)


def test_site_is_installed_and_calls(served: WixWSGIMiddleware, fake: FakeWix) -> None:
    """The two paths work in front of a WSGI app, whose views get the calling site's client."""
    site = Site(served, fake)
    installed = site.install()
    called = site.open("/products")

    assert 303 == installed.status
    assert (200, SITE) == (
        called.status,
        httpx.Response(200, content=called.body).json()["instanceId"],
    )
    assert isinstance(called.environ["wix"], SyncWixClient)


def test_client_is_made_of_the_header_too(served: WixWSGIMiddleware, fake: FakeWix) -> None:
    """A signed instance in Authorization names the site, as on ASGI; of a client none is built."""
    signed = fake.signed_instance(SITE)
    answer = call(served, "/plain", HTTP_AUTHORIZATION=signed, REMOTE_PORT="4000")
    client = answer.environ["wix"]
    is_built = "_built" in vars(client)

    assert b"plain" == answer.body
    assert not is_built
    assert SITE == client.identity.instance_id


def test_refusals_are_answers(served: WixWSGIMiddleware, fake: FakeWix) -> None:
    """An error of the client that the app lets out is 401, 403 or 503, and tells no cause."""
    site = Site(served, fake)
    nobody, stranger, down = call(served, "/x"), site.open("/x"), call(served, "/down")

    assert [401, 403, 503] == [answer.status for answer in (nobody, stranger, down)]
    assert "no_identity" in nobody.headers["WWW-Authenticate"]
    assert ("7", "no-store") == (down.headers["Retry-After"], down.headers["Cache-Control"])
    assert b"disk" not in down.body


def test_answer_that_has_begun_is_not_replaced(served: WixWSGIMiddleware) -> None:
    """The server gets the refusal as the error that ends the answer."""
    with pytest.raises(Unauthenticated):
        call(served, "/begun")


class Steps:
    """A WSGI app that is a generator: it runs when its answer is read."""

    def __init__(self) -> None:
        self.ended = 0

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Generator[bytes, None, None]:
        try:
            if environ["PATH_INFO"] == "/bug":
                raise LookupError("lost")
            body = sync_wix_of(environ).get("/x").content
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield body
            if environ["PATH_INFO"] == "/late":
                raise Unauthenticated
            yield b"!"
        finally:
            self.ended += 1


def test_refusal_of_a_generator_is_an_answer(wix: Wix, fake: FakeWix) -> None:
    """An app that runs only when its answer is read is answered for as any other (PEP 3333)."""
    site = Site(WixWSGIMiddleware(Steps(), wix), fake)
    site.install()
    nobody, called = call(site.app, "/x"), site.open("/x")
    with pytest.raises(Unauthenticated):
        site.open("/late")
    with pytest.raises(LookupError) as caught:
        call(site.app, "/bug")

    assert (401, "no_identity") == (nobody.status, json.loads(nobody.body)["error"])
    assert (200, b"}!") == (called.status, called.body[-2:])
    assert [] == [entry.path for entry in caught.traceback if "wix_asgi" in str(entry.path)]


def test_generator_is_closed(wix: Wix, fake: FakeWix) -> None:
    """A server that gives up an answer closes the app's generator, as without us (PEP 3333)."""
    steps = Steps()
    site = Site(WixWSGIMiddleware(steps, wix), fake)
    site.install()
    environ = site.open("/x").environ
    start_response: Any = lambda *_: sys.stdout.write  # noqa: E731
    parts: Any = site.app(environ, start_response)
    first = next(parts)
    before = steps.ended
    parts.close()

    assert first.endswith(b"}")
    assert (1, 2) == (before, steps.ended)


def test_any_bytes_may_be_in_an_address(served: WixWSGIMiddleware) -> None:
    """Bytes that are no text, in a path or a query, are no error of ours."""
    answers = [call(served, target) for target in ("/\xff?a=\xff", "/wix/callback?code=\xff")]

    assert [401, 400] == [answer.status for answer in answers]


def test_bugs_of_the_app_pass(served: WixWSGIMiddleware) -> None:
    """Other errors reach the server, without frames of ours."""
    with pytest.raises(LookupError) as caught:
        call(served, "/bug")

    assert [] == [entry.path for entry in caught.traceback if "wix_asgi" in str(entry.path)]


def test_secrets_are_masked_in_the_environment(served: WixWSGIMiddleware, fake: FakeWix) -> None:
    """Servers and trackers read no code, state, token or cookie of ours there (R35)."""
    site = Site(served, fake)
    installed = site.install()
    keys = ("QUERY_STRING", "RAW_URI", "HTTP_COOKIE")
    shown = {key: installed.environ[key] for key in keys}

    assert "code=***" in shown["QUERY_STRING"]
    assert shown["RAW_URI"] == f"/wix/callback?{shown['QUERY_STRING']}"
    assert shown["HTTP_COOKIE"].endswith("=***")


def test_target_without_a_query_stays(served: WixWSGIMiddleware) -> None:
    """An access log has no question mark that nobody sent."""
    answer = call(served, "/wix/webhook", method="POST", body=b"x", RAW_URI="/wix/webhook")

    assert "/wix/webhook" == answer.environ["RAW_URI"]


def test_path_that_is_taken_for_ours_stays_the_apps(
    served: WixWSGIMiddleware, caplog: pytest.LogCaptureFixture
) -> None:
    """A path with a slash too many is the app's, and a line says what to enter at Wix."""
    answer = call(served, "/wix/install/")

    assert 401 == answer.status
    assert "differs from" in caplog.text


async def test_event_reaches_its_handler(
    wix: Wix, served: WixWSGIMiddleware, fake: FakeWix
) -> None:
    """A webhook is answered at once, and handled on the portal."""
    handled: list[WebhookEvent] = []
    done = threading.Event()

    @wix.on("PaidPlanPurchased")
    async def note(event: WebhookEvent) -> None:
        handled.append(event)
        done.set()

    await anyio.to_thread.run_sync(Site(served, fake).install)
    told = await anyio.to_thread.run_sync(
        lambda: call(
            served,
            "/wix/webhook",
            method="POST",
            body=fake.webhook_token("PaidPlanPurchased", SITE).encode(),
            CONTENT_TYPE="text/plain",
        )
    )
    assert await anyio.to_thread.run_sync(done.wait, PATIENCE)

    assert 200 == told.status
    assert [SITE] == [event.instance_id for event in handled]


async def unfinished() -> set[asyncio.Task[Any]]:
    """Return the tasks of WSGI requests that have no end, on the portal."""
    tasks = {
        task
        for task in asyncio.all_tasks()
        if "WixWSGIMiddleware" in getattr(task.get_coro(), "__qualname__", "")
    }
    return (await asyncio.wait(tasks, timeout=PATIENCE))[1] if tasks else tasks


def test_answer_that_nobody_reads_keeps_no_task(served: WixWSGIMiddleware, fake: FakeWix) -> None:
    """Our paths are answered before their answers are read: a test client may read none."""
    started: list[str] = []

    def start_response(status: str, *_: object) -> Any:
        started.append(status)
        return sys.stdout.write

    for target in ("/wix/callback", f"/wix/install?token={fake.install_token(SITE)}"):
        environ = call(served, target).environ
        served(environ, start_response)

    assert ["400 Bad Request", "303 See Other"] == started
    assert set() == portal().call(unfinished)


def test_server_that_refuses_an_answer_keeps_no_task(served: WixWSGIMiddleware) -> None:
    """An error of the server amid an answer passes, and ends the work for it."""
    environ = call(served, "/wix/install").environ

    def refuse(*_: object) -> Any:
        raise LookupError("no such header")

    with pytest.raises(LookupError):
        list(served(environ, refuse))

    assert set() == portal().call(unfinished)


class Cut(io.BytesIO):
    """The body of a client that hung up: shorter than its Content-Length."""


def test_body_that_is_cut_off_ends(served: WixWSGIMiddleware) -> None:
    """A client that hangs up amid the body of an event keeps no thread, and gets no answer."""
    environ: dict[str, Any] = {"wsgi.input": Cut(b"abc"), "CONTENT_LENGTH": "1000"}
    answer = call(served, "/wix/webhook", method="POST", **environ)

    assert (0, b"") == (answer.status, answer.body)


@pytest.mark.parametrize("answers", [True, False])
async def test_answer_of_our_paths_ends(*, answers: bool) -> None:
    """The server's thread is told of the end where a client that hung up gets no answer."""
    parts = iter([b"a", b""])
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": next(parts), "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def own(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] == "http.request":
            pass
        if answers:
            await Response("x")(scope, receive, send)

    await _answering(own, {"type": "http"}, [])({}, receive, send)
    whole = ["http.response.start", "http.response.body"]

    assert (whole if answers else ["http.response.disconnect"]) == sent


def test_our_paths_are_answered_on_the_portal() -> None:
    """Its event loop is the one that a2wsgi is given."""

    async def get_both() -> tuple[object, object]:
        return await _running_loop(), asyncio.get_running_loop()

    given, running = asyncio.run(get_both())

    assert running is given


def test_events_left_behind_are_handled_from_the_first_request_on(
    wix: Wix, served: WixWSGIMiddleware
) -> None:
    """The first request of a process opens its Wix, and does not wait for that."""
    answer = call(served, "/plain")
    portal().call(wix.open)

    assert 200 == answer.status
    assert wix.is_open


def test_settings_are_checked_at_once(fake: FakeWix) -> None:
    """Mistakes stop the import of the app; a Wix and its keywords are not given together."""
    with pytest.raises(SettingsError):
        WixWSGIMiddleware(app)
    with pytest.raises(TypeError, match="not both"):
        WixWSGIMiddleware(app, make_wix(fake), app_id="another")


def test_extra_is_named_where_it_is_missing(fake: FakeWix, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a2wsgi the error says what to install."""
    monkeypatch.setitem(sys.modules, "a2wsgi", None)
    with pytest.raises(ImportError, match=r'pip install "wix-asgi\[wsgi\]"'):
        WixWSGIMiddleware(app, make_wix(fake))


def test_missing_middleware_is_told() -> None:
    """A view without the middleware in front says how to add it."""
    with pytest.raises(MiddlewareMissing, match="WixWSGIMiddleware is not in front"):
        sync_wix_of({})
