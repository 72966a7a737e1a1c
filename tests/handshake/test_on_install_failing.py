"""on_install where something fails, is gone, or is not owed."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tests.backends.of_before import OfBefore
from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import begin, broken, call_back, reason_of
from tests.handshake.owing import STORAGES, make_storage, process
from tests.limits import PATIENCE
from tests.support import SITE, without_add
from wix_asgi.handshake.policy import OnInstallPolicy
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix


@pytest.fixture(name="storage", params=STORAGES)
def _storage(request: pytest.FixtureRequest, tmp_path: Any) -> str | Storage:
    """Return the storage that all processes of a test use."""
    return make_storage(request, tmp_path)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, which the databases want."""
    return "asyncio"


@pytest.mark.parametrize("is_reinstalled", [False, True])
async def test_row_that_is_gone_after_the_hook(
    storage: str | Storage, *, is_reinstalled: bool
) -> None:
    """An installation that ends while the hook runs is left alone, and so is a later one."""
    fake = FakeWix()

    async def end() -> None:
        await one.wix.storage.delete(fake.app_id, SITE)
        if is_reinstalled:
            await one.add()

    async with process(fake, storage, end) as one:
        await one.add()
        one.on_install.owe(SITE)
        await one.settled()
        rows = [await one.owes(found.instance_id) async for found in one.wix.installations()]

    assert 1 == len(one.seen)
    assert [True] * is_reinstalled == rows


@pytest.mark.parametrize("owes", [False, None])
async def test_nothing_is_owed(storage: str | Storage, *, owes: bool | None) -> None:
    """Neither an installation that was told nor one that is gone has the hook called."""
    fake = FakeWix()
    async with process(fake, storage) as one:
        if owes is not None:
            await one.add(owes=owes)
        one.on_install.owe(SITE)
        await one.settled()

    assert [] == one.seen


async def test_process_without_the_hook(storage: str | Storage) -> None:
    """A job whose process has no hook leaves the debt to the processes that have it."""
    fake = FakeWix()
    async with process(fake, storage) as one, process(fake, storage, on_install=None) as job:
        await one.add()
        job.on_install.owe(SITE)
        await job.settled()
        left = await one.owes()
        one.on_install.owe(SITE)
        await one.settled()

    assert left
    assert 1 == len(one.seen)


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3)], ids=repr)
async def test_hook_that_raises_is_told(
    storage: str | Storage, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the hook is logged with its site, and the hook is not called again."""
    fake = FakeWix()

    async def fail() -> None:
        raise error

    async with process(fake, storage, fail) as one:
        await one.add()
        for _ in range(2):
            one.on_install.owe(SITE)
            await one.settled()
        owes = await one.owes()
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]

    assert (1, False) == (len(one.seen), owes)
    assert SITE in line.getMessage()
    assert line.exc_info is not None
    assert line.exc_info[1] is error


@pytest.mark.parametrize("step", ["on_install", "get", "replace"])
async def test_failing_storage_costs_no_hook(step: str) -> None:
    """A storage that fails before or after the hook is asked again; the hook is called once."""
    fake, storage = FakeWix(), FlakyStorage()
    async with process(fake, storage) as one:
        await one.add()
        storage.down = {step}
        one.on_install.owe(SITE)
        await storage.reached(step, 3)
        storage.down = set()
        await one.settled()
        owes = await one.owes()

    assert (1, False) == (len(one.seen), owes)


async def test_unexpected_error_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that no code of ours expects is logged, and the site may be owed again."""
    fake = FakeWix()
    async with process(fake, FlakyStorage()) as one:
        await one.add()
        with monkeypatch.context() as patch:
            patch.setattr(FlakyStorage, "get", broken)
            one.on_install.owe(SITE)
            await one.settled()
        one.on_install.owe(SITE)
        await one.settled()

    assert "on_install failed for site" in caplog.text
    assert 1 == len(one.seen)


async def test_debts_are_paid_within_a_bound() -> None:
    """Of many installations that are owed at once, a few are told at one time."""
    fake, go_on = FakeWix(), anyio.Event()
    sites = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(5)]
    policy = OnInstallPolicy(callback_wait=0.0, poll_pause=0.01, max_owed=2)
    async with process(fake, FlakyStorage(), go_on.wait, policy=policy) as one:
        for site in sites:
            await one.add(site)
            one.on_install.owe(site)
        await anyio.wait_all_tasks_blocked()
        at_once = len(one.seen)
        go_on.set()
        await one.settled()

    assert (2, 5) == (at_once, len(one.seen))


async def test_shutdown_waits_for_hooks_alone() -> None:
    """A hook that has begun is waited for; a process that waits for its turn ends at once."""
    fake, begun, go_on = FakeWix(), anyio.Event(), anyio.Event()

    async def wait() -> None:
        begun.set()
        await go_on.wait()

    storage = FlakyStorage()
    async with process(fake, storage, wait) as one, process(fake, storage) as other:
        await one.add()
        one.on_install.owe(SITE)
        await begun.wait()
        other.on_install.owe(SITE)
        await anyio.wait_all_tasks_blocked()
        await other.wix._detached.aclose(PATIENCE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.wix._detached.aclose, PATIENCE)
            await anyio.wait_all_tasks_blocked()
            go_on.set()
        owes = await one.owes()

    assert (1, 0, False) == (len(one.seen), len(other.seen), owes)


@pytest.mark.usefixtures("flow")
async def test_storage_of_the_release_before() -> None:
    """Over a storage that keeps no marks the callback calls its hook, and claims nothing for it."""
    fake, storage = FakeWix(), without_add(FlakyStorage)()
    async with process(fake, storage) as one:
        answer = await one.browser().install(fake)

    assert (303, 1) == (answer.status_code, len(one.seen))
    assert 0 == storage.steps.count("on_install")


@pytest.mark.parametrize("backend", [without_add(FlakyStorage), OfBefore], ids=["whole", "known"])
async def test_found_site_in_a_storage_of_the_release_before(backend: type[Storage]) -> None:
    """No mark can be cleared there, so the process that finds a site tells of it, once."""
    fake = FakeWix()
    async with process(fake, backend()) as one, process(fake, one.wix.storage) as other:
        fake.mark_installed(SITE)
        for each in (one, other):
            for _ in range(2):
                await each.wix._tokens.get(SITE)
                await each.settled()
                each.wix._tokens.forget(SITE)
        owes = await one.owes()

    assert (1, 0, False) == (len(one.seen), len(other.seen), owes)


async def test_found_site_that_is_removed_in_a_storage_of_the_release_before() -> None:
    """Nothing is told of a site whose row is gone already."""
    async with process(FakeWix(), OfBefore()) as one:
        one.on_install.owe(SITE)
        await one.settled()

    assert [] == one.seen


@pytest.mark.usefixtures("flow")
async def test_removed_before_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that is removed before its hook is no success (R47)."""
    fake, storage = FakeWix(), FlakyStorage()
    async with process(fake, storage) as one:
        adopt = one.wix._tokens.adopt

        def adopt_and_remove(*args: Any) -> None:
            adopt(*args)
            fake.uninstall(SITE)
            storage._rows.clear()
            storage._ids.clear()
            one.wix._tokens._loops.here().cache.clear()

        monkeypatch.setattr(one.wix._tokens, "adopt", adopt_and_remove)
        browser = one.browser()
        answer = await call_back(browser, await begin(browser, fake))

    assert (409, "state_reused") == reason_of(answer)
    assert [] == one.seen
