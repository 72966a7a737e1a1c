"""The Flask example in process, as an app of its kind is tested."""

from __future__ import annotations

import importlib
import logging
import threading

import anyio
import pytest
from flask import Flask

from tests.limits import PATIENCE
from tests.servers import ROOT
from wix_asgi.testing import DEMO_SITES, FakeCaller, FakeWix

BAKERY, YOGA, _ = DEMO_SITES


@pytest.fixture(name="flask_app")
def _flask_app(fake_wix: FakeWix, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.syspath_prepend(str(ROOT))
    app: Flask = importlib.import_module("examples.flask_app").create_app()
    return app


def test_flask_app_is_tested_in_process(flask_app: Flask, wix_caller: FakeCaller) -> None:
    """Its factory makes the app within a fake Wix, and a test client calls as a site."""
    browser = flask_app.test_client()
    called = browser.get("/products", headers=wix_caller.headers)
    nobody = browser.get("/products")

    assert called.json is not None
    assert (200, 3) == (called.status_code, called.json["totalResults"])
    assert 401 == nobody.status_code


def test_flask_app_has_its_events_in_process(
    flask_app: Flask, fake_wix: FakeWix, caplog: pytest.LogCaptureFixture
) -> None:
    """Sync tests install the app and send it an event."""
    messages: list[str] = []
    handled = threading.Event()

    def note(record: logging.LogRecord) -> bool:
        if record.name == "examples.flask_app":
            messages.append(record.getMessage())
            handled.set()
        return True

    caplog.handler.addFilter(note)
    with caplog.at_level(logging.INFO, "examples.flask_app"):
        site = anyio.run(fake_wix.install, flask_app)
        told = anyio.run(fake_wix.send_event, flask_app, "PaidPlanPurchased", site)
        assert handled.wait(PATIENCE)

    assert 200 == told.status_code
    assert ["Corner Bakery bought the plan premium"] == [it.partition(" (")[0] for it in messages]


def test_flask_command_prints_the_sites(flask_app: Flask, fake_wix: FakeWix) -> None:
    """It leaves out a site that has removed the app, and takes no event of the app."""
    for site in (BAKERY, YOGA):
        anyio.run(fake_wix.install, flask_app, site)
    fake_wix.uninstall(BAKERY)
    fake_wix.expire_access_tokens()
    printed = flask_app.test_cli_runner().invoke(args=["sites"])

    assert (0, f"{YOGA} 3\n") == (printed.exit_code, printed.output)


def test_flask_app_is_told_that_wix_is_down(
    flask_app: Flask, fake_wix: FakeWix, wix_caller: FakeCaller
) -> None:
    """Without tokens its page answers 503; a 503 of Wix's API is an error of the app itself."""
    browser = flask_app.test_client()
    fake_wix.fail("/oauth*", times=None)
    without_token = browser.get("/products", headers=wix_caller.headers)
    fake_wix.heal()
    fake_wix.fail("/stores/*", times=None)
    without_answer = browser.get("/products", headers=wix_caller.headers)
    fake_wix.heal()
    again = browser.get("/products", headers=wix_caller.headers)

    statuses = [answer.status_code for answer in (without_token, without_answer, again)]
    assert [503, 500, 200] == statuses
