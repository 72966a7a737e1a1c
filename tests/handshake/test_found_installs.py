"""An installation that was found before its callback came is taken over, and told of once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.engine import Steps
from tests.handshake.handshaking import FlowUnderTest
from tests.handshake.owing import OTHER_SITE, STORAGES, make_storage
from tests.limits import PATIENCE
from tests.support import SITE, Browser, without_add
from tests.webhooks.lifecycles import CREATED, Process, app_process, signed
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.models import GrantType
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage

pytestmark = pytest.mark.usefixtures("flow")


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, which the databases want."""
    return "asyncio"


@pytest.fixture(name="storage", params=STORAGES)
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str | Storage:
    """Return the storage that all processes of a test use."""
    return make_storage(request, tmp_path)


async def consented(fake: FakeWix, browser: Browser) -> str:
    """Begin an install and consent to it at Wix; return the address of its callback."""
    url = fake.approve(await browser.begin(fake), instance_id=SITE)
    fake.mark_installed(SITE)
    return url


async def call(process: Process) -> None:
    """Call Wix as the site: a caller of whom nothing is stored yet."""
    await process.wix.client(SITE).get("/x")
    await process.settled()


async def test_caller_before_the_callback(storage: str | Storage, flow: FlowUnderTest) -> None:
    """It stays the same installation, gets the grant of the callback, and is told of once."""
    fake = FakeWix()
    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        browser = one.browser()
        url = await consented(fake, browser)
        await call(other)
        found = await one.stored()
        answer = await browser.http.get(url)
        taken = await one.stored()

    assert found is not None
    assert taken is not None
    assert 303 == answer.status_code
    assert (True, False) == (found.is_found, taken.is_found)
    assert found.installed_at == taken.installed_at
    assert flow.is_advanced is (taken.grant_type is GrantType.REFRESH_TOKEN)
    assert 1 == len(one.installed + other.installed)


async def test_found_in_an_earlier_install(storage: str | Storage) -> None:
    """What was found before the flow began is of an earlier install: this is a new one."""
    fake = FakeWix()
    async with app_process(fake, storage) as one:
        fake.mark_installed(SITE)
        await call(one)
        before = await one.only()
        fake.uninstall(SITE)
        after = await one.install()

    assert before.installed_at < after.installed_at
    assert [before.installed_at, after.installed_at] == [it.installed_at for it, _ in one.installed]


async def test_lost_meanwhile() -> None:
    """What Wix has refused since is of an installation that has ended: this is a new one."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        browser = one.browser()
        url = await consented(fake, browser)
        await call(one)
        stored = await one.stored()
        assert stored is not None
        await one.wix._installations.note_failure(stored, RefreshFailure.NOT_INSTALLED, 30.0)
        await browser.http.get(url)

    assert 2 == len(one.installed)


async def test_debt_is_paid_by_the_callback() -> None:
    """Where nobody has told yet, the callback does, with its request; it writes no other debt."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        browser = one.browser()
        url = await consented(fake, browser)
        grant = await one.wix._oauth.client_credentials(SITE)
        await one.wix._installations.add(
            SITE, grant, origin_instance_id=OTHER_SITE, owes_on_install=True
        )
        await browser.http.get(url)
        taken = await one.stored()

    ((told, request),) = one.installed
    assert request is not None
    assert OTHER_SITE == told.origin_instance_id
    assert taken is not None
    assert not taken.owes_on_install


@pytest.mark.parametrize("change", ["refreshed", "removed"])
async def test_row_that_changes_meanwhile(change: str) -> None:
    """It is read anew: a refreshed row is taken over, and a removed one made anew."""
    fake, storage = FakeWix(), Steps(lambda: 2e9)
    async with app_process(fake, storage) as one:
        browser = one.browser()
        url = await consented(fake, browser)
        await call(one)
        before = await one.only()
        changes = {"refreshed": partial(refresh, one), "removed": partial(remove, one)}

        async def change_once() -> None:
            storage.before.pop("replace")
            await changes[change]()

        storage.before["replace"] = change_once
        storage._clock = lambda: 2e9 + 1
        answer = await browser.http.get(url)
        after = await one.only()

    assert 303 == answer.status_code
    assert (change == "refreshed") is (before.installed_at == after.installed_at)
    assert (1 if change == "refreshed" else 2) == len(one.installed)


