"""What tests of the handshake and of the client share: an app, a fake Wix, and a browser."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar, Unpack, cast

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.limits import PATIENCE
from wix_asgi import Wix, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.storage import EventStorage, Storage
from wix_asgi.testing import FakeWix
from wix_asgi.wix import WixOptions
from wix_asgi_backends.memory import MemoryStorage

PUBLIC_URL = "https://app.example.com"
SITE = "1f0c7a52-3b7e-4c0e-9a51-0b6f6a1e5d01"
"""The first of the fake Wix's demo sites."""


async def echo(request: Request) -> Response:
    """Ask Wix for what was asked of us, as the calling site."""
    answer = await request.state.wix.get(request.query_params.get("path", "/echo"))
    return JSONResponse(answer.json(), answer.status_code)


def make_app() -> Starlette:
    """Return an app of two routes: one that uses the client, and one that does not."""
    return Starlette(
        routes=[
            Route("/echo", echo, methods=["GET", "POST"]),
            Route("/plain", lambda _: PlainTextResponse("plain")),
        ]
    )


def make_wix(fake: FakeWix, **options: Unpack[WixOptions]) -> Wix:
    """Return a Wix that speaks to `fake` in process, in memory unless told otherwise.

    From then on `fake` answers calls to `/echo` and `/x` with an echo.
    """
    fake.echo("/echo")
    fake.echo("/x")
    settings: WixOptions = {
        "public_url": PUBLIC_URL,
        "storage": "memory://",
        "transport": fake.transport,
        **fake.settings(),  # type: ignore[typeddict-item] # its keys are WixOptions
        **options,
    }
    return Wix(**settings)


S = TypeVar("S", bound=Storage)


def without_claim_owner(storage: type[S]) -> type[S]:
    """Return a third party's storage: it cannot tell the owner of a claimed name."""
    # None stands for a method that is not there, where a Protocol is checked (typing, PEP 544).
    return cast("type[S]", type(storage.__name__, (storage,), {"claim_owner": None}))


def without_add(storage: type[S]) -> type[S]:
    """Return a third party's storage of the release before: it adds nothing (`AddingStorage`)."""
    missing = "add", "add_and_get", "restore"
    return cast("type[S]", type(storage.__name__, (storage,), dict.fromkeys(missing)))


class StepByStep(MemoryStorage):
    """A third party's storage in memory, of the release before: no step is combined.

    It restores no dates.

    What is done in one step with a `CombiningStorage` is done in several with it, which a test can
    hold up or fail one by one.
    """

    put_and_get: Any = None
    add_and_get: Any = None
    claim_unchanged: Any = None
    replace_and_release: Any = None
    restore: Any = None


def without_inbox(storage: type[S], *missing: str) -> type[S]:
    """Return a third party's storage that lacks these methods of `EventStorage`, or all of them."""
    names = missing or [name for name in vars(EventStorage) if not name.startswith("_")]
    return cast("type[S]", type("TheirStorage", (storage,), dict.fromkeys(names)))


class Browser:
    """One browser with its cookies, as httpx keeps them: by host, path and Secure."""

    def __init__(
        self, app: object, *, base_url: str = PUBLIC_URL, cookies: httpx.Cookies | None = None
    ) -> None:
        """Browse `app` in process, with a copy of the `cookies` of another browser."""
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type] # any ASGI app
        self.http = httpx.AsyncClient(transport=transport, base_url=base_url, cookies=cookies)

    async def begin(self, fake: FakeWix, site: str = SITE) -> str:
        """Click on "Add to Site", or on an install link; return where the app sends the browser.

        In the external install flow, which has no tokens, the site is chosen at Wix.
        """
        is_external = os.environ.get("WIX_FLOW") == "client_credentials"
        params = {} if is_external else {"token": fake.install_token(site)}
        answer = await self.http.get("/wix/install", params=params)
        assert 303 == answer.status_code, answer.text
        return answer.headers["Location"]

    async def install(self, fake: FakeWix, site: str = SITE) -> httpx.Response:
        """Install the app on `site`; return the answer of the callback."""
        return await self.http.get(fake.approve(await self.begin(fake, site), instance_id=site))


class SlowHook:
    """A plain hook that notes what it is called with, and ends once it is told."""

    def __init__(self, answer: Response | None = None) -> None:
        self.told = threading.Event()
        self.events: list[Any] = []
        self.ended = 0
        self._answer = answer
        self._begun = threading.Semaphore(0)

    def __call__(self, event: object) -> Response | None:
        self.events.append(event)
        self._begun.release()
        assert self.told.wait(PATIENCE)
        self.ended += 1
        return self._answer

    async def has_begun(self, times: int = 1) -> None:
        """Wait until it was called so many times more."""
        for _ in range(times):
            assert await anyio.to_thread.run_sync(self._begun.acquire, True, PATIENCE)


@asynccontextmanager
async def running(fake: FakeWix, **options: Unpack[WixOptions]) -> AsyncIterator[WixMiddleware]:
    """Run the app of `make_app` behind a WixMiddleware, open for as long as the block lasts."""
    wix = make_wix(fake, **options)
    async with wix:
        yield WixMiddleware(make_app(), wix)
