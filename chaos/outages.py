"""A Wix whose token endpoint fails for a minute, while an app goes on calling its API."""

from __future__ import annotations

import contextlib
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import anyio

from chaos.figures import Figure, at_most, exactly, noted
from chaos.installed import ACCESS, LIFETIME, install, installations
from chaos.outages_many import crowd
from chaos.proxy import Fault, Kind, Proxy, address_of
from chaos.stores import KINDS as STORES
from chaos.stores import Stores
from tests.support import PUBLIC_URL
from wix_asgi import Wix
from wix_asgi._http import httpx
from wix_asgi.errors import WixError
from wix_asgi.storage import open_storage
from wix_asgi.testing import DEMO_SITES, FakeWix
from wix_asgi.testing.fake_wix.clock import Clock
from wix_asgi.transport.pooled import PoolTransport

__all__ = ["ANSWERS", "BROKEN", "Times", "measure", "outages"]

logger = logging.getLogger(__name__)

SITE, *_ = DEMO_SITES
_A_SECOND: Final = 5
_PATIENCE: Final = 30.0
_TEN_MINUTES: Final = 600.0
Heal = Callable[[], Awaitable[None]]

_JSON: Final = {"Content-Type": "application/json"}
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "503": {"status": 503},
    "503 with Retry-After": {"status": 503, "headers": {"Retry-After": "2"}},
    "429 with Retry-After": {"status": 429, "headers": {"Retry-After": "2"}},
    "HTML": {"status": 200, "body": "<html>down</html>", "headers": {"Content-Type": "text/html"}},
    "half of a JSON": {"status": 200, "body": '{"access_token": "ey', "headers": _JSON},
    "JSON without a token": {"status": 200, "body": {"expires_in": 300}},
}
"""The answers of the failing token endpoint."""

BROKEN: Final[dict[str, Kind]] = {
    "reset": "reset_before",
    "an answer cut off": "truncate",
    "hanging": "hang",
    "an answer dropped": "drop_answer",
}
"""The faults of the connection on which the token endpoint is asked."""


class _ImpatientTransport(PoolTransport):
    """A pool that waits `read` seconds for an answer of the token endpoint.

    Calls of the app keep their own timeouts, which a busy machine may need.
    """

    def __init__(self, read: float) -> None:
        super().__init__()
        self._read = read

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == ACCESS:
            timeouts = {**request.extensions.get("timeout", {}), "read": self._read}
            request.extensions = {**request.extensions, "timeout": timeouts}
        return await super().handle_async_request(request)


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds of a scenario.

    Attributes:
        left: How long the token still lives when the outage begins.
        outage: How long the outage lasts. A call fails if this ends after the token does, so on a
            busy machine there have to be seconds between the two.
        lifetime: How long the token was to live when it was granted, which decides how long before
            its end it is refreshed.
        read: How long an answer of the token endpoint is awaited; None for the usual timeout.
    """

    left: float = 61.0
    outage: float = 60.0
    lifetime: float = LIFETIME
    read: float | None = None

    @property
    def most_calls(self) -> int:
        """How often the token endpoint may be asked for one installation meanwhile.

        A failed refresh is followed by a pause of 2.5 s at least, and has three tries; all the
        repeats of a process have a budget of ten and of one for every five calls.
        """
        refreshes = 1 + int(self.outage / 2.5)
        return min(3 * refreshes, int((refreshes + 10) / 0.8))


@dataclass
class Seen:
    """The outcome of the calls of an app, and of the refreshes they led to."""

    served: int = 0
    failed: list[str] = field(default_factory=list)
    asked: int = 0
    asked_later: int = 0
    longest: float = 0.0
    back: float = 0.0


@dataclass
class _App:
    """An app on one site, at a fake Wix of its own."""

    fake: FakeWix
    clock: Clock
    wix: Wix
    options: dict[str, Any]
    times: Times
    proxy: Proxy
    dies_at: float = math.inf
    kept_from_wix: bool = False
    seen: Seen = field(default_factory=Seen)

    @property
    def asked(self) -> int:
        """How often Wix was asked for a token, whether or not it came to hear of it."""
        kept_from_it = self.proxy.struck if self.kept_from_wix else 0
        return self.fake.count(ACCESS, grant_type="refresh_token") + kept_from_it

    async def install(self, url: str) -> None:
        """Store a token that is soon over, for the store and for Wix."""
        left, lifetime = self.times.left, self.times.lifetime
        self.dies_at = monotonic() + left
        async with open_storage(url) as storage:
            stored = installations(self.fake, storage, self.options)
            await install(self.fake, stored, SITE, lifetime=lifetime, left=left)
        self.clock.advance(LIFETIME - left)

    async def call(self) -> None:
        """Call the API once."""
        began = monotonic()
        try:
            answer = await self.wix.client(SITE).get("/apps/v1/instance")
            answer.raise_for_status()
            self.seen.served += 1
        except (httpx.HTTPError, WixError) as exc:
            self.seen.failed.append(type(exc).__name__)
        self.seen.longest = max(self.seen.longest, monotonic() - began)

    async def go_on_until(self, end: float) -> None:
        """Call five times a second, whether or not the calls before were answered."""
        async with anyio.create_task_group() as tasks:
            while monotonic() < end:
                tasks.start_soon(self.call)
                await anyio.sleep(1 / _A_SECOND)

    async def live_through(self, heal: Heal) -> None:
        """Go on through the outage that has begun, and until there is a new token after it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.go_on_until, self.dies_at)
            await anyio.sleep(self.times.outage)
            self.seen.asked = self.asked
            await heal()
            healed = monotonic()
        served, end = self.seen.served, healed + _PATIENCE
        while self.seen.served == served and monotonic() < end:
            await self.call()
            await anyio.sleep(1 / _A_SECOND)
        self.seen.back = monotonic() - healed
        self.seen.asked_later = self.asked - self.seen.asked


