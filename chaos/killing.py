"""Servers that are killed in the middle of an install, and the ones that follow them."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import anyio

from chaos.figures import Figure, exactly, noted
from chaos.stores import KINDS, Stores
from tests.limits import PATIENCE
from tests.processes.apps import App, running
from tests.servers import free_port
from wix_asgi._http import httpx
from wix_asgi.storage import open_storage
from wix_asgi.testing import DEMO_SITES, FakeWix

__all__ = ["MOMENTS", "killed", "measure"]

ROUNDS: Final = 5
ACCESS: Final = "/oauth/access"
MOMENTS: Final = {
    "while the code is exchanged": ACCESS,
    "between exchange and store": "/oauth2/token-info",
    "once it was answered": None,
}
"""When a server is killed: while Wix has been asked this, or right after the browser's answer."""

SITE, *_ = DEMO_SITES


async def killed(url: str, held: str | None, room: Path) -> list[str]:
    """Kill a server in an install, and have another go on; return which promises were broken."""
    fake, port = FakeWix(), free_port()
    with fake.serve():
        with running(fake, url, room=room, port=port) as app:
            async with app.browser() as http:
                callback = await app.begin(http, SITE)
                first = await _load_and_kill(app, http, callback, held)
                cookies = http.cookies
        with running(fake, url, room=room, port=port) as app:
            return [promise async for promise in _judge(app, url, callback, cookies, first)]


async def _load_and_kill(
    app: App, http: httpx.AsyncClient, callback: str, held: str | None
) -> int | None:
    """Load the callback; return the status of its answer, if the server lived to give one."""
    answers: list[int] = []

    async def load() -> None:
        with contextlib.suppress(httpx.TransportError):
            answers.append((await http.get(callback)).status_code)

    if held is None:
        await load()
        app.server.process.send_signal(signal.SIGKILL)
        return answers[0]
    with app.fake.hold(held) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load)
            await gate.arrived(timeout=PATIENCE)
            app.server.process.send_signal(signal.SIGKILL)
    return answers[0] if answers else None


async def _judge(
    app: App, url: str, callback: str, cookies: httpx.Cookies, first: int | None
) -> AsyncIterator[str]:
    """Say which promises were broken, at the server that took over."""
    is_kept = await _is_stored(url, app.fake)
    if first == 303 and not is_kept:
        yield "an install was lost after its success"
    if first is None and is_kept:
        yield "an install was stored that was not over"
    async with app.browser() as http:
        http.cookies = cookies
        again = await http.get(callback)
    # The state is used up, and the killed server has left no outcome.
    if again.status_code != (202 if first is None else 409):
        yield f"loaded again: {again.status_code}"
    if app.fake.count(ACCESS, grant_type="authorization_code") != 1:
        yield "the code was not exchanged once"
    async with app.browser() as http:
        installed = await app.install(http, SITE)
        called = await http.get("/products", params=app.opened_by(SITE))
    if [installed.status_code, called.status_code] != [303, 200]:
        yield "the site cannot be installed on"


async def _is_stored(url: str, fake: FakeWix) -> bool:
    async with open_storage(url) as storage:
        return await storage.get(fake.app_id, SITE) is not None


def measure(stores: Stores) -> Iterator[Figure]:
    """Kill servers at every moment, many times, on every store."""
    for kind in KINDS:
        broken = []
        for _ in range(ROUNDS):
            for held in MOMENTS.values():
                with stores.empty(kind) as url, tempfile.TemporaryDirectory() as room:
                    broken += anyio.run(killed, url, held, Path(room))
        yield noted("servers killed in an install", kind, ROUNDS * len(MOMENTS))
        yield exactly("promises broken by that", kind, len(broken), 0)
