"""A server that is killed or frozen while it refreshes a token, and another one beside it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.limits import PATIENCE
from tests.processes.apps import App, running
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.processes

_, YOGA, _ = DEMO_SITES
REFRESH = {"path": "/oauth/access", "grant_type": "refresh_token"}


@pytest.fixture(name="servers", params=["sqlite", "postgresql"])
def _servers(
    request: pytest.FixtureRequest, fake: FakeWix, tmp_path: Path
) -> Iterator[tuple[App, App]]:
    """Run two servers of one app, on one storage."""
    url = f"sqlite:///{tmp_path}/wix-asgi.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    rooms = tmp_path / "holder", tmp_path / "other"
    with contextlib.ExitStack() as stack:
        for room in rooms:
            room.mkdir()
        yield (
            stack.enter_context(running(fake, url, room=rooms[0])),
            stack.enter_context(running(fake, url, room=rooms[1])),
        )


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_holder_that_is_gone_is_replaced(
    servers: tuple[App, App], fake: FakeWix, signum: signal.Signals
) -> None:
    """The other server refreshes after the lease; a woken holder serves its caller, too."""
    holder, other = servers
    statuses: dict[str, int] = {}

    async def call(name: str, app: App) -> None:
        with contextlib.suppress(httpx.TransportError):
            async with app.browser() as http:
                answer = await http.get("/products", params=app.opened_by(YOGA))
                statuses[name] = answer.status_code

    async with holder.browser() as http:
        await holder.install(http, YOGA)
    fake.expire_access_tokens(YOGA)
    with fake.hold(**REFRESH) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "holder", holder)
            await gate.arrived(1, timeout=PATIENCE)
            holder.server.process.send_signal(signum)
            tasks.start_soon(call, "other", other)
            await gate.arrived(2, timeout=PATIENCE)
            gate.release()
            if signum == signal.SIGSTOP:
                holder.server.process.send_signal(signal.SIGCONT)

    woken = {} if signum == signal.SIGKILL else {"holder": 200}
    assert {"other": 200} | woken == statuses
    assert 2 == fake.count(**REFRESH)
