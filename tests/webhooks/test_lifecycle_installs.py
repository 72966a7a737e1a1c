"""Events of an install: stored with a token of Wix, told of once, and nothing else is touched."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
import stamina

from tests.engine import MISCONFIGURED, NOT_FOUND
from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import CREDENTIALS
from tests.support import SITE
from tests.webhooks.lifecycles import CREATED, UPDATED, app_process, signed
from wix_asgi.errors import NotInstalled, StorageUnavailable, WixUnavailable
from wix_asgi.handshake.policy import OnInstallPolicy
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.models import GrantType
from wix_asgi.testing import FakeWix

EXTERNAL: dict[str, Any] = {"flow": "client_credentials"}
HOUR_AGO: dict[str, Any] = {"issued_at": time.time() - 3600}
OURS = {"appId": "fake-app-id"}


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Do not pause between the tries of one question."""
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.mark.parametrize("event_type", ["AppInstalled", CREATED, UPDATED])
@pytest.mark.parametrize("options", [{}, EXTERNAL], ids=["advanced", "client_credentials"])
async def test_install_without_a_callback(event_type: str, options: dict[str, Any]) -> None:
    """It is stored with a token that Wix has granted, and told of without a call."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    async with app_process(fake, "memory://", **options) as one:
        await one.apply(event_type)
        found = await one.only()
        stored = await one.stored()

    assert [(found, None)] == one.installed
    assert GrantType.CLIENT_CREDENTIALS is found.grant
    assert stored is not None
    assert stored.access_token is not None
    assert not stored.owes_on_install


async def test_app_that_does_not_recover(caplog: pytest.LogCaptureFixture) -> None:
    """In the advanced flow without `recover` it is left to the callback, with a line in the log."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    with caplog.at_level(logging.INFO, "wix_asgi"):
        async with app_process(fake, "memory://", recover=False) as one:
            await one.apply("AppInstalled")
            left = await one.all()

    assert ([], [], []) == (left, fake.calls, one.installed)
    assert f"brings no installation, which its callback may bring: {NotInstalled()}" in caplog.text


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("AppInstalled", {"appId": "another"}),
        (CREATED, {"createdEvent": {"entity": {"appId": "another", "instanceId": SITE}}}),
        ("wix.contacts.v4.contact_created", {"createdEvent": {"entity": OURS}}),
    ],
    ids=["dashboard_test", "other_app", "other_type"],
)
async def test_events_of_others(event_type: str, data: Any) -> None:
    """Neither another app's installation nor another event changes or asks anything."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    async with app_process(fake, "memory://") as one:
        await one.apply(event_type, data=data)
        left = await one.all()

    assert ([], []) == (left, fake.calls)


async def test_case_of_the_app_id_does_not_count() -> None:
    """An app whose id is set in capitals is told of its own installations."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    async with app_process(fake, "memory://", **EXTERNAL) as one:
        await one.apply("AppInstalled", data={"appId": fake.app_id.upper()})
        left = await one.all()

    assert [SITE] == [installation.instance_id for installation in left]


async def test_healthy_installation_stays() -> None:
    """No row is written, and Wix is asked nothing."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        await one.install()
        before = await one.stored()
        fake.calls.clear()
        for event_type in ("AppInstalled", CREATED, UPDATED):
            await one.apply(event_type)
        after = await one.stored()

    assert before is not None
    assert after is not None
    assert before.version == after.version
    assert [] == fake.calls


async def test_lost_installation_heals() -> None:
    """A row that says that Wix refuses it gets a token once Wix grants one."""
    fake = FakeWix()
    async with app_process(fake, "memory://", **EXTERNAL) as one:
        fake.mark_installed(SITE)
        await one.apply("AppInstalled")
        stored = await one.stored()
        assert stored is not None
        await one.wix._installations.note_failure(stored, RefreshFailure.NOT_INSTALLED, 0.0)
        fake.expire_access_tokens()
        await one.apply("AppInstalled")
        healed = await one.stored()

    assert healed is not None
    assert (None, stored.installed_at) == (healed.failure, healed.installed_at)
    assert 1 == len(one.installed)


async def test_token_of_the_installation_before() -> None:
    """A token that this process has still of a removed installation does not stand for a new."""
    fake, storage = FakeWix(), FlakyStorage()
    fake.mark_installed(SITE)
    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        await one.apply("AppInstalled")
        await one.wix.client(SITE).get("/x")
        await other.removal.remove(SITE)
        await one.apply("AppInstalled")
        left = await one.all()

    assert 1 == len(left)
    assert 2 == len(one.installed)


async def test_no_of_a_moment_before() -> None:
    """A no that was remembered for a caller does not outlive the install."""
    fake = FakeWix()
    async with app_process(fake, "memory://", **EXTERNAL) as one:
        with pytest.raises(NotInstalled):
            await one.wix.client(SITE).get("/x")
        fake.mark_installed(SITE)
        await one.apply("AppInstalled")

    assert 1 == len(one.installed)


@pytest.mark.parametrize("fault", [{"status": 503}, {"kind": "drop"}, MISCONFIGURED])
async def test_wix_gives_no_answer(fault: dict[str, Any]) -> None:
    """The event is to be tried again, and then brings the installation."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    async with app_process(fake, "memory://", **EXTERNAL) as one:
        fake.fail(CREDENTIALS, times=None, **fault)
        with pytest.raises(WixUnavailable):
            await one.apply("AppInstalled")
        fake.heal()
        await one.apply("AppInstalled")
        left = await one.all()

    assert (1, 1) == (len(left), len(one.installed))