@pytest.mark.parametrize("step", ["add", "get"])
async def test_found_between_the_steps_of_a_callback(step: str) -> None:
    """Whoever comes first adds the row, and the other one finds it."""
    fake, storage = FakeWix(), Steps(lambda: 2e9)
    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        browser = one.browser()
        url = await consented(fake, browser)

        async def find_first() -> None:
            storage.before.pop(step)
            await call(other)

        storage.before[step] = find_first
        answer = await browser.http.get(url)

    assert 303 == answer.status_code
    assert 1 == len(one.installed + other.installed)


async def refresh(process: Process) -> None:
    """Write another token of the same installation."""
    stored = await process.stored()
    assert stored is not None
    grant = await process.wix._oauth.client_credentials(SITE)
    await process.wix._installations.replace(stored, grant)


async def remove(process: Process) -> None:
    """Remove the installation."""
    await process.wix.storage.delete(process.fake.app_id, SITE)


async def test_all_at_the_same_moment(storage: str | Storage) -> None:
    """Callback, both kinds of events and a caller, over two processes, tell of one install once."""
    fake = FakeWix()
    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        for turn in range(5):
            browser = one.browser()
            url = await consented(fake, browser)
            works: list[Callable[[], Coroutine[Any, Any, object]]] = [
                partial(browser.http.get, url),
                partial(other.lifecycle.apply, signed(fake, "AppInstalled")),
                partial(one.lifecycle.apply, signed(fake, CREATED)),
                partial(call, other),
            ]
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as tasks:
                    for work in works[turn % 4 :] + works[: turn % 4]:
                        tasks.start_soon(work)
            for process in (one, other):
                await process.settled()
            found = await one.only()
            told = sorted(it.installed_at for it, _ in one.installed + other.installed)

            assert [found.installed_at] == told[turn:]

            fake.uninstall(SITE)
            await one.apply("AppRemoved")
    assert 5 == len(one.uninstalled + other.uninstalled)


async def test_state_of_the_release_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state without a moment began in the second of its signature, or after it."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        monkeypatch.setattr("wix_asgi.handshake.state.secrets.token_urlsafe", lambda _: "x" * 43)
        monkeypatch.setattr("wix_asgi.handshake.state._MOMENT", "x")
        browser = one.browser()
        url = await consented(fake, browser)
        monkeypatch.undo()
        monkeypatch.setenv("WIX_AFTER_INSTALL", "close")
        await call(one)
        answer = await browser.http.get(url)

    assert 303 == answer.status_code
    assert 1 == len(one.installed)


async def test_storage_that_keeps_no_debts() -> None:
    """Its callback cannot know whether `on_install` was told: it is a new installation."""
    fake, storage = FakeWix(), without_add(MemoryStorage)()
    async with app_process(fake, storage) as one:
        browser = one.browser()
        url = await consented(fake, browser)
        await call(one)
        await browser.http.get(url)
        stored = await one.stored()

    assert stored is not None
    assert 2 == len(one.installed)


async def test_mark_of_a_found_installation() -> None:
    """It stays with a refresh and a note, and goes with the callback of its install alone."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        fake.mark_installed(SITE)
        await call(one)
        marks = []
        for work in (refresh, note):
            await work(one)
            stored = await one.stored()
            marks.append(stored and stored.is_found)
        await one.install()
        stored = await one.stored()

    assert [True, True] == marks
    assert stored is not None
    assert not stored.is_found


async def note(process: Process) -> None:
    """Note the origin of the site."""
    stored: Any = await process.stored()
    assert await process.wix._installations.note_origin(stored, OTHER_SITE)
    assert await process.wix._installations.note_origin(dataclasses.replace(stored), "\n")
