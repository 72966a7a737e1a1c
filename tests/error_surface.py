"""Prints the messages of wix-asgi: of its errors, of its refusals and in its log.

A program of its own, which `test_optimized_python.py` runs with and without docstrings and asserts.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import anyio
from starlette.requests import Request

from tests.support import SITE, Browser, make_wix, running
from wix_asgi import WixClient, WixSettings, errors, get_wix, open_storage
from wix_asgi._http import httpx
from wix_asgi.errors import CallerReason, HandshakeRefused, Reason, Unauthenticated, UnknownKey
from wix_asgi.testing import FakeWix

ANYTHING_RANDOM = re.compile(r"incident [\w-]+|\"incident\":\"[\w-]+\"")


def say(name: str, message: str) -> None:
    """Print one message, in one line."""
    text = ANYTHING_RANDOM.sub("incident", message)
    sys.stdout.write(f"{name}: {text!r}\n")


class Printed(logging.Handler):
    """Prints the lines that wix-asgi logs."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.levelname, record.getMessage())


def bare() -> Iterator[Exception]:
    """Yield every error without a message of its own."""
    for name in errors.__all__:
        error = getattr(errors, name)
        if name not in {"CallerReason", "HandshakeRefused", "Reason", "UnknownKey"}:
            yield error()
    yield UnknownKey("0a1b2c3d")
    yield from map(HandshakeRefused, Reason)
    for reason in CallerReason:
        yield Unauthenticated(reason=reason)


def at_start() -> Iterator[Callable[[], Any]]:
    """Yield calls that fail when an app starts."""
    yield WixSettings.load
    yield lambda: WixSettings.load(app_id="your-app-id", app_secret='"lone', public_url="ftp://x")
    for url in ("", "mysql://host/db", "nosuch://host/db", "sqlite://x", "postgresql://u@h/d?x=y"):
        yield partial(open_storage, url)
    yield lambda: get_wix(Request({"type": "http"}))


def in_calls(client: WixClient, nobody: WixClient) -> Iterator[Callable[[], Awaitable[Any]]]:
    """Yield calls to Wix that fail."""
    yield lambda: nobody.get("/x")
    yield lambda: client.get("/x", headers={"Authorization": "mine"})
    yield lambda: httpx.AsyncClient(auth=client.auth).get("https://www.wixapis.com/x")
    yield lambda: anyio.to_thread.run_sync(httpx.Client(auth=client.auth).get, "http://127.0.0.1/")


async def main() -> None:
    """Print all messages."""
    for error in bare():
        say(type(error).__name__, str(error))
    for call in at_start():
        try:
            call()
        except errors.WixError as exc:
            say(type(exc).__name__, exc.message)
    fake = FakeWix()
    async with make_wix(fake) as wix:
        for ask in in_calls(wix.client(SITE), wix.client("2f0c7a52-3b7e-4c0e-9a51-0b6f6a1e5d02")):
            try:
                await ask()
            except (errors.WixError, RuntimeError) as exc:
                say(type(exc).__name__, str(exc))
    async with running(fake) as app:
        browser = Browser(app)
        browser.http.headers["Accept"] = "application/json"
        for path in ("/wix/callback", "/wix/callback?code=c&state=s", "/echo"):
            answer = await browser.http.get(path)
            say(f"{answer.status_code} {path}", answer.text)


logging.getLogger("wix_asgi").addHandler(Printed())
anyio.run(main)