async def test_storage_gives_no_answer() -> None:
    """The event is to be tried again, and then brings the installation."""
    fake, storage = FakeWix(), FlakyStorage()
    fake.mark_installed(SITE)
    async with app_process(fake, storage) as one:
        storage.down = {"put"}
        with pytest.raises(StorageUnavailable):
            await one.apply("AppInstalled")
        storage.down = set()
        await one.apply("AppInstalled")

    assert 1 == len(one.installed)


@pytest.mark.parametrize(
    ("options", "sent", "pauses"),
    [
        (EXTERNAL, {}, [0.0, 0.5, 1.5]),
        (EXTERNAL, HOUR_AGO, [0.0]),
        ({}, {}, [0.0]),
    ],
    ids=["recent", "old", "advanced"],
)
async def test_wix_knows_no_installation(
    options: dict[str, Any],
    sent: dict[str, Any],
    pauses: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The event ends with a line in the log: the app may be gone again, or never come by it."""
    fake = FakeWix()
    with caplog.at_level(logging.INFO, "wix_asgi"):
        async with app_process(fake, "memory://", **options) as one:
            await one.apply("AppInstalled", **sent)
            left = await one.all()

    assert ([], pauses) == (left, one.pauses)
    assert len(pauses) == fake.count(CREDENTIALS)
    assert 1 == caplog.text.count("AppInstalled brings no installation")


async def test_wix_knows_of_an_install_late() -> None:
    """Where its token endpoint is behind its event, it is asked again in a moment."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    async with app_process(fake, "memory://", **EXTERNAL) as one:
        fake.fail(CREDENTIALS, times=2, **NOT_FOUND)
        await one.apply("AppInstalled")

    assert 1 == len(one.installed)


async def test_update_without_a_status() -> None:
    """Wix is asked: it may be an install, an uninstall, or neither."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        fake.mark_installed(SITE)
        counts = []
        for _ in range(2):
            await one.apply(UPDATED, data={})
            counts.append(len(await one.all()))
        fake.uninstall(SITE)
        await one.apply(UPDATED, data={})
        counts.append(len(await one.all()))

    assert [1, 1, 0] == counts
    assert (1, 1) == (len(one.installed), len(one.uninstalled))


async def test_old_event_waits_for_no_callback() -> None:
    """A debt is paid at once where the install was long ago."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    policy = OnInstallPolicy(callback_wait=1e6)
    async with app_process(fake, "memory://", policy=policy) as one:
        await one.apply("AppInstalled", **HOUR_AGO)

    assert 1 == len(one.installed)


async def test_recent_event_leaves_the_callback_its_hook() -> None:
    """The callback of the same install comes first, and tells with its request."""
    fake = FakeWix()
    policy = OnInstallPolicy(callback_wait=1e6, poll_pause=0.01)
    async with app_process(fake, "memory://", policy=policy) as one:
        browser = one.browser()
        url = fake.approve(await browser.begin(fake), instance_id=SITE)
        fake.mark_installed(SITE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.lifecycle.apply, signed(fake, "AppInstalled"))
            await one.is_paying(SITE)
            await browser.http.get(url)
            one.hurry(SITE)
        await one.lifecycle.apply(signed(fake, "AppInstalled"))

    ((_, request),) = one.installed
    assert request is not None


async def test_process_without_the_hook() -> None:
    """It stores the installation, and leaves the debt to a process that has the hook."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    async with app_process(fake, "memory://") as one:
        one.wix._hooks.on_install.clear()
        await one.apply("AppInstalled")
        stored = await one.stored()

    assert stored is not None
    assert stored.owes_on_install


async def test_shutdown_ends_the_wait_for_a_callback() -> None:
    """The event is to be tried again: on_install is owed still."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    policy = OnInstallPolicy(callback_wait=1e6)
    async with app_process(fake, "memory://", policy=policy) as one:

        async def apply() -> None:
            with pytest.raises(WixUnavailable):
                await one.lifecycle.apply(signed(fake, "AppInstalled"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(apply)
            await one.is_paying(SITE)
            await anyio.wait_all_tasks_blocked()
            await one.wix._detached.aclose(0)

    assert [] == one.installed
