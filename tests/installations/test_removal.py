"""The end of an installation: one row less, one call of the hooks, and a reinstall wins."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.clients import install
from tests.support import SITE, Browser, make_app, make_wix
from wix_asgi import Installation, NotInstalled, Storage, Wix, WixMiddleware
from wix_asgi.testing import DEMO_SITES, FakeWix
from wix_asgi_backends.memory import MemoryStorage

OTHER = [*DEMO_SITES][1]
TICK = timedelta(milliseconds=1)


@pytest.fixture
def anyio_backend() -> str:
    """Run on one event loop: the storages with a database are for asyncio."""
    return "asyncio"


@pytest.fixture(name="storage", params=["memory", "sqlite", "postgresql"])
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str | Storage:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return MemoryStorage() if request.param == "memory" else f"sqlite:///{tmp_path}/wix-asgi.db"


async def facts(wix: Wix) -> list[Installation]:
    """Return all installations."""
    return [one async for one in wix.installations()]


async def installed_on(wix: Wix, site: str) -> Installation:
    """Return the installation of a site."""
    (found,) = [one for one in await facts(wix) if one.instance_id == site]
    return found


async def install_later(wix: Wix, fake: FakeWix, than: datetime, site: str = SITE) -> Installation:
    """Install until the store's clock says a later time than that; return the installation."""
    while True:
        await install(wix, fake, site)
        found = await installed_on(wix, site)
        if found.installed_at >= than + TICK:
            return found


async def test_hooks_are_called_once_over_all_processes(storage: str | Storage) -> None:
    """Of many removals at one moment one removes, and only its process calls the hooks."""
    fake, told = FakeWix(), list[Any]()
    one, two = (
        make_wix(fake, storage=storage, on_uninstall=partial(note, told, name)) for name in "ab"
    )
    async with one, two:
        await install(one, fake)
        (installation,) = await facts(one)
        outcomes: list[bool] = []

        async def remove(wix: Wix) -> None:
            outcomes.append(await wix.remove(SITE))

        async with anyio.create_task_group() as tasks:
            for wix in [one, two] * 10:
                tasks.start_soon(remove, wix)
        left = await facts(two)

    assert [False] * 19 + [True] == sorted(outcomes)
    assert [installation] == [told_of for _, told_of in told]
    assert [] == left


def note(told: list[Any], name: str, installation: Installation) -> None:
    """Be a hook of the process `name`."""
    told.append((name, installation))


@pytest.mark.parametrize("since", [timedelta(0), TICK, timedelta(days=2)])
async def test_a_late_removal_spares_a_reinstall(storage: str | Storage, since: timedelta) -> None:
    """An event that is older than the installation, or of the same moment, removes nothing."""
    fake, told = FakeWix(), list[Any]()
    async with make_wix(fake, storage=storage, on_uninstall=told.append) as wix:
        await install(wix, fake)
        (installation,) = await facts(wix)
        is_removed = await wix.remove(SITE, installed_before=installation.installed_at - since)
        answer = await wix.client(SITE).get("/x")

    assert (False, 200, []) == (is_removed, answer.status_code, told)


async def test_a_removal_after_the_install_removes(storage: str | Storage) -> None:
    """An event that is newer than the installation removes it; a reinstall then comes anew."""
    fake, told = FakeWix(), list[Any]()
    async with make_wix(fake, storage=storage, on_uninstall=told.append) as wix:
        await install(wix, fake)
        (old,) = await facts(wix)
        is_removed = await wix.remove(SITE, installed_before=old.installed_at + TICK)
        new = await install_later(wix, fake, old.installed_at)
        repeated = await wix.remove(SITE, installed_before=old.installed_at + TICK)
        left = await facts(wix)

    assert (True, False) == (is_removed, repeated)
    assert ([new], [old]) == (left, told)


@pytest.mark.parametrize("is_dated", [False, True])
async def test_a_reinstall_during_a_removal_wins(
    storage: str | Storage, is_dated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The callback's `put` may come after the removal has read the row: its installation stays."""
    fake, told = FakeWix(), list[Any]()
    async with make_wix(fake, storage=storage, on_uninstall=told.append) as wix:
        await install(wix, fake)
        (old,) = await facts(wix)
        browser = Browser(WixMiddleware(make_app(), wix))
        read = wix.storage.get

        async def read_and_reinstall(app_id: str, instance_id: str) -> object:
            monkeypatch.undo()
            record = await read(app_id, instance_id)
            await install_later(wix, fake, old.installed_at)
            await browser.install(fake)
            return record

        monkeypatch.setattr(wix.storage, "get", read_and_reinstall)
        before = datetime(2100, 1, 1, tzinfo=UTC) if is_dated else None
        is_removed = await wix.remove(SITE, installed_before=before)
        (new,) = await facts(wix)
        answer = await wix.client(SITE).get("/x")

    assert (False, 200, []) == (is_removed, answer.status_code, told)
    assert old.installed_at < new.installed_at


async def test_a_reinstall_wins_over_a_late_removal_in_any_order(storage: str | Storage) -> None:
    """The callback and the removal of the installation before it may come at one moment."""
    fake = FakeWix()
    async with make_wix(fake, storage=storage) as wix:
        app = WixMiddleware(make_app(), wix)
        outcomes = list[bool]()

        async def remove(before: datetime) -> None:
            outcomes.append(await wix.remove(SITE, installed_before=before))

        for turn in range(10):
            await install(wix, fake)
            old = await installed_on(wix, SITE)
            await install_later(wix, fake, old.installed_at, OTHER)
            browser = Browser(app)
            url = fake.approve(await browser.begin(fake), instance_id=SITE)
            async with anyio.create_task_group() as tasks:
                works: list[Callable[[], Coroutine[Any, Any, object]]] = [
                    partial(remove, old.installed_at + TICK),
                    partial(browser.http.get, url),
                ]
                for work in works if turn % 2 else works[::-1]:
                    tasks.start_soon(work)
            new = await installed_on(wix, SITE)

            assert new.installed_at > old.installed_at


async def test_nothing_of_the_site_stays(storage: str | Storage) -> None:
    """After an install, a refresh and a removal there are a state's claims, which expire."""
    fake = FakeWix()
    async with make_wix(fake, storage=storage, recover=False) as wix:
        await Browser(WixMiddleware(make_app(), wix)).install(fake)
        fake.expire_access_tokens()
        await wix.client(SITE).get("/x")
        await wix.remove(SITE)
        fake.calls.clear()
        with pytest.raises(NotInstalled):
            await wix.client(SITE).get("/x")
        lease = f"refresh:{fake.app_id}:{SITE}"
        rows = await wix.storage.scan(fake.app_id)
        is_free = await wix.storage.claim(lease, "another", 1.0)

    assert ([], True, []) == (list(rows), is_free, fake.calls)
