"""`wix-asgi keys rotate` beside a server that refreshes."""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.cli.commands import run
from tests.limits import PATIENCE
from tests.operations.sealed import NEW, OLD
from tests.processes.apps import App, at_once, running
from tests.servers import environment
from wix_asgi.sealing.vault import Vault
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.processes

REFRESH = {"path": "/oauth/access", "grant_type": "refresh_token"}


@pytest.fixture(name="fake")
def _fake() -> Iterator[FakeWix]:
    fake = FakeWix()
    with fake.serve():
        yield fake


@pytest.fixture(name="storage")
def _storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/wix-asgi.db"


def use(monkeypatch: pytest.MonkeyPatch, *keys: bytes) -> None:
    """Let the processes that start from now on use these keys."""
    given = ",".join(base64.urlsafe_b64encode(key).decode() for key in keys)
    monkeypatch.setenv("WIX_ENCRYPTION_KEYS", given)


async def call_all(app: App, statuses: list[int]) -> None:
    """Call Wix for every site with a token that has ended; note how it went."""
    async with app.browser() as http:
        app.fake.expire_access_tokens()
        answers = await at_once(
            [
                functools.partial(http.get, "/products", params=app.opened_by(site))
                for site in DEMO_SITES
            ]
        )
    statuses.extend(answer.status_code for answer in answers)


async def test_keys_rotate_while_tokens_are_refreshed(
    fake: FakeWix, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the old key over both to the new: rows change under three refreshes, all kept (R33)."""
    statuses: list[int] = []
    use(monkeypatch, OLD)
    with running(fake, storage, room=tmp_path) as app:
        async with app.browser() as http:
            for site in DEMO_SITES:
                await app.install(http, site)
    use(monkeypatch, NEW, OLD)
    for name, value in environment(fake, 1, storage).items():
        monkeypatch.setenv(name, value)
    with running(fake, storage, room=tmp_path) as app, fake.hold(**REFRESH) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call_all, app, statuses)
            await gate.arrived(len(DEMO_SITES), timeout=PATIENCE)
            # In process: another would be slow to start, and the server waits ten seconds for Wix.
            done = await anyio.to_thread.run_sync(run, "keys", "rotate")
            gate.release()
    refreshes = fake.count(**REFRESH)
    use(monkeypatch, NEW)
    with running(fake, storage, room=tmp_path) as app:
        await call_all(app, statuses)

    assert [200] * 6 == statuses
    assert 3 == refreshes
    assert (
        f"{storage}: 3 installations: 3 resealed with key {Vault([NEW]).newest_id}, "
        "0 already new, 0 unreadable.\n"
    ) == done.stdout
