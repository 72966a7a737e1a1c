"""Refreshes and honest installs while strangers load the callback, as often as they like.

Due refreshes stay fast, and every honest install succeeds or is told to come again with a state
that is as good as before: none is lost (R49).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import pickle
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import anyio

from chaos.anonymous_app import ROUTE
from chaos.anonymous_load import Load, Tally
from chaos.figures import Figure, at_most, exactly, noted
from chaos.installed import install, installations, many_sites
from chaos.stores import Stores
from tests.limits import PATIENCE
from tests.processes.apps import App
from tests.servers import ROOT, environment, free_port, serving, uvicorn
from wix_asgi._http import httpx
from wix_asgi.handshake.state import StateSigner
from wix_asgi.settings import WixSettings
from wix_asgi.storage import open_storage
from wix_asgi.testing import FakeWix

__all__ = ["LOADS", "flooded", "measure"]

logger = logging.getLogger(__name__)

_STORES: Final = ("sqlite", "postgresql")
_RATE: Final = 900.0
_SECONDS: Final = 20.0
_REFRESHES_A_SECOND: Final = 10.0
_INSTALLS_A_SECOND: Final = 2.0

_TOLD_TO_WAIT: Final = {202, 503}
_PAUSE: Final = 0.5

_LONGEST_REFRESH: Final = 0.25
_LONGEST_INSTALL: Final = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Scene:
    """An app that is served beside a fake Wix, and the load of strangers that it gets."""

    app: App
    signer: StateSigner
    rate: float
    count: int

    def request(self, *, cookie: str = "", **query: str) -> bytes:
        """Return the bytes of one load of the callback, as short as they can be."""
        lines = [
            f"GET /wix/callback?{urlencode(query)} HTTP/1.1",
            f"Host: {urlsplit(self.app.url).netloc}",
            *([f"Cookie: {cookie}"] if cookie else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode()


async def _without_cookie(at: _Scene) -> list[bytes]:
    """One good state, whose cookie is at another browser."""
    return [at.request(code="made-up", state=at.signer.mint().state)]


async def _denied(at: _Scene) -> list[bytes]:
    """States that are each used up by an error, with their cookies."""
    flows = [at.signer.mint() for _ in range(at.count)]
    return [
        at.request(
            cookie=f"{flow.cookie_name}={flow.cookie_value}",
            error="access_denied",
            state=flow.state,
        )
        for flow in flows
    ]


async def _used(at: _Scene, *, with_cookie: bool) -> list[bytes]:
    """One state, whose install is over."""
    flow = at.signer.mint()
    pair = f"{flow.cookie_name}={flow.cookie_value}"
    query = {"code": at.app.fake.issue_code(), "state": flow.state}
    async with at.app.browser() as http:
        answer = await http.get("/wix/callback", params=query, headers={"Cookie": pair})
    assert 303 == answer.status_code, answer.text
    return [at.request(cookie=pair if with_cookie else "", **query)]


LOADS: Final[dict[str, Callable[[_Scene], Awaitable[list[bytes]]]]] = {
    "a state without its cookie": _without_cookie,
    "denied by the site owner": _denied,
    "a used state with its cookie": partial(_used, with_cookie=True),
    "a used state without its cookie": partial(_used, with_cookie=False),
}
"""The kinds of requests that strangers can send without end."""


@dataclasses.dataclass(slots=True)
class _Honest:
    """The installs of site owners: the first answer to each, and the browsers without a success.

    Attributes:
        waits: The time of each first answer, in seconds.
        to_load_again: The browsers that got no success, and their callbacks.
    """

    sites: Sequence[str]
    answers: Counter[str] = dataclasses.field(default_factory=Counter)
    waits: list[float] = dataclasses.field(default_factory=list)
    to_load_again: list[tuple[httpx.AsyncClient, str]] = dataclasses.field(default_factory=list)

    async def install(self, app: App, browsers: contextlib.AsyncExitStack, site: str) -> None:
        """Install the app on this site, in a browser that `browsers` closes."""
        http = await browsers.enter_async_context(app.browser())
        answer: httpx.Response | None = None
        callback = ""
        began = time.monotonic()
        with contextlib.suppress(httpx.HTTPError, AssertionError):
            callback = await app.begin(http, site)
            began = time.monotonic()
            answer = await http.get(callback)
        self.waits.append(time.monotonic() - began)
        self.answers[str(answer.status_code) if answer else "no answer"] += 1
        if callback and (answer is None or answer.status_code != 303):
            self.to_load_again.append((http, callback))

    async def load_again(self) -> None:
        """Load the callbacks that did not succeed, as browsers do that were told to wait."""
        for http, callback in self.to_load_again:
            with anyio.move_on_after(PATIENCE):
                while True:
                    answer = await http.get(callback)
                    if answer.status_code not in _TOLD_TO_WAIT:
                        break
                    await anyio.sleep(_PAUSE)

    def figures(self, what: str, store: str, stored: int) -> list[Figure]:
        """Return the counts, now that `stored` of the sites have their installation."""
        expected = self.answers["303"] + self.answers["202"] + self.answers["503"]
        return [
            noted(f"{what}: honest installs", store, len(self.sites)),
            noted(f"{what}: of these at the first load", store, self.answers["303"]),
            exactly(f"{what}: neither done nor told to wait", store, len(self.sites) - expected, 0),
            exactly(f"{what}: installs lost", store, len(self.sites) - stored, 0),
            at_most(
                f"{what}: longest install, s", store, max(self.waits), _LONGEST_INSTALL, timed=True
            ),
        ]


@dataclasses.dataclass(slots=True)
class _Refreshes:
    """Calls of sites whose stored tokens have ended, so that each call needs a refresh.

    Attributes:
        waits: The time of each answer, in seconds.
    """

    sites: Sequence[str]
    answers: Counter[str] = dataclasses.field(default_factory=Counter)
    waits: list[float] = dataclasses.field(default_factory=list)

    async def call(self, http: httpx.AsyncClient, site: str) -> None:
        """Have the app call Wix as this site."""
        began = time.monotonic()
        try:
            answer = await http.get(ROUTE, params={"site": site})
        except httpx.HTTPError as exc:
            self.answers[type(exc).__name__] += 1
        else:
            self.answers[str(answer.status_code)] += 1
        self.waits.append(time.monotonic() - began)

    def figures(self, what: str, store: str) -> list[Figure]:
        """Return the counts and times."""
        failed = len(self.sites) - self.answers["200"]
        usual, slow = _percentile(self.waits, 0.5), _percentile(self.waits, 0.99)
        return [
            noted(f"{what}: refreshes", store, len(self.sites)),
            exactly(f"{what}: failed refreshes", store, failed, 0),
            noted(f"{what}: a usual refresh, s", store, usual),
            at_most(f"{what}: a refresh at p99, s", store, slow, _LONGEST_REFRESH, timed=True),
        ]


async def flooded(url: str, store: str, kind: str, *, rate: float, seconds: float) -> list[Figure]:
    """Have strangers send `rate` requests of this kind of `LOADS` a second, for some seconds.

    Meanwhile sites have their tokens refreshed, and honest site owners install the app. A rate of
    0 sends none, for comparison.
    """
    numbers = int(_REFRESHES_A_SECOND * seconds), int(_INSTALLS_A_SECOND * seconds)
    fake, port = FakeWix(sites=many_sites(sum(numbers) + 1)), free_port()
    # The first site is the strangers': they install the app as well.
    sites = list(fake.sites)[1:]
    refreshes, honest = _Refreshes(sites[: numbers[0]]), _Honest(sites[numbers[0] :])
    with fake.serve(), tempfile.TemporaryDirectory() as room:
        options = {**fake.settings(), "public_url": f"http://127.0.0.1:{port}", "storage": url}
        async with open_storage(url) as storage:
            stored = installations(fake, storage, options)
            for site in refreshes.sites:
                await install(fake, stored, site, left=-1)
            with _running(fake, port, url, Path(room)) as app:
                signer = StateSigner(WixSettings.load(**options))
                scene = _Scene(app, signer, rate, int(rate * seconds))
                requests = await LOADS[kind](scene)
                tally = await _while_loaded(scene, requests, refreshes, honest)
            kept = [site for site in honest.sites if await storage.get(fake.app_id, site)]
    what = f"{rate:.0f}/s of {kind}"
    logger.info(
        "%s on %s: strangers %s, installs %s, refreshes %s",
        what,
        store,
        tally.statuses,
        dict(honest.answers),
        dict(refreshes.answers),
    )
    return [
        *_load_figures(what, store, tally),
        *refreshes.figures(what, store),
        *honest.figures(what, store, len(kept)),
    ]


async def _while_loaded(
    at: _Scene, requests: Sequence[bytes], refreshes: _Refreshes, honest: _Honest
) -> Tally:
    """Make the refreshes and the installs under the load; then load refused callbacks again."""
    load = Load(urlsplit(at.app.url).port or 0, requests, at.rate, at.count)
    tallies: list[Tally] = []

    async def strangers() -> None:
        if load.count:
            tallies.append(await _carry_out(load))

    async with contextlib.AsyncExitStack() as browsers:
        http = await browsers.enter_async_context(at.app.browser())
        call = partial(refreshes.call, http)
        begin = partial(honest.install, at.app, browsers)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(strangers)
            tasks.start_soon(_at_rate, call, refreshes.sites, _REFRESHES_A_SECOND)
            tasks.start_soon(_at_rate, begin, honest.sites, _INSTALLS_A_SECOND)
        await honest.load_again()
    return tallies[0] if tallies else Tally()


async def _at_rate(
    work: Callable[[str], Coroutine[object, object, None]], sites: Sequence[str], per_second: float
) -> None:
    """Begin `work` for each site when it is due, however long the work before it takes."""
    began = time.monotonic()
    async with anyio.create_task_group() as tasks:
        for number, site in enumerate(sites):
            await anyio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            tasks.start_soon(work, site)


async def _carry_out(load: Load) -> Tally:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chaos.anonymous_load"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate(pickle.dumps(dataclasses.astuple(load)))
    return Tally(*pickle.loads(told))  # noqa: S301 - of our own process


@contextlib.contextmanager
def _running(fake: FakeWix, port: int, storage: str, room: Path) -> Iterator[App]:
    """Serve the app while a block runs; its log goes into a file, as a service's log does."""
    log_config = room / "logging.json"
    handler = {"class": "logging.FileHandler", "filename": str(room / "log"), "level": "WARNING"}
    config = {"version": 1, "disable_existing_loggers": False, "handlers": {"file": handler}}
    log_config.write_text(json.dumps({**config, "root": {"handlers": ["file"]}}))
    command = uvicorn("chaos.anonymous_app:app", port, "--no-access-log")
    command += ["--log-config", str(log_config)]
    with serving(command, cwd=room, env=environment(fake, port, storage)) as server:
        server.accepts(port)
        yield App(server, f"http://127.0.0.1:{port}", fake)


def _load_figures(what: str, store: str, tally: Tally) -> list[Figure]:
    return [
        noted(f"{what}: sent, /s", store, tally.sent / max(tally.seconds, 1e-9)),
        noted(f"{what}: answered at p99, s", store, _percentile(tally.waits, 0.99)),
    ]


def _percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values) or [0.0]
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def measure(stores: Stores) -> Iterator[Figure]:
    """Have every kind of request come 900 times a second, on databases in a file and on a port."""
    for store in _STORES:
        for kind in LOADS:
            with stores.empty(store) as url:
                yield from anyio.run(
                    partial(flooded, url, store, kind, rate=_RATE, seconds=_SECONDS)
                )
