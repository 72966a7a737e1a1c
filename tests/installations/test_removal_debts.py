"""`on_uninstall` is told at least once, and once where no process died in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.engine import Steps
from tests.handshake.owing import STORAGES, make_storage
from tests.limits import PATIENCE
from tests.support import SITE, without_claim_owner
from tests.webhooks.lifecycles import DELETED, UPDATED, Process, app_process, signed
from wix_asgi.errors import StorageUnavailable, WixUnavailable
from wix_asgi.installations.claims import on_uninstall_debt
from wix_asgi.models import Installation
from wix_asgi.storage import ClaimReader, Storage
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, which the databases want."""
    return "asyncio"


@pytest.fixture(name="storage", params=STORAGES)
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str | Storage:
    """Return the storage that all processes of a test use."""
    return make_storage(request, tmp_path)


async def debt(process: Process) -> str | None:
    """Return the debt that stands in storage."""
    assert isinstance(process.wix.storage, ClaimReader)
    return await process.wix.storage.claim_owner(on_uninstall_debt(process.fake.app_id, SITE))


async def owe(storage: Storage, removed: Installation) -> None:
    """Leave the debt of a process that was killed behind its delete."""
    facts = f'"{removed.installed_at.isoformat()}"'
    text = f'{{"installed_at": {facts}, "origin_instance_id": null, "grant": "{removed.grant}"}}'
    await storage.claim(on_uninstall_debt(removed.app_id, SITE), text, 60.0)


async def hang(_: Installation) -> None:
    """Be a hook in which the process ends."""
    await anyio.sleep_forever()


async def test_two_kinds_of_events_in_two_processes(storage: str | Storage) -> None:
    """At the same moment, all of which have asked Wix before any removes, they tell once."""
    fake, asked, go_on = FakeWix(), list[str](), anyio.Event()

    async def hold(process: Process) -> None:
        ask = process.lifecycle._presence.ask

        async def ask_and_wait(instance_id: str) -> bool | None:
            answer = await ask(instance_id)
            asked.append(instance_id)
            if len(asked) == 6:
                go_on.set()
            await go_on.wait()
            return answer

        process.lifecycle._presence.ask = ask_and_wait  # type: ignore[method-assign] # a slow Wix

    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        before = await one.install()
        fake.uninstall(SITE)
        for process in (one, other):
            await hold(process)
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for process in (one, other):
                    for event_type in ("AppRemoved", UPDATED, DELETED):
                        tasks.start_soon(process.lifecycle.apply, signed(fake, event_type))
        left = (await one.all(), await debt(one))

    assert [before] == one.uninstalled + other.uninstalled
    assert ([], None) == left


async def test_event_beside_a_removal_of_the_app(storage: str | Storage) -> None:
    """`wix.remove()` and an event at the same moment tell once."""
    fake, outcomes = FakeWix(), list[bool]()
    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        before = await one.install()
        fake.uninstall(SITE)

        async def remove() -> None:
            outcomes.append(await other.wix.remove(SITE))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.lifecycle.apply, signed(fake, "AppRemoved"))
            tasks.start_soon(remove)

    assert [before] == one.uninstalled + other.uninstalled
    assert [bool(other.uninstalled)] == outcomes


async def test_process_that_ends_inside_of_the_hook(storage: str | Storage) -> None:
    """Its event comes again, and is told by the next process, with the same facts."""
    fake = FakeWix()
    async with (
        app_process(fake, storage, on_uninstall=hang) as one,
        app_process(fake, storage) as next_one,
    ):
        before = await one.install()
        fake.uninstall(SITE)
        async with anyio.create_task_group() as tasks:

            async def apply() -> None:
                with pytest.raises(WixUnavailable):
                    await one.lifecycle.apply(signed(fake, "AppRemoved"))

            tasks.start_soon(apply)
            while not one.uninstalled:
                await checkpoint()
            owed = await debt(next_one)
            await one.wix._detached.aclose(0)
        for _ in range(2):
            await next_one.apply("AppRemoved")
        left = await debt(next_one)

    assert [before] == one.uninstalled == next_one.uninstalled
    assert owed is not None
    assert left is None


async def test_removal_that_is_called_again(storage: str | Storage) -> None:
    """A job that was killed in `wix.remove()` and begins anew pays its debt, once."""
    fake = FakeWix()
    async with (
        app_process(fake, storage, on_uninstall=hang) as one,
        app_process(fake, storage) as next_one,
    ):
        before = await one.install()
        async with anyio.create_task_group() as tasks:

            async def remove() -> None:
                with pytest.raises(WixUnavailable):
                    await one.wix.remove(SITE)

            tasks.start_soon(remove)
            while not one.uninstalled:
                await checkpoint()
            beside = await next_one.wix.remove(SITE)
            told_beside = list(next_one.uninstalled)
            await one.wix._detached.aclose(0)
        again = [await next_one.wix.remove(SITE) for _ in range(2)]
        left = await debt(next_one)

    assert (False, []) == (beside, told_beside)
    assert [False, False] == again
    assert [before] == one.uninstalled == next_one.uninstalled
    assert left is None


async def test_waiting_event_pays_for_a_process_that_ends(storage: str | Storage) -> None:
    """The other kind of event, which has come meanwhile, need not wait for the first again."""
    fake = FakeWix()
    async with (
        app_process(fake, storage, on_uninstall=hang) as one,
        app_process(fake, storage) as other,
    ):
        before = await one.install()
        fake.uninstall(SITE)
        async with anyio.create_task_group() as tasks:

            async def apply() -> None:
                with pytest.raises(WixUnavailable):
                    await one.lifecycle.apply(signed(fake, "AppRemoved"))

            tasks.start_soon(apply)
            while not one.uninstalled:
                await checkpoint()
            tasks.start_soon(other.lifecycle.apply, signed(fake, UPDATED))
            await one.wix._detached.aclose(0)
    assert [before] == other.uninstalled


