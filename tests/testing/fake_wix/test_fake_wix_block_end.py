"""The end of `FakeWix.active`: the work of its apps ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from flask import Flask
from starlette.applications import Starlette

from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi import Wix, WixMiddleware, WixWSGIMiddleware
from wix_asgi.concurrency.portal import portal
from wix_asgi.flask import wix as wix_of_request
from wix_asgi.testing import FakeWix


async def tasks_here() -> set[asyncio.Task[Any]]:
    """Return the tasks of the running event loop, without the one that asks."""
    return asyncio.all_tasks() - {task for task in [asyncio.current_task()] if task}


@contextlib.contextmanager
def left_by_none(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail where a block leaves a task on the portal, or a line above INFO in the log."""
    before = portal().call(tasks_here)
    with caplog.at_level(logging.WARNING, "wix_asgi"):
        yield
        left = portal().call(tasks_here) - before

    assert set() == left
    assert [] == caplog.records


def create_app(wix: Wix) -> Flask:
    """Return an app of Flask with one page."""
    app = Flask("app")
    app.wsgi_app = WixWSGIMiddleware(app.wsgi_app, wix)  # type: ignore[method-assign] # Flask's way

    @app.get("/products")
    def products() -> Any:
        return wix_of_request.post("/stores/v1/products/query", json={}).json()

    return app


def ask(app: Flask, fake: FakeWix) -> int:
    """Open the page as the owner of a site, and return the status."""
    fake.mark_installed(SITE)
    return app.test_client().get("/products", headers=fake.caller(SITE).headers).status_code


def test_on_install_that_is_owed_ends(caplog: pytest.LogCaptureFixture) -> None:
    """A hook that waits for a callback when the block ends is not called, and tells nothing."""
    told: list[str] = []
    with left_by_none(caplog), FakeWix().active() as fake:
        wix = Wix()

        @wix.on_install
        def note(installation: Any) -> None:
            told.append(installation.instance_id)

        status = ask(create_app(wix), fake)

    assert (200, [], False) == (status, told, wix.is_open)


def test_handlers_of_events_end(caplog: pytest.LogCaptureFixture) -> None:
    """A handler under way ends with the block, and its worker takes no more events."""
    begun, ended = threading.Event(), threading.Event()
    with left_by_none(caplog), FakeWix().active() as fake:
        wix = Wix()

        @wix.on("PaidPlanPurchased")
        async def note(event: Any) -> None:
            begun.set()
            await event.client.post("/stores/v1/products/query", json={})
            ended.set()

        fake.mark_installed(SITE)
        app = create_app(wix)
        answer = anyio.run(fake.send_event, app, "PaidPlanPurchased", SITE)
        assert begun.wait(PATIENCE)

    assert (200, True, False) == (answer.status_code, ended.is_set(), wix.is_open)


def test_an_app_of_wsgi_lives_longer_than_a_block(caplog: pytest.LogCaptureFixture) -> None:
    """The app of a module opens again in the next block, and handles its events there."""
    handled = threading.Semaphore(0)
    with FakeWix().active():
        wix = Wix()
        app = create_app(wix)

    @wix.on("PaidPlanPurchased")
    def note(_event: Any) -> None:
        handled.release()

    for _ in range(2):
        with left_by_none(caplog), FakeWix().active() as fake:
            status = ask(app, fake)
            anyio.run(fake.send_event, app, "PaidPlanPurchased", SITE)
            assert handled.acquire(timeout=PATIENCE)

        assert (200, False) == (status, wix.is_open)


async def test_an_app_of_the_event_loop_itself_ends(caplog: pytest.LogCaptureFixture) -> None:
    """A block inside of async code ends the work after it, with the storage of the block."""
    going_on, ended = anyio.Event(), anyio.Event()
    with caplog.at_level(logging.WARNING, "wix_asgi"):
        with FakeWix().active() as fake:
            wix, begun = Wix(), anyio.Event()

            @wix.on("PaidPlanPurchased")
            async def note(event: Any) -> None:
                begun.set()
                await going_on.wait()
                await event.client.post("/stores/v1/products/query", json={})
                ended.set()

            fake.mark_installed(SITE)
            app = WixMiddleware(Starlette(), wix)
            await wix.open()
            await fake.send_event(app, "PaidPlanPurchased", SITE)
            with anyio.fail_after(PATIENCE):
                await begun.wait()
        going_on.set()
        with anyio.fail_after(PATIENCE):
            while wix.is_open:  # noqa: ASYNC110 - nothing else tells of it
                await anyio.sleep(0.001)
            await ended.wait()

    assert [] == caplog.records


async def test_an_inner_block_leaves_the_apps_of_an_outer_one_open() -> None:
    """An app that was opened before goes on after the end of an inner block."""
    with FakeWix().active():
        async with Wix() as wix:
            with FakeWix().active() as inner:
                inner.mark_installed(SITE)
                await wix.client(SITE).get("/apps/v1/instance")
            await anyio.lowlevel.checkpoint()
            is_open = wix.is_open

    assert is_open


def test_an_app_on_two_event_loops_ends_on_both(caplog: pytest.LogCaptureFixture) -> None:
    """The portal's tasks end, too, where the app was opened and closed by another event loop."""
    with left_by_none(caplog), asyncio.Runner() as runner, FakeWix().active() as fake:
        wix = Wix()

        @wix.on_install
        def note(installation: Any) -> None:
            raise LookupError(installation.instance_id)

        runner.run(wix.open())
        status = ask(create_app(wix), fake)

    assert (200, False) == (status, wix.is_open)
