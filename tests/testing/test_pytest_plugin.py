"""The fixtures for pytest, in a project that has installed wix-asgi."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.limits import PATIENCE

MAIN = """
import logging
from contextlib import asynccontextmanager
from fastapi import FastAPI, Request
from wix_asgi import WixMiddleware
from wix_asgi.fastapi import WixDep

app = FastAPI()
app.add_middleware(WixMiddleware)

@app.get("/site")
async def site(request: Request, wix: WixDep):
    if "leak" in request.query_params:
        logging.getLogger("app").info("called %s", request.headers["authorization"])
    return (await wix.get("/apps/v1/instance")).json()
"""
FINE = """
import pytest
from starlette.testclient import TestClient
from wix_asgi.testing import FakeWix
from main import app

@pytest.fixture
def browser(fake_wix):
    with TestClient(app) as browser:
        yield browser

@pytest.mark.parametrize("times", [1, 2])
def test_site(browser, fake_wix, wix_caller, wix_site, times):
    assert browser.get("/site").status_code == 401
    for _ in range(times):
        answer = browser.get("/site", headers=wix_caller.headers)
        assert answer.json()["instance"]["instanceId"] == wix_site
    assert len(fake_wix.calls) == times + 2  # the first token asks whose it is

def test_time_travel(browser, fake_wix, wix_caller):
    for _ in range(2):
        assert browser.get("/site", params=wix_caller.params).status_code == 200
        fake_wix.clock.advance(14_401)
    assert fake_wix.count("/oauth2/token") == 2

@pytest.mark.anyio
async def test_install(fake_wix, assert_no_secrets_leaked, tmp_path):
    site = await fake_wix.install(app)
    (tmp_path / "notes.txt").write_text(site)
    print(site)
    assert_no_secrets_leaked(site)
    with pytest.raises(AssertionError, match="a signed instance"):
        assert_no_secrets_leaked(fake_wix.signed_instance(site))

def test_without_fixtures():
    pass
"""
LEAKING = """
import logging
import anyio
from starlette.testclient import TestClient
from wix_asgi import Wix
from wix_asgi.models import Record
from main import app

def test_logged(assert_no_secrets_leaked, wix_caller):
    with TestClient(app) as browser:
        browser.get("/site?leak=1", headers=wix_caller.headers)

def test_raised(assert_no_secrets_leaked, fake_wix):
    try:
        raise ValueError(fake_wix.issue_access_token())
    except ValueError:
        logging.exception("failed")

def test_printed(assert_no_secrets_leaked, fake_wix):
    print(fake_wix.app_secret)

def test_written(assert_no_secrets_leaked, fake_wix, tmp_path):
    (tmp_path / "tokens.txt").write_text(fake_wix.issue_refresh_token())

def test_stored(assert_no_secrets_leaked, fake_wix):
    async def main():
        async with Wix() as wix:
            token = fake_wix.issue_refresh_token().encode()
            await wix.storage.put(Record(
                app_id=fake_wix.app_id, instance_id="site", version="1", refresh_token=token
            ))
    anyio.run(main)
"""
INERT = """
import sys

def test_nothing_is_imported():
    assert "pytest_wix_asgi" in sys.modules
    assert not [name for name in sys.modules if name.partition(".")[0] in ("wix_asgi", "httpx")]
"""


def run(room: Path, tests: str, env: Mapping[str, str] = os.environ) -> str:
    """Run the tests of a project beside its app; return the output of pytest."""
    (room / "main.py").write_text(MAIN, "utf-8")
    (room / "test_app.py").write_text(tests, "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-rfE"]
    # These two import httpx by themselves.
    command += ["-p", "no:pytest_httpx", "-p", "no:respx"]
    done = subprocess.run(
        command, cwd=room, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.stdout + done.stderr


def test_the_fixtures_serve_an_app(tmp_path: Path) -> None:
    """The same app of a module is good for several tests, sync and async, with time travel."""
    output = run(tmp_path, FINE)

    assert " 6 passed" in output, output


@pytest.mark.shows_secrets("the tests of the project leak them on purpose")
def test_leaks_are_found(tmp_path: Path) -> None:
    """A secret in the log, in a traceback, in the output, in a file or in a storage is told."""
    output = run(tmp_path, LEAKING)

    assert " 5 failed" in output, output
    for told in (
        "a signed instance, or another token with claims in the log",
        "an access token in the log",
        "the app secret in the output",
        "an authorization code or a refresh token in tokens.txt",
        "an authorization code or a refresh token in the storage",
    ):
        assert f"Secrets were leaked: {told}" in output, output


def test_the_plugin_is_inert(tmp_path: Path) -> None:
    """A run without the fixtures imports neither wix-asgi nor httpx."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    output = run(tmp_path, INERT, env)

    assert " 1 passed" in output, output