async def test_removal_is_told_before_the_next_install(storage: str | Storage) -> None:
    """A reinstall that comes before the event does again has the app hear of both, in order."""
    fake, heard = FakeWix(), list[tuple[str, Any]]()

    async def note_end(installation: Installation) -> None:
        heard.append(("uninstalled", installation.installed_at))

    async def note_beginning(installation: Installation) -> None:
        heard.append(("installed", installation.installed_at))

    async with (
        app_process(fake, storage, on_uninstall=hang) as one,
        app_process(fake, storage, on_uninstall=note_end, on_install=note_beginning) as other,
    ):
        before = await one.install()
        fake.uninstall(SITE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.lifecycle.apply, signed(fake, "AppRemoved"))
            while not one.uninstalled:
                await checkpoint()
            tasks.cancel_scope.cancel()
        await one.wix._detached.aclose(0)
        after = await other.install()
        await other.apply("AppRemoved")

    assert [("uninstalled", before.installed_at), ("installed", after.installed_at)] == heard


@pytest.mark.parametrize("is_carried_out", [True, False])
async def test_delete_without_an_answer(*, is_carried_out: bool) -> None:
    """Whether the row is gone or not, the event tells once when it comes again."""
    fake, storage = FakeWix(), Steps(lambda: 0.0)
    async with app_process(fake, storage) as one:
        await one.install()
        fake.uninstall(SITE)
        moment = storage.after if is_carried_out else storage.before
        moment["delete"] = raising(StorageUnavailable())
        with pytest.raises(StorageUnavailable):
            await one.apply("AppRemoved")
        told_then = list(one.uninstalled)
        moment.clear()
        await one.apply("AppRemoved")

    assert ([], 1) == (told_then, len(one.uninstalled))


def raising(error: Exception) -> Callable[[], Awaitable[object]]:
    """Return a step that fails."""

    async def step() -> None:
        raise error

    return step


async def test_delete_that_a_storage_has_repeated() -> None:
    """A storage that lost an answer repeats by itself, and finds nothing: that is told, too."""

    class Repeating(MemoryStorage):
        async def delete(self, *args: Any, **options: Any) -> bool:
            await super().delete(*args, **options)
            return await super().delete(*args, **options)

    fake = FakeWix()
    async with app_process(fake, Repeating()) as one:
        await one.install()
        is_removed = await one.wix.remove(SITE)

    assert (True, 1) == (is_removed, len(one.uninstalled))


async def test_killed_before_the_delete() -> None:
    """A debt whose row is there is none: it is told with the removal, and not without."""
    fake, storage = FakeWix(), Steps(lambda: 0.0)
    async with app_process(fake, storage) as one:
        await one.install()
        fake.uninstall(SITE)
        storage.before["delete"] = raising(StorageUnavailable())
        with pytest.raises(StorageUnavailable):
            await one.wix.remove(SITE)
        owed = await debt(one)
        storage.before.clear()
        fake.mark_installed(SITE)
        await one.removal.pay(SITE)
        stays = await one.all()
        fake.uninstall(SITE)
        await one.apply("AppRemoved")

    assert owed is not None
    assert (1, 1) == (len(stays), len(one.uninstalled))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"installed_at": "x", "grant": "?", "origin_instance_id": null}']
)
async def test_debt_of_another_release(text: str) -> None:
    """A debt that is not understood is left alone, and holds no removal up."""
    fake, storage = FakeWix(), MemoryStorage()
    async with app_process(fake, storage) as one:
        await one.install()
        await storage.claim(on_uninstall_debt(fake.app_id, SITE), text, 60.0)
        await one.removal.pay(SITE)
        is_removed = await one.wix.remove(SITE)
        left = await debt(one)

    assert (True, 1, text) == (is_removed, len(one.uninstalled), left)


async def test_storage_that_tells_no_owners() -> None:
    """The process that removes tells, and nobody else can."""
    fake, storage = FakeWix(), without_claim_owner(MemoryStorage)()
    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        await one.install()
        fake.uninstall(SITE)
        await one.apply("AppRemoved")
        await other.apply("AppRemoved")

    assert (1, 0) == (len(one.uninstalled), len(other.uninstalled))


async def test_process_that_pays_beside_another() -> None:
    """It waits until the other process has told, and does not tell again."""
    fake, storage = FakeWix(), Steps(lambda: 0.0)

    async def tell_late(_: Installation) -> None:
        await storage.asked("claim", storage.log.count("claim") + 1)

    async with (
        app_process(fake, storage, on_uninstall=tell_late) as one,
        app_process(fake, storage) as other,
    ):
        before = await one.install()
        await storage.delete(fake.app_id, SITE)
        await owe(storage, before)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.removal.pay, SITE)
            while not one.uninstalled:
                await checkpoint()
            await other.removal.pay(SITE)

    assert ([before], []) == (one.uninstalled, other.uninstalled)


async def test_shutdown_ends_the_wait_for_a_debt() -> None:
    """Where the hook of a debt outlives the shutdown, its event is told of that."""
    fake, storage = FakeWix(), MemoryStorage()
    async with app_process(fake, storage, on_uninstall=hang) as one:
        before = await one.install()
        await storage.delete(fake.app_id, SITE)
        await owe(storage, before)
        async with anyio.create_task_group() as tasks:

            async def apply() -> None:
                with pytest.raises(WixUnavailable):
                    await one.lifecycle.apply(signed(fake, "AppRemoved"))

            tasks.start_soon(apply)
            while not one.uninstalled:
                await checkpoint()
            await one.wix._detached.aclose(0)

    assert [before] == one.uninstalled
