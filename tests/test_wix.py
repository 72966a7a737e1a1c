"""Wix: opened and closed as one, by a job or a middleware, once or again."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.clients import REFRESH, Internet, install, installed
from tests.support import PUBLIC_URL, SITE, StepByStep, make_wix
from wix_asgi import (
    Record,
    SettingsError,
    Storage,
    StorageUnavailable,
    Wix,
)
from wix_asgi import _setting_sources as settings_module
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix
from wix_asgi.transport.pooled import PoolTransport
from wix_asgi_backends.memory import MemoryStorage

EVENT = "/apps/v1/bi-event"


class NotingStorage(StepByStep):
    """A storage that notes when it is opened and closed, and fails when told."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []
        self.opened = 0
        self.closed = 0
        self.is_down = False

    async def open(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.is_down:
            raise StorageUnavailable("The test database is down.")
        self.opened += 1

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed += 1
        self.steps.append("close")

    async def replace(self, record: Record, *, expected: str) -> bool:
        self.steps.append("replace")
        return await super().replace(record, expected=expected)


class ReadStorage(MemoryStorage):
    """A storage that notes the installations that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        self.read.append(instance_id)
        return await super().get(app_id, instance_id)


@pytest.fixture
def storage() -> NotingStorage:
    """Return a storage that notes what happens to it."""
    return NotingStorage()


@pytest.fixture
def own_storage(storage: NotingStorage, monkeypatch: pytest.MonkeyPatch) -> NotingStorage:
    """Return the storage that a Wix opens by its URL, and so has to close."""
    monkeypatch.setattr(settings_module, "open_storage", lambda url: storage)
    return storage


async def test_a_job() -> None:
    """In a job, a Wix finds each installation and has an authenticated client for it."""
    fake = FakeWix()
    async with make_wix(fake) as wix:
        for site in fake.sites:
            await install(wix, fake, site)
        found = [installation async for installation in wix.installations()]
        answers = [await wix.client(one.instance_id).get("/x") for one in found]

    assert list(fake.sites) == [one.instance_id for one in found]
    assert list(fake.sites) == [answer.json()["instanceId"] for answer in answers]
    assert {fake.app_id} == {one.app_id for one in found}


async def test_the_token_cache_has_the_size_of_its_setting() -> None:
    """A token beyond `token_cache` is read from storage once more, and one within it is not."""
    fake = FakeWix()
    storage = ReadStorage()
    async with storage, make_wix(fake, storage=storage, token_cache=1) as wix:
        first, second = fake.add_site("first"), fake.add_site("second")
        for site in (first, second):
            await install(wix, fake, site)
            await wix.client(site).get("/x")
        storage.read.clear()
        await wix.client(second).get("/x")
        within = list(storage.read)
        await wix.client(first).get("/x")

    assert [] == within
    assert [first] == storage.read


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keywords, all is read from the variables; a keyword wins."""
    monkeypatch.setenv("WIX_APP_ID", "app-1")
    monkeypatch.setenv("WIX_APP_SECRET", "test-app-secret-number-one")
    monkeypatch.setenv("WIX_PUBLIC_URL", "https://app.example.com")
    monkeypatch.setenv("WIX_STORAGE", "memory://")
    wix = Wix(state_ttl=60)

    assert ("app-1", 60) == (wix.settings.app_id, wix.settings.state_ttl)
    assert isinstance(wix.storage, MemoryStorage)
    assert "<Wix app app-1>" == repr(wix)


def test_wrong_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong stops it, and no frame of the error has the secret in it (R35, R47)."""
    with pytest.raises(SettingsError) as caught:
        Wix(app_id="app-1", app_secret="test-app-secret-number-one", public_url="nonsense")

    frames = traceback.walk_tb(caught.value.__traceback__)
    seen = [value for frame, _ in frames for value in frame.f_locals.values()]
    assert "public_url" in str(caught.value)
    assert "number-one" not in repr([value for value in seen if not isinstance(value, Wix)])


@pytest.mark.parametrize("wrong", [Path("wix.db"), object(), 1])
def test_what_is_no_storage_is_refused(wrong: Any) -> None:
    """What is neither a URL nor a Storage is an error, not the default in its place (R47)."""
    with pytest.raises(SettingsError, match="storage"):
        make_wix(FakeWix(), storage=wrong)


async def test_own_storage_is_opened_and_closed(own_storage: NotingStorage) -> None:
    """A storage that was named by its URL is opened and closed with the Wix."""
    wix = make_wix(FakeWix())
    async with wix as same:
        assert same is wix
        assert wix.is_open

    assert not wix.is_open
    assert (1, 1) == (own_storage.opened, own_storage.closed)


async def test_given_parts_are_not_closed(storage: NotingStorage) -> None:
    """A Storage and a transport that were handed in stay their owner's to close."""
    internet = Internet(FakeWix())
    async with installed(internet.fake, storage=storage, transport=internet) as (wix, client):
        await client.get("/x")

    assert wix.storage is storage
    assert 0 == storage.closed
    assert not internet.closed


async def test_given_storage_may_serve_two(storage: NotingStorage) -> None:
    """A storage that is handed to two keeps what one of them stored, after that one is closed."""
    fake = FakeWix()
    async with installed(fake, storage=storage):
        pass
    async with make_wix(fake, storage=storage) as wix:
        answer = await wix.client(SITE).get("/x")

    assert isinstance(storage, Storage)
    assert 200 == answer.status_code


async def test_opening_again_changes_nothing(own_storage: NotingStorage) -> None:
    """Many may open it at the same moment; it is opened once, and closed once."""
    wix = make_wix(FakeWix())
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(wix.open)
    await wix.open()
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(wix.aclose)
    await wix.aclose()

    assert (1, 1) == (own_storage.opened, own_storage.closed)


async def test_it_opens_again(own_storage: NotingStorage) -> None:
    """After it was closed it can be opened, and used, again."""
    fake = FakeWix()
    wix = make_wix(fake)
    async with wix:
        await install(wix, fake)
    async with wix:
        answer = await wix.client(SITE).get("/x")

    assert 200 == answer.status_code
    assert (2, 2) == (own_storage.opened, own_storage.closed)


async def test_it_opens_by_itself(own_storage: NotingStorage) -> None:
    """Whatever needs the storage opens it: a client, the list, the end of a set-up."""
    fake = FakeWix()
    used = 0
    for use in ("client", "installations", "finish_setup"):
        wix = make_wix(fake)
        await install(wix, fake)
        await wix.aclose()
        if use == "client":
            await wix.client(SITE).get("/x")
        elif use == "installations":
            assert [SITE] == [one.instance_id async for one in wix.installations()]
        else:
            await wix.finish_setup(SITE)
        used += wix.is_open
        await wix.aclose()

    assert 3 == used
    assert (6, 6) == (own_storage.opened, own_storage.closed)


async def test_storage_that_is_down(own_storage: NotingStorage) -> None:
    """What it may have opened is closed, for nobody else will; the next try may succeed."""
    own_storage.is_down = True
    fake = FakeWix()
    wix = make_wix(fake)
    for use in (wix.open, wix.__aenter__, lambda: wix.client(SITE).get("/x")):
        with pytest.raises(StorageUnavailable):
            await use()
    closed_after_failure = wix.is_open, own_storage.closed
    own_storage.is_down = False
    await wix.open()
    is_open_now = wix.is_open
    await wix.aclose()

    assert (False, 3) == closed_after_failure
    assert is_open_now


async def test_given_storage_that_is_down(storage: NotingStorage) -> None:
    """One that was handed in stays its owner's to close."""
    storage.is_down = True
    with pytest.raises(StorageUnavailable):
        await make_wix(FakeWix(), storage=storage).open()

    assert 0 == storage.closed


async def test_cancelled_opening_closes(
    own_storage: NotingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that gives up while its database is slow leaves no connection."""
    with anyio.CancelScope() as scope:

        async def give_up() -> None:
            scope.cancel()
            await anyio.lowlevel.checkpoint()

        monkeypatch.setattr(own_storage, "open", give_up)
        await make_wix(FakeWix()).open()

    assert 1 == own_storage.closed


async def test_what_cannot_send_requests_opens_no_storage(
    own_storage: NotingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where certificates are missing, nothing is left open behind the error."""

    def fail(_pool: PoolTransport) -> None:
        raise FileNotFoundError("no certificates")

    monkeypatch.setattr(PoolTransport, "warm", fail)
    with pytest.raises(FileNotFoundError):
        await Wix(public_url=PUBLIC_URL, storage="memory://", **FakeWix().settings()).open()

    assert own_storage.opened == own_storage.closed


async def test_cancelled_job_closes(own_storage: NotingStorage) -> None:
    """A job that is cancelled closes what it had opened."""
    with anyio.CancelScope() as scope:
        async with make_wix(FakeWix()):
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert (1, 1) == (own_storage.opened, own_storage.closed)


async def test_closing_waits_for_refreshes(own_storage: NotingStorage) -> None:
    """A refresh that nobody waits for any more is stored before the storage is closed."""
    fake = FakeWix(rotate_refresh_tokens=True)
    async with installed(fake) as (wix, client), anyio.create_task_group() as tasks:
        fake.expire_access_tokens()
        with fake.hold(REFRESH) as gate:
            async with anyio.create_task_group() as callers:
                callers.start_soon(client.get, "/x")
                await gate.arrived()
                callers.cancel_scope.cancel()
            tasks.start_soon(wix.aclose)
            await anyio.wait_all_tasks_blocked()
    async with make_wix(fake) as again:
        answer = await again.client(SITE).get("/x")

    assert 200 == answer.status_code
    assert ["replace", "close", "close"] == own_storage.steps
    assert 1 == fake.count(REFRESH)


def test_hooks_stay_functions() -> None:
    """A hook that is registered by a decorator is still what it was."""
    wix = make_wix(FakeWix())

    def hook() -> None:
        """Do nothing."""

    assert hook is wix.on_install(hook)
    assert hook is wix.on_uninstall(hook)
    assert hook is wix.on_error(hook)


def test_client_of_a_job_is_the_named_site() -> None:
    """`client` says for whom it works without being opened."""
    client = make_wix(FakeWix()).client(SITE)

    assert client.identity is not None
    assert SITE == client.identity.instance_id
    assert isinstance(client, httpx.AsyncClient)
