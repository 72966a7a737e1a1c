"""The CPU of an install, from its first address to the stored tokens, beside peers and a floor.

In process, without a server; Wix is the upstream in another process, and answers at once. The CPU
is that of the app's process: threads of SQLite count, and servers of Postgres do not.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.asgi_calls import call
from benchmarks.install_by_hand import by_authlib, by_hand
from benchmarks.install_floor import floor
from benchmarks.ours import make_wix
from benchmarks.rounds import (
    OURS,
    Comparison,
    Goal,
    Plan,
    Turn,
    at_most,
    in_loop,
    meter,
    take_turns,
)
from benchmarks.slack import by_slack
from benchmarks.stores import servers
from benchmarks.upstream import upstream
from wix_asgi import WixMiddleware

__all__ = ["measure"]

AT_ONCE: Final = (1, 32)
GOALS: Final[dict[str, Goal]] = {
    "floor": at_most(2.2),
    "by hand": at_most(1.0),
    "Slack Bolt": at_most(1.0),
    "Authlib": at_most(1.0),
}
MIN_INSTALLS: Final = 5
"""Installs of one turn at least."""

MAX_VISITS: Final = 30
RETRY_SECONDS: Final = 1.0
"""Where 32 come at once and the disk is slow, ours tells some to come again after this time."""

_PADDING: Final = "x" * 4_600
"""Characters after the id, since Wix's codes were seen at 4.7 kB."""


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send


@asynccontextmanager
async def ours(base: str, url: str) -> AsyncIterator[ASGIApp]:
    """Open ours over the store at this URL, for as long as a block lasts."""
    async with make_wix(url, wix_url=base, api_url=base) as wix:
        yield WixMiddleware(_nothing, wix)


APPS: Final = {
    OURS: ours,
    "floor": floor,
    "by hand": by_hand,
    "Slack Bolt": by_slack,
    "Authlib": by_authlib,
}


async def install(app: ASGIApp) -> None:
    """Carry out one install as a browser does, which comes again where it is told to."""
    begun = await call(app, "GET", "/wix/install", query=b"token=abc")
    (location,) = begun.values(b"location")
    (state,) = parse_qs(urlsplit(location.decode()).query)["state"]
    cookie = b"; ".join(value.partition(b";")[0] for value in begun.values(b"set-cookie"))
    instance_id = str(uuid.uuid4())
    code = f"OAUTH2.{instance_id}.{_PADDING}"
    query = f"code={code}&state={quote(state)}&instanceId={instance_id}".encode()
    headers = [(b"cookie", cookie)]
    for _ in range(MAX_VISITS):
        if (await call(app, "GET", "/wix/callback", query=query, headers=headers)).status != 503:
            return
        await asyncio.sleep(RETRY_SECONDS)
    raise RuntimeError("the callback was answered 503 at every visit")


async def installs(app: ASGIApp, number: int, at_once: int) -> dict[str, float]:
    """Carry out installs, so many at one time; milliseconds of each."""
    left = number

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await install(app)

    measured = meter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(work())
    return measured.read(number, 1e3)


async def rows(name: str, base: str, urls: dict[str, str], plan: Plan) -> AsyncIterator[Comparison]:
    """Measure on one kind of store, a store for each app."""
    async with AsyncExitStack() as stack:
        apps = {
            peer: await stack.enter_async_context(opened(base, urls[peer]))
            for peer, opened in APPS.items()
        }
        for at_once in AT_ONCE:
            turns: dict[str, Turn] = {}
            for peer, app in apps.items():
                cost = (await installs(app, at_once, at_once))["cpu"]
                number = max(at_once, MIN_INSTALLS, round(plan.seconds * 1e3 / cost))
                turns[peer] = partial(installs, app, number, at_once)
            for found in await take_turns(
                turns,
                plan,
                label=f"{name}, {at_once} at once",
                units={"cpu": "ms of CPU an install"},
                goals=GOALS,
            ):
                yield found


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    with upstream() as base, servers(*APPS) as stores:
        for name, urls in stores.items():
            yield from in_loop(rows(name, base, urls, plan))
