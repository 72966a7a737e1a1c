"""on_install is told of each installation: at least once, and once where no process died in it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.handshake.handshaking import (
    FlakyStorage,
    begin,
    broken,
    call_back,
    reason_of,
)
from tests.handshake.owing import STORAGES, make_storage
from tests.limits import PATIENCE
from tests.support import SITE, Browser, make_wix, without_add
from wix_asgi import Wix, WixMiddleware
from wix_asgi.handshake.on_install import OnInstall
from wix_asgi.handshake.policy import OnInstallPolicy
from wix_asgi.models import AccessToken, Grant, Installation
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix

OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"
SOON = OnInstallPolicy(poll_pause=0.01)


@pytest.fixture(name="storage", params=STORAGES)
def _storage(request: pytest.FixtureRequest, tmp_path: Any) -> str | Storage:
    """Return the storage that all processes of a test use."""
    return make_storage(request, tmp_path)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, which the databases want."""
    return "asyncio"


@dataclass
class Process:
    """One process of the app, and the arguments of its hook."""

    wix: Wix
    on_install: OnInstall
    seen: list[tuple[Installation, Request | None]] = field(default_factory=list)

    def browser(self) -> Browser:
        """Return a browser at this process."""
        return Browser(WixMiddleware(PlainTextResponse("app"), self.wix))

    async def add(self, site: str = SITE, *, owes: bool = True) -> None:
        """Store an installation as a caller or a webhook brings it."""
        grant = Grant(AccessToken("test-access-token", 14_400.0, anyio.current_time() + 14_400))
        await self.wix._installations.add(
            site, grant, origin_instance_id=OTHER_SITE, owes_on_install=owes
        )

    async def owes(self, site: str = SITE) -> bool:
        """Return whether the row says that on_install is owed."""
        return (await self.wix._installations.require(site)).owes_on_install

    async def settled(self) -> None:
        """Wait until no work is under way."""
        with anyio.fail_after(PATIENCE):
            await self.wix._detached._wait_for_all()


Act = Callable[[], Awaitable[object]]


@asynccontextmanager
async def process(
    fake: FakeWix,
    storage: str | Storage,
    act: Act | None = None,
    *,
    policy: OnInstallPolicy = SOON,
    **options: Any,
) -> AsyncIterator[Process]:
    """Run a process whose hook notes its arguments, and then does `act`."""
    processes: list[Process] = []

    async def hook(installation: Installation, request: Request | None) -> Response | None:
        processes[0].seen.append((installation, request))
        return cast("Response | None", await act() if act else None)

    async with make_wix(fake, storage=storage, **{"on_install": hook, **options}) as wix:
        on_install = OnInstall(
            app_id=fake.app_id,
            storage=wix.storage,
            installations=wix._installations,
            hooks=wix._hooks,
            clients=wix.clients,
            detached=wix._detached,
            policy=policy,
        )
        wix.handshake.callback._on_install = on_install
        processes.append(Process(wix, on_install))
        yield processes[0]


@pytest.mark.usefixtures("flow")
async def test_callback_takes_its_mark_away(storage: str | Storage) -> None:
    """That the hook is owed stands on the row while it runs, and no longer."""
    fake, marks = FakeWix(), list[bool]()

    async def look() -> None:
        marks.append(await one.owes())

    async with process(fake, storage, look) as one:
        answer = await one.browser().install(fake)
        marks.append(await one.owes())
    ((_, request),) = one.seen

    assert (303, [True, False]) == (answer.status_code, marks)
    assert request is not None


async def test_installation_that_no_browser_brought(storage: str | Storage) -> None:
    """The hook is told of it once, without a request, with its origin, by one process of two."""
    fake = FakeWix()
    async with process(fake, storage) as one, process(fake, storage) as other:
        await one.add()
        for each in (one, other) * 3:
            each.on_install.owe(SITE)
        await one.settled()
        await other.settled()
        one.on_install.owe(SITE)
        await one.settled()
        (listed,) = [found async for found in one.wix.installations()]
        owes = await one.owes()

    assert [(listed, None)] == one.seen + other.seen
    assert OTHER_SITE == listed.origin_instance_id
    assert not owes


async def test_hook_that_is_cut_off_is_called_again(storage: str | Storage) -> None:
    """A process that ends inside of the hook leaves the debt to the next one."""
    fake, begun = FakeWix(), anyio.Event()

    async def hang() -> None:
        begun.set()
        await anyio.sleep_forever()

    async with process(fake, storage, hang) as one, process(fake, storage) as next_one:
        await one.add()
        one.on_install.owe(SITE)
        await begun.wait()
        next_one.on_install.owe(SITE)
        await one.wix._detached.aclose(0)
        still_owed = await next_one.owes()
        await next_one.settled()
        owes = await next_one.owes()

    assert (1, 1) == (len(one.seen), len(next_one.seen))
    assert (True, False) == (still_owed, owes)


