"""Every order in which callbacks and events of one install, or of an uninstall, may come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import permutations
from pathlib import Path

import pytest

from tests.handshake.handshaking import FLOWS, FlowUnderTest
from tests.handshake.owing import STORAGES, make_storage
from tests.support import SITE
from tests.webhooks.lifecycles import CREATED, DELETED, UPDATED, Process, app_process
from wix_asgi.models import GrantType
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix

Step = Callable[[Process], Awaitable[object]]

ORDERS_OF_INSTALL = [*permutations(["callback", "AppInstalled", "created"])]
ORDERS_OF_REINSTALL = [*permutations(["AppRemoved", "updated", "callback", "AppInstalled"])]
ORDERS_OF_REMOVAL = [*permutations(["AppRemoved", "updated", "deleted"])]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, which the databases want."""
    return "asyncio"


@pytest.fixture(name="storage", params=STORAGES)
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str | Storage:
    """Return the storage that all processes of a test use."""
    return make_storage(request, tmp_path)


@pytest.fixture(name="flow", params=FLOWS, ids=lambda flow: flow.name.value)
def _flow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FlowUnderTest:
    """Have the apps of a test install by this flow, and end at Wix's close-window page."""
    flow: FlowUnderTest = request.param
    monkeypatch.setenv("WIX_FLOW", flow.name)
    monkeypatch.setenv("WIX_AFTER_INSTALL", "close")
    return flow


def event(event_type: str) -> Step:
    """Return the step in which a process applies an event of this type."""
    return lambda process: process.apply(event_type)


async def consented(fake: FakeWix, process: Process) -> Step:
    """Begin an install and consent to it at Wix; return the step in which its callback comes."""
    browser = process.browser()
    url = fake.approve(await browser.begin(fake), instance_id=SITE)
    fake.mark_installed(SITE)
    return lambda _: browser.http.get(url)


@pytest.mark.parametrize("order", ORDERS_OF_INSTALL, ids="-".join)
async def test_events_and_the_callback_of_one_install(
    flow: FlowUnderTest, storage: str | Storage, order: tuple[str, ...]
) -> None:
    """They make one installation with the grant of the callback, of which the app is told once."""
    fake = FakeWix()
    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        steps = {
            "callback": await consented(fake, one),
            "AppInstalled": event("AppInstalled"),
            "created": event(CREATED),
        }
        for step, process in zip(order, (one, other, one), strict=True):
            await steps[step](one if step == "callback" else process)
        for process in (one, other):
            await process.settled()
        stored = await one.stored()
        found = await one.only()
        answer = await other.wix.client(SITE).get("/x")

    assert stored is not None
    assert [found.installed_at] == [it.installed_at for it, _ in one.installed + other.installed]
    assert (False, False) == (stored.owes_on_install, stored.is_found)
    assert flow.is_advanced is (stored.grant_type is GrantType.REFRESH_TOKEN)
    assert 200 == answer.status_code


@pytest.mark.parametrize("order", ORDERS_OF_REINSTALL, ids="-".join)
async def test_events_of_a_removal_beside_those_of_a_reinstall(
    flow: FlowUnderTest, storage: str | Storage, order: tuple[str, ...]
) -> None:
    """Where Wix has the app on the site again, nothing is removed; the reinstall is told of."""
    del flow
    fake = FakeWix()
    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        before = await one.install()
        fake.uninstall(SITE)
        removed = fake.make_event(UPDATED, SITE)
        callback = await consented(fake, one)
        steps: dict[str, Step] = {
            "AppRemoved": event("AppRemoved"),
            "updated": lambda process: process.apply(UPDATED, data=removed.data),
            "callback": callback,
            "AppInstalled": event("AppInstalled"),
        }
        for step, process in zip(order, (one, other, one, other), strict=True):
            await steps[step](one if step == "callback" else process)
        for process in (one, other):
            await process.settled()
        found = await one.only()
        told = [it for it, _ in one.installed + other.installed]
        answer = await other.wix.client(SITE).get("/x")

    assert [before.installed_at, found.installed_at] == [it.installed_at for it in told]
    assert before.installed_at < found.installed_at
    assert [] == one.uninstalled + other.uninstalled
    assert 200 == answer.status_code


@pytest.mark.parametrize("is_found", [False, True], ids=["by_callback", "by_event"])
@pytest.mark.parametrize("order", ORDERS_OF_REMOVAL, ids="-".join)
async def test_events_of_one_removal(
    flow: FlowUnderTest, storage: str | Storage, order: tuple[str, ...], *, is_found: bool
) -> None:
    """They remove the installation and tell of it once; a reinstall is a new one."""
    del flow
    fake = FakeWix()
    async with app_process(fake, storage) as one, app_process(fake, storage) as other:
        if is_found:
            fake.mark_installed(SITE)
            await one.apply("AppInstalled")
        else:
            await one.install()
        before = await one.only()
        fake.uninstall(SITE)
        types = {"AppRemoved": "AppRemoved", "updated": UPDATED, "deleted": DELETED}
        for step, process in zip(order, (one, other, one), strict=True):
            await process.apply(types[step])
        left = await one.all()
        again = await other.install()
        await other.settled()

    assert [before] == one.uninstalled + other.uninstalled
    assert [] == left
    told = [it.installed_at for it, _ in one.installed + other.installed]
    assert [before.installed_at, again.installed_at] == told
