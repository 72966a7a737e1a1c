"""on_install is told of each installation: at least once, and once where no process died in it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from starlette.responses import PlainTextResponse, Response

from tests.handshake.owing import OTHER_SITE, STORAGES, Process, make_storage, process
from tests.support import SITE
from wix_asgi.handshake.on_install import OnInstall
from wix_asgi.installations.repository import Addition
from wix_asgi.models import AccessToken, Grant
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
        owed_meanwhile = await next_one.owes()
        next_one.on_install.owe(SITE)
        await one.wix._detached.aclose(0)
        await next_one.settled()
        owes = await next_one.owes()

    assert (1, 1) == (len(one.seen), len(next_one.seen))
    assert (True, False) == (owed_meanwhile, owes)


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
        add = one.wix._installations.add

        async def add_and_pay(*args: Any, **options: Any) -> Addition:
            addition = await add(*args, **options)
            other.on_install.owe(SITE)
            await other.settled()
            return addition

        monkeypatch.setattr(one.wix._installations, "add", add_and_pay)
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
