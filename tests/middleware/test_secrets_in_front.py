"""What those in front of the middleware see of an install: its scope, its answer, its errors."""

from __future__ import annotations

from traceback import TracebackException, walk_tb
from typing import Any, NoReturn

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.handshake.handshaking import CLOSE_WINDOW, begin
from tests.support import SITE, Browser, running
from wix_asgi import WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix


class InFront:
    """A middleware that keeps each scope, and may try again or fail to send."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.tries = 1
        self.fails = False
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)

        for left in reversed(range(self.tries)):

            async def passing(message: Message, left: int = left) -> None:
                if self.fails:
                    raise OSError("the client is gone")
                if not left:
                    await send(message)

            await self.app(scope, receive, passing)


async def test_scope_is_masked_behind_an_install() -> None:
    """A log or a tracker in front that reads the scope at the end finds no secret in it (R52)."""
    fake = FakeWix()
    async with running(fake) as app:
        front = InFront(app)
        browser = Browser(front)
        answer = await browser.install(fake)

    shown = [repr(scope) for scope in front.scopes]
    assert 303 == answer.status_code
    assert f"code=***&instanceId={SITE}&state=***" == front.scopes[1]["query_string"].decode()
    assert "token=***" == front.scopes[0]["query_string"].decode()
    assert "wix-" in shown[1]
    assert [] == [text for text in shown for secret in secrets_of(browser, fake) if secret in text]


def secrets_of(browser: Browser, fake: FakeWix) -> list[str]:
    """Return the codes that Wix was asked about, and the cookies of the browser."""
    codes = [call.json["code"] for call in fake.calls if call.json and "code" in call.json]
    assert codes
    return [*codes, *browser.http.cookies.values()]


async def test_a_second_try_gets_the_same_parameters() -> None:
    """A middleware that tries again with the scope that it has gets the outcome again (R4, R52)."""
    fake = FakeWix()
    async with running(fake) as app:
        front = InFront(app)
        browser = Browser(front)
        url = await begin(browser, fake)
        front.tries = 2
        answer = await browser.http.get(url)

    assert answer.headers["Location"].startswith(CLOSE_WINDOW)


async def test_error_of_a_send_shows_no_answer() -> None:
    """An error in front of us keeps its lines, without the answer that leads to Wix (R35, R52)."""
    fake = FakeWix()
    async with running(fake) as app:
        front = InFront(app)
        browser = Browser(front)
        url = await begin(browser, fake)
        front.fails = True
        with pytest.raises(OSError, match="gone") as caught:
            await browser.http.get(url)

    shown = "".join(TracebackException.from_exception(caught.value, capture_locals=True).format())
    names = [frame.f_code.co_name for frame, _ in walk_tb(caught.value.__traceback__)]
    assert "passing" == names[-1]
    assert "access_token" not in shown


async def fail(scope: Scope, receive: Receive, send: Send) -> NoReturn:
    """Be an app with a bug."""
    raise LookupError("a bug of the app")


async def test_error_of_the_app_has_no_frame_of_ours(fake: FakeWix) -> None:
    """The app's error comes out as though there were no middleware in between (R52)."""
    async with running(fake) as app:
        outer = WixMiddleware(fail, app.wix)
        with pytest.raises(LookupError, match="bug") as caught:
            await httpx.AsyncClient(
                transport=httpx.ASGITransport(outer), base_url="https://app.example.com"
            ).get("/x")

    modules = [frame.f_globals["__name__"] for frame, _ in walk_tb(caught.value.__traceback__)]
    assert __name__ == modules[-1]
    assert "wix_asgi.middleware" not in modules