@pytest.mark.usefixtures("flow")
async def test_other_process_leaves_the_callback_its_hook(storage: str | Storage) -> None:
    """A process that sees the debt of an install under way tells nobody, and ends the wait."""
    fake, begun, go_on = FakeWix(), anyio.Event(), anyio.Event()

    async def wait() -> Response:
        begun.set()
        await go_on.wait()
        return PlainTextResponse("welcome")

    answers = []
    async with process(fake, storage, wait) as one, process(fake, storage) as other:

        async def install() -> None:
            answers.append(await one.browser().install(fake))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(install)
            await begun.wait()
            other.on_install.owe(SITE)
            go_on.set()
        await other.settled()

    assert ["welcome"] == [answer.text for answer in answers]
    assert (1, 0) == (len(one.seen), len(other.seen))


@pytest.mark.usefixtures("flow")
async def test_debt_that_another_process_has_paid(
    storage: str | Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another process came first, the callback leads its browser on, without the hook."""
    fake = FakeWix()
    async with process(fake, storage) as one, process(fake, storage) as other:
        put = one.wix._installations.put

        async def put_and_pay(*args: Any, **options: Any) -> None:
            await put(*args, **options)
            other.on_install.owe(SITE)
            await other.settled()

        monkeypatch.setattr(one.wix._installations, "put", put_and_pay)
        answer = await one.browser().install(fake)

    assert 303 == answer.status_code
    assert (0, 1) == (len(one.seen), len(other.seen))


@pytest.mark.usefixtures("flow")
async def test_two_installs_of_one_site_at_once(
    storage: str | Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each install has its hook with its own request, and its answer; nothing is owed then."""
    fake, begun, go_on, stored = FakeWix(), anyio.Event(), anyio.Event(), anyio.Event()

    async def wait() -> Response:
        begun.set()
        await go_on.wait()
        return PlainTextResponse("welcome")

    answers = []
    async with process(fake, storage, wait) as one, process(fake, storage, wait) as other:

        async def install(at: Process) -> None:
            answers.append(await at.browser().install(fake))

        async def tell(*args: Any) -> Response | None:
            stored.set()
            return await OnInstall.tell(other.on_install, *args)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(install, one)
            await begun.wait()
            monkeypatch.setattr(other.on_install, "tell", tell)
            tasks.start_soon(install, other)
            await stored.wait()
            go_on.set()
        owes = await one.owes()

    assert ["welcome"] * 2 == [answer.text for answer in answers]
    assert (1, 1, False) == (len(one.seen), len(other.seen), owes)


@pytest.mark.usefixtures("flow")
async def test_later_install_of_the_site_before_the_hook(
    storage: str | Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An install whose row a later one has replaced has its hook, and leaves the later its own."""
    fake, late, go_on = FakeWix(), anyio.Event(), anyio.Event()
    async with process(fake, storage) as one, process(fake, storage) as other:

        async def tell(*args: Any) -> Response | None:
            late.set()
            await go_on.wait()
            return await OnInstall.tell(one.on_install, *args)

        async def put_alone(*_: Any) -> None:
            go_on.set()
            await one.settled()

        monkeypatch.setattr(one.on_install, "tell", tell)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.browser().install, fake)
            await late.wait()
            monkeypatch.setattr(other.on_install, "tell", put_alone)
            await other.browser().install(fake)
        owed = await one.owes()

    assert (1, True) == (len(one.seen), owed)


async def test_row_that_is_written_meanwhile(storage: str | Storage) -> None:
    """A token that is refreshed while the hook runs stays, and the mark goes all the same."""
    fake = FakeWix()

    async def refresh() -> None:
        stored = await one.wix._installations.require(SITE)
        token = AccessToken("test-access-newer", 300.0, anyio.current_time() + 300)
        await one.wix._installations.replace(stored, Grant(token))

    async with process(fake, storage, refresh) as one:
        await one.add()
        one.on_install.owe(SITE)
        await one.settled()
        stored = await one.wix._installations.require(SITE)

    assert stored.access_token is not None
    assert ("test-access-newer", False) == (stored.access_token.value, stored.owes_on_install)


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
    policy = OnInstallPolicy(poll_pause=0.01, max_owed=2)
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
