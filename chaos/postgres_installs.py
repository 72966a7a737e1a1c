"""Installs of several sites at once, over the whole app."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

from starlette.types import ASGIApp

from tests.backends.support import connections_in_use, try_for
from tests.handshake.handshaking import app_of
from tests.support import Browser, make_wix
from wix_asgi._http import httpx
from wix_asgi.errors import StorageUnavailable
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.testing import FakeWix
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage

__all__ = ["POOL", "TOKEN_INFO", "Installs", "Storage", "installing"]

POOL: Final = 10
TOKEN_INFO: Final = "/oauth2/token-info"
_ACCESS: Final = "/oauth/access"
_AFTER_FAILURE: Final = 0.1
_UNDER_WAY: Final = "202"
_JSON: Final = {"Accept": "application/json"}


class Storage(PostgresStorage):
    """A storage of a few connections whose patience a scenario has in hand."""

    def __init__(self, url: str, total: float) -> None:
        """Try each operation for `total` seconds."""
        retry = Retry(total=total, sleep=self._pause)
        super().__init__(parse_url(f"{url}&pool_size={POOL}"), retry=retry)
        self._patience = total
        self._ends_at = math.inf

    def give_up_after(self, total: float) -> None:
        """Try each operation for `total` seconds from now on, operations under way included."""
        try_for(self, total)
        self._ends_at = time.monotonic() + total

    async def release(self, name: str, owner: str) -> None:
        """Free a claim; how long the server takes to come back must not decide about that."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return await super().release(name, owner)
            except StorageUnavailable:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(_AFTER_FAILURE)

    async def _pause(self, seconds: float) -> None:
        if time.monotonic() >= self._ends_at:
            raise TimeoutError
        await asyncio.sleep(seconds)


class Installs:
    """Sites on which the app is being installed, each in a browser of its own.

    Attributes:
        longest: The seconds of the load that took the most.
        left: How many connections were not given back when the app was closed.
    """

    def __init__(self, app: ASGIApp, fake: FakeWix, storage: Storage) -> None:
        self.fake: Final = fake
        self.storage: Final = storage
        self.longest = 0.0
        self.left = 0
        self._browsers = {site: Browser(app) for site in fake.sites}
        self._urls: dict[str, str] = {}
        self._told: set[str] = set()
        self._loading: asyncio.Future[list[str]] | None = None

    def __len__(self) -> int:
        return len(self._browsers)

    @property
    def exchanges(self) -> int:
        """How many codes Wix was asked to exchange."""
        return self.fake.count(_ACCESS)

    async def begin(self) -> None:
        """Begin an install on each site, up to the address to which Wix leads back."""
        for site, browser in self._browsers.items():
            self._urls[site] = self.fake.approve(await browser.begin(self.fake, site))

    def start(self) -> None:
        """Begin to load this address in all browsers at once."""
        self._loading = asyncio.gather(*map(self._load, self._urls))

    async def answers(self) -> dict[str, int]:
        """Return how often each answer was given to these loads."""
        assert self._loading is not None
        return Counter(await self._loading)

    async def load(self) -> dict[str, int]:
        """Load this address again in all browsers, until no install is said to be under way."""
        return Counter(await asyncio.gather(*map(self._load_to_the_end, self._urls)))

    async def rows(self) -> set[str]:
        """Return the sites that are stored."""
        stored = await self.storage.scan(self.fake.app_id, limit=len(self) + 1)
        return {row.instance_id for row in stored}

    async def on_paper(self) -> int:
        """Return how many sites were told of a success that is not stored."""
        return len(self._told - await self.rows())

    async def _load_to_the_end(self, site: str) -> str:
        while True:
            answer = await self._load(site)
            if answer != _UNDER_WAY:
                return answer
            await asyncio.sleep(_AFTER_FAILURE)

    async def _load(self, site: str) -> str:
        began = time.monotonic()
        answer = await self._browsers[site].http.get(self._urls[site], headers=_JSON)
        self.longest = max(self.longest, time.monotonic() - began)
        if answer.status_code == 303:
            self._told.add(site)
        return _in_short(answer)


def _in_short(answer: httpx.Response) -> str:
    if answer.status_code < 400:
        return str(answer.status_code)
    again = " Retry-After" if "Retry-After" in answer.headers else ""
    return f"{answer.status_code} {answer.json()['error']}{again}"


@contextlib.asynccontextmanager
async def installing(
    url: str, sites: int, total: float, policy: CallbackPolicy
) -> AsyncIterator[Installs]:
    """Give the installs on `sites` sites of a new fake Wix, kept at `url` by a `Storage`."""
    fake = FakeWix(sites={str(uuid.uuid4()): "A site" for _ in range(sites)})
    async with Storage(url, total) as storage:
        async with make_wix(fake, storage=storage) as wix:
            installs = Installs(app_of(wix, fake, policy=policy), fake, storage)
            yield installs
        # The app has waited for the background tasks of the installs.
        installs.left = connections_in_use(storage)
