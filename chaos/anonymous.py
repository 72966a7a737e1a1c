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
import os
import pickle
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import anyio
from starlette.types import Message, Receive, Scope, Send

from chaos.anonymous_callers import Honest, Refreshes, at_rate, percentile
from chaos.anonymous_load import Load, Tally
from chaos.figures import Figure, noted
from chaos.installed import install, installations, many_sites
from chaos.stores import Stores
from tests.processes.apps import App
from tests.servers import ROOT, environment, free_port, serving, uvicorn
from wix_asgi.handshake.state import Flow, StateSigner
from wix_asgi.settings import WixSettings
from wix_asgi.storage import open_storage
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix._serve import serve

__all__ = ["LOADS", "crowded", "flooded", "measure"]

logger = logging.getLogger(__name__)

_TOKEN_INFO: Final = "/oauth2/token-info"
_STORES: Final = ("sqlite", "postgresql")
_RATE: Final = 900.0
_SECONDS: Final = 20.0
_REFRESHES_A_SECOND: Final = 10.0
_INSTALLS_A_SECOND: Final = 2.0

_CODES_A_SECOND: Final = 200.0
_CODES_SECONDS: Final = 9.0
_EXCHANGE_SECONDS: Final = 0.3


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

    def request_of(self, flow: Flow, **query: str) -> bytes:
        """Return the bytes of a load by the browser in which a flow began."""
        return self.request(
            cookie=f"{flow.cookie_name}={flow.cookie_value}", **query, state=flow.state
        )


async def _made_up(at: _Scene) -> list[bytes]:
    """One made-up state, which costs no storage, for comparison."""
    return [at.request(code="made-up", state="made-up")]


async def _own_flows(at: _Scene, **query: str) -> list[bytes]:
    """Good states with their cookies, each in one request, so that nothing is known of any."""
    return [at.request_of(at.signer.mint(), **query) for _ in range(at.count)]


async def _without_cookie(at: _Scene) -> list[bytes]:
    """One good state, whose cookie is at another browser."""
    return [at.request(code="made-up", state=at.signer.mint().state)]


async def _used(at: _Scene, *, with_cookie: bool) -> list[bytes]:
    """One state, whose install is over."""
    flow, code = at.signer.mint(), at.app.fake.issue_code()
    query = {"code": code, "state": flow.state}
    headers = {"Cookie": f"{flow.cookie_name}={flow.cookie_value}"}
    async with at.app.browser() as http:
        answer = await http.get("/wix/callback", params=query, headers=headers)
    assert 303 == answer.status_code, answer.text
    return [at.request_of(flow, code=code) if with_cookie else at.request(**query)]


LOADS: Final[dict[str, Callable[[_Scene], Awaitable[list[bytes]]]]] = {
    "a made-up state": _made_up,
    "a state without its cookie": _without_cookie,
    "denied by the site owner": partial(_own_flows, error="access_denied"),
    "a used state with its cookie": partial(_used, with_cookie=True),
    "a used state without its cookie": partial(_used, with_cookie=False),
}
"""The kinds of requests that strangers can send without end."""


async def flooded(
    url: str,
    store: str,
    kind: str,
    *,
    rate: float,
    seconds: float,
    apart: bool = False,
    delay: float = 0.0,
) -> list[Figure]:
    """Have strangers send `rate` requests of this kind a second, for some seconds.

    Meanwhile sites have their tokens refreshed, and honest site owners install the app; `apart`
    says that these have addresses of their own, and `delay` is that of Wix for an install. A rate
    of 0 sends none, for comparison.
    """
    # Made-up codes, which all reach Wix.
    make = LOADS.get(kind, partial(_own_flows, code="made-up"))
    numbers = int(_REFRESHES_A_SECOND * seconds), int(_INSTALLS_A_SECOND * seconds)
    fake, port = FakeWix(sites=many_sites(sum(numbers) + 1)), free_port()
    # The first site is the strangers': they install the app as well.
    sites = list(fake.sites)[1:]
    refreshes, honest = Refreshes(sites[: numbers[0]]), Honest(sites[numbers[0] :], apart)
    with _served(fake, delay), tempfile.TemporaryDirectory() as room:
        options = {**fake.settings(), "public_url": f"http://127.0.0.1:{port}", "storage": url}
        async with open_storage(url) as storage:
            stored = installations(fake, storage, options)
            for site in refreshes.sites:
                await install(fake, stored, site, left=-1)
            with _running(fake, port, url, Path(room)) as app:
                signer = StateSigner(WixSettings.load(**options))
                scene = _Scene(app, signer, rate, int(rate * seconds))
                requests = await make(scene)
                before = _cpu_seconds(app)
                tally = await _while_loaded(scene, requests, refreshes, honest)
                used = _cpu_seconds(app) - before
            kept = [site for site in honest.sites if await storage.get(fake.app_id, site)]
    what = f"{rate:.0f}/s of {kind}"
    logger.info(
        "%s on %s: strangers %s, installs %s, then %s, refreshes %s",
        what,
        store,
        tally.statuses,
        dict(honest.answers),
        dict(honest.outcomes),
        dict(refreshes.answers),
    )
    return [
        *_load_figures(what, store, tally),
        noted(f"{what}: the app's time on the CPU, s", store, used),
        noted(f"{what}: load of the machine", store, os.getloadavg()[0]),
        *refreshes.figures(what, store),
        *honest.figures(what, store, len(kept)),
    ]


async def crowded(
    url: str,
    store: str,
    *,
    apart: bool,
    rate: float = _CODES_A_SECOND,
    seconds: float = _CODES_SECONDS,
) -> list[Figure]:
    """Have strangers send made-up codes, from the address of the honest installs or from another.

    Where these come from elsewhere, none of them is refused.
    """
    kind = f"made-up codes, from {'elsewhere' if apart else 'the same address'}"
    delay = _EXCHANGE_SECONDS
    return await flooded(url, store, kind, rate=rate, seconds=seconds, apart=apart, delay=delay)


async def _while_loaded(
    at: _Scene, requests: Sequence[bytes], refreshes: Refreshes, honest: Honest
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
            tasks.start_soon(at_rate, call, refreshes.sites, _REFRESHES_A_SECOND)
            tasks.start_soon(at_rate, begin, honest.sites, _INSTALLS_A_SECOND)
        await honest.load_again()
    return tallies[0] if tallies else Tally()


def _cpu_seconds(app: App) -> float:
    """Return the time that the app's process has had on the CPU (proc(5), `stat`)."""
    fields = Path(f"/proc/{app.server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
def _served(fake: FakeWix, delay: float) -> Iterator[None]:
    """Serve a Wix that takes `delay` seconds for each question of an install, and no other's."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        if b"authorization_code" in first.get("body", b"") or scope["path"] == _TOKEN_INFO:
            await anyio.sleep(delay)
        messages = [first]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await fake(scope, replay, send)

    with serve(slow, "127.0.0.1", 0) as fake.url:
        yield


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
        noted(f"{what}: answered at p99, s", store, percentile(tally.waits, 0.99)),
    ]


def measure(stores: Stores) -> Iterator[Figure]:
    """Have every kind of request come 900 times a second, on databases in a file and on a port."""
    for store in _STORES:
        for kind in LOADS:
            with stores.empty(store) as url:
                yield from anyio.run(
                    partial(flooded, url, store, kind, rate=_RATE, seconds=_SECONDS)
                )
        for apart in (True, False):
            with stores.empty(store) as url:
                yield from anyio.run(partial(crowded, url, store, apart=apart))
