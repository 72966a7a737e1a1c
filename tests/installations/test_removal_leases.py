"""Removals beside each other, and beside installs."""

from __future__ import annotations

from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from tests.engine import Steps
from tests.support import SITE
from tests.webhooks.lifecycles import Process, app_process
from wix_asgi.handshake.policy import OnInstallPolicy
from wix_asgi.installations.claims import on_uninstall_debt, removal_lease
from wix_asgi.installations.removal import RemovalPolicy
from wix_asgi.models import Installation
from wix_asgi.storage import ClaimReader
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage


async def debt(process: Process) -> str | None:
    """Return the debt that stands in storage."""
    assert isinstance(process.wix.storage, ClaimReader)
    return await process.wix.storage.claim_owner(on_uninstall_debt(process.fake.app_id, SITE))


async def hang(_: Installation) -> None:
    """Be a hook that never ends."""
    await anyio.sleep_forever()


async def grant_of(process: Process) -> Any:
    """Return another grant for the site."""
    return await process.wix._oauth.client_credentials(SITE)


async def test_removal_waits_for_the_lease_of_another() -> None:
    """A row that stays meanwhile is removed then; a reinstall of the meantime stays."""
    fake, storage = FakeWix(), Steps(lambda: 0.0)
    lease = removal_lease(fake.app_id, SITE)
    outcomes = []
    async with app_process(fake, storage) as one:
        for is_reinstalled in (False, True):
            await one.install()
            await storage.claim(lease, "another", 60.0)
            async with anyio.create_task_group() as tasks:

                async def remove() -> None:
                    outcomes.append(await one.wix.remove(SITE))

                storage.log.clear()
                tasks.start_soon(remove)
                await storage.asked("claim")
                if is_reinstalled:
                    storage._clock = lambda: 1.0
                    await one.wix._installations.put(
                        SITE, (await grant_of(one)), owes_on_install=False
                    )
                else:
                    await storage.release(lease, "another")
            await storage.release(lease, "another")

    assert [True, False] == outcomes


async def test_reinstall_between_the_debt_and_the_delete() -> None:
    """It stays, and so nothing is told, nor owed."""
    fake, storage = FakeWix(), Steps(lambda: 2e9)
    async with app_process(fake, storage) as one:
        await one.install()
        fake.uninstall(SITE)

        async def reinstall() -> None:
            storage._clock = lambda: 2e9 + 1
            fake.mark_installed(SITE)
            await one.wix._installations.put(SITE, await grant_of(one))

        storage.before["delete"] = reinstall
        await one.apply("AppRemoved")
        left = (len(await one.all()), one.uninstalled, await debt(one))

    assert (1, [], None) == left


async def test_process_without_such_hooks() -> None:
    """It removes without a lease and without a debt, and pays none."""
    fake, storage = FakeWix(), Steps(lambda: 0.0)
    async with app_process(fake, storage) as one:
        one.wix._hooks.on_uninstall.clear()
        await one.install()
        storage.log.clear()
        is_removed = await one.wix.remove(SITE)
        await one.removal.pay(SITE)

    assert (True, ["get", "delete"]) == (is_removed, storage.log)


async def test_hook_that_runs_holds_no_install_up() -> None:
    """A reinstall waits for the hook of a removal no longer than for a killed process."""
    fake, storage = FakeWix(), MemoryStorage()
    removals = RemovalPolicy(poll_pause=0.001, max_polls=3)
    policy = OnInstallPolicy(callback_wait=0, poll_pause=0.01)
    options: dict[str, Any] = {"removals": removals, "policy": policy}
    async with (
        app_process(fake, storage, on_uninstall=hang, **options) as one,
        app_process(fake, storage, **options) as other,
    ):
        await one.install()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.wix.remove, SITE)
            while not one.uninstalled:
                await checkpoint()
            await other.install()
            await other.apply("AppRemoved")
            tasks.cancel_scope.cancel()
        await one.wix._detached.aclose(0)

    assert (1, []) == (len(other.installed), other.uninstalled)
