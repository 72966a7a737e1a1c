"""WSGI apps of the test's process: installs, and deliveries of events."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import anyio
import pytest
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.limits import PATIENCE
from tests.support import SITE, make_wix
from wix_asgi import Wix, WixWSGIMiddleware
from wix_asgi._http import httpx
from wix_asgi.concurrency.portal import portal
from wix_asgi.events import PaidPlanPurchased
from wix_asgi.testing import FakeWix


@pytest.fixture(name="wix")
def _wix(fake: FakeWix) -> Iterator[Wix]:
    wix = make_wix(fake, public_key=fake.public_key, webhook_path="/events")
    yield wix
    portal().call(wix.aclose)


@pytest.fixture(name="app")
def _app(wix: Wix) -> Flask:
    app = Flask("app")
    middleware = WixWSGIMiddleware(app.wsgi_app, wix)
    app.wsgi_app = ProxyFix(middleware)  # type: ignore[method-assign] # Flask's way to add one
    return app


async def test_events_reach_an_app_of_flask(app: Flask, wix: Wix, fake: FakeWix) -> None:
    """A Flask app has its events, at the path of its settings, through the middlewares in front."""
    handled: list[str] = []
    done = threading.Event()

    @wix.on(PaidPlanPurchased)
    def note(event: PaidPlanPurchased) -> None:
        handled.append(event.instance_id)
        done.set()

    site = await fake.install(app)
    told = await fake.send_event(app, "PaidPlanPurchased", site)
    elsewhere = await fake.send_event(app, "PaidPlanPurchased", site, path="/wix/webhook")
    assert await anyio.to_thread.run_sync(done.wait, PATIENCE)

    assert [200, 404] == [told.status_code, elsewhere.status_code]
    assert [site] == handled


async def test_forgery_is_refused_by_a_wsgi_app(app: Flask, fake: FakeWix) -> None:
    """The status of a refusal comes back, with its headers."""
    answer = await fake.deliver(app.wsgi_app, fake.forge_event("alg_none"))

    assert (401, "no-store") == (answer.status_code, answer.headers["Cache-Control"])


async def test_wsgi_app_that_raises_answers_500(wix: Wix, fake: FakeWix) -> None:
    """Wix sees no exception, but a failure to be repeated, as of an ASGI app."""

    def broken(_environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        raise LookupError("lost")

    answer = await fake.send_event(WixWSGIMiddleware(broken, wix), "x", SITE, path="/elsewhere")

    assert 500 == answer.status_code
    assert [True] == [delivery.is_failure for delivery in fake.deliveries]


async def test_wsgi_app_without_an_answer_is_given_up(wix: Wix, fake: FakeWix) -> None:
    """A delivery waits for `delivery_timeout` seconds of real time, whatever the thread does."""
    fake.delivery_timeout = 0.05
    given_up = threading.Event()

    def silent(_environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        given_up.wait(PATIENCE)
        start("200 OK", [])
        return []

    with pytest.raises(httpx.ReadTimeout):
        await fake.send_event(WixWSGIMiddleware(silent, wix), "x", SITE, path="/elsewhere")
    given_up.set()

    assert [0] == [delivery.status for delivery in fake.deliveries]


@pytest.mark.parametrize("target", [Flask("bare"), object()], ids=["flask", "object"])
async def test_target_without_a_wix_is_an_error(target: Any, fake: FakeWix) -> None:
    """A WSGI app without the middleware is told apart, instead of a 500 for each event."""
    with pytest.raises(TypeError, match="nor a WSGI app with a WixWSGIMiddleware"):
        await fake.send_event(target, "x", SITE)