@contextlib.asynccontextmanager
async def _app(name: str, url: str, times: Times) -> AsyncIterator[_App]:
    """Serve a fake Wix behind a proxy, to an app of this name in the store at `url`."""
    clock = Clock()
    fake = FakeWix(app_id=name.replace(" ", "-"), clock=clock)
    with fake.serve() as served:
        async with Proxy(address_of(served)) as proxy:
            options = {**fake.settings(), "api_url": proxy.url, "public_url": PUBLIC_URL}
            options["storage"] = url
            async with _wix(options, times) as wix:
                app = _App(fake, clock, wix, options, times, proxy)
                await app.install(url)
                await app.call()
                yield app


@contextlib.asynccontextmanager
async def _wix(options: dict[str, Any], times: Times) -> AsyncIterator[Wix]:
    """Open a Wix, with a transport of its own where `times` bounds the wait for answers."""
    if times.read is None:
        async with Wix(**options) as wix:
            yield wix
        return
    async with (
        contextlib.aclosing(_ImpatientTransport(times.read)) as transport,
        Wix(**options, transport=transport) as wix,
    ):
        yield wix


async def _answering(name: str, url: str, times: Times, seen: dict[str, Seen]) -> None:
    async with _app(name, url, times) as app:
        app.fake.fail(ACCESS, times=None, **ANSWERS[name])

        async def heal() -> None:
            app.fake.heal()

        await app.live_through(heal)
    seen[name] = app.seen


async def _breaking(name: str, url: str, times: Times, seen: dict[str, Seen]) -> None:
    async with _app(name, url, times) as app:
        app.kept_from_wix = BROKEN[name] in {"reset_before", "hang"}
        await app.proxy.arm(Fault(BROKEN[name], b"POST /oauth/access ", times=None))
        await app.live_through(app.proxy.heal)
    seen[name] = app.seen


async def outages(kind: str, url: str, times: Times) -> list[Figure]:
    """Have every outage at once, each at a Wix of its own; return the outcome of the calls."""
    seen: dict[str, Seen] = {}
    async with anyio.create_task_group() as tasks:
        for name in ANSWERS:
            tasks.start_soon(_answering, name, url, times, seen)
        for name in BROKEN:
            tasks.start_soon(_breaking, name, url, times, seen)
    return list(_figures(kind, seen, times))


def _figures(kind: str, seen: dict[str, Seen], times: Times) -> Iterator[Figure]:
    of = f"an outage of {times.outage:.0f} s"
    for name in sorted(seen):
        asked, most = seen[name].asked, times.most_calls
        yield at_most(f"{of} ({name}): token calls", kind, asked, most)
    every = seen.values()
    failed = sorted(f"{name}: {error}" for name in seen for error in seen[name].failed)
    for error, times_seen in Counter(failed).items():
        logger.error("%s, %d times on %s", error, times_seen, kind)
    yield noted(f"{of}: calls served", kind, sum(one.served for one in every))
    yield exactly(f"{of}: calls failed", kind, len(failed), 0)
    later = max(one.asked_later for one in every)
    # The call that brings the token, and a call that is lost at the moment when the outage ends.
    yield at_most(f"{of}: token calls after it, of one site", kind, later, 2, timed=True)
    yield noted(f"{of}: the longest call, s", kind, max(one.longest for one in every))
    yield noted(f"{of}: a new token after it, s", kind, max(one.back for one in every))


def measure(stores: Stores) -> Iterator[Figure]:
    """Have outages of a minute on every store, and of ten with a thousand installations."""
    with stores.empty("sqlite") as url, ThreadPoolExecutor(1) as beside:
        # Beside those of a minute, which cost little and are over long before it is.
        longest = beside.submit(crowd, "sqlite", url, sites=1000, outage=_TEN_MINUTES)
        for kind in STORES:
            with stores.empty(kind) as other:
                yield from anyio.run(outages, kind, other, Times())
        yield from longest.result()
    for processes in (1, 4):
        with stores.empty("postgresql") as url:
            yield from crowd("postgresql", url, sites=1000, outage=10.0, processes=processes)
