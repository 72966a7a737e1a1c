"""Rotating keys, on every backend."""

from __future__ import annotations

import functools

import anyio

from tests.operations.sealed import (
    APP,
    LOST,
    NEW,
    OLD,
    SITE,
    all_of,
    contents,
    install,
    installations,
    read,
    record,
    record_of,
    refresh_token,
    token,
)
from wix_asgi.errors import UnknownKey
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.models import Grant
from wix_asgi.operations.rotate_keys import Rotation, rotate_keys
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage

RING = Vault([NEW, OLD])
ROUNDS = 10


def settings(**given: object) -> WixSettings:
    """Return settings with these secrets."""
    return WixSettings.load(app_id=APP, public_url="https://app.example.com", **given)


async def test_the_old_key_may_go(source: Storage) -> None:
    """After a rotation over several pages the new key alone opens everything (R33)."""
    sites = [f"site-{number:03}" for number in range(120)]
    await install(source, *sites)
    rotation = await rotate_keys(APP, source, RING)

    assert Rotation(resealed=120) == rotation
    assert [f"refresh-{site}" for site in sites] == [
        await refresh_token(source, site, NEW) for site in sites
    ]


async def test_before_a_rotation_both_keys_open(source: Storage) -> None:
    """With both keys, tokens of either are read, and the next refresh uses the new key (R33)."""
    await install(source, SITE)
    before = await read(source, SITE, NEW, OLD)
    replaced = await installations(source, NEW, OLD).replace(
        before, Grant(token("access-2"), "refresh-2")
    )

    assert f"refresh-{SITE}" == before.refresh_token
    assert replaced
    assert "refresh-2" == await refresh_token(source, SITE, NEW)


async def test_what_is_new_already_is_not_written(source: Storage) -> None:
    """A second rotation opens everything, and changes nothing."""
    await install(source, "a", "b")
    await rotate_keys(APP, source, RING)
    before = await contents(source)

    assert Rotation(current=2) == await rotate_keys(APP, source, RING)
    assert before == await contents(source)


async def test_an_unknown_key_is_named_and_its_record_kept(source: Storage) -> None:
    """Records whose key is missing are counted by its id and stay; the rest are resealed (R33)."""
    await install(source, "a", "c", key=LOST)
    await install(source, "b")
    before = [await record_of(source, site) for site in "ac"]
    rotation = await rotate_keys(APP, source, RING)
    unreadable = (await read(source, "a", NEW, OLD)).unreadable

    assert unreadable is not None
    assert isinstance(unreadable.error, UnknownKey)
    assert Rotation(resealed=1, unknown={unreadable.error.key_id: 2}) == rotation
    assert (3, 2) == (rotation.seen, rotation.unreadable)
    assert [(one.version, one.refresh_token) for one in before] == [
        (one.version, one.refresh_token) for one in [await record_of(source, s) for s in "ac"]
    ]
    assert "refresh-a" == await refresh_token(source, "a", LOST)


async def test_what_was_tampered_with_is_kept(source: Storage) -> None:
    """A record that cannot be opened with its key is counted, and stays as it is (R32)."""
    moved = RING.seal("test-token", app_id=APP, instance_id="other", field="refresh_token")
    await source.put(record(SITE, refresh_token=moved))
    before = await contents(source)

    assert Rotation(damaged=1) == await rotate_keys(APP, source, RING)
    assert before == await contents(source)


async def test_a_record_needs_no_access_token(source: Storage) -> None:
    """Where there is none, none is made."""
    sealed = Vault([OLD]).seal("test-token", app_id=APP, instance_id=SITE, field="refresh_token")
    await source.put(record(SITE, refresh_token=sealed, access_token=None))

    assert Rotation(resealed=1) == await rotate_keys(APP, source, RING)
    assert ("test-token", None) == (
        (await read(source, SITE, NEW)).refresh_token,
        (await record_of(source)).access_token,
    )


async def test_the_verdict_and_the_moment_of_the_install_stay(source: Storage) -> None:
    """A rotation is no install, no refresh and no failure (R33)."""
    await install(source, SITE)
    noted = await installations(source, OLD).note_failure(
        await read(source, SITE, OLD), RefreshFailure.REFUSED, 45.0
    )
    before = await record_of(source)
    await rotate_keys(APP, source, RING)
    after = await record_of(source)

    assert noted
    assert (before.installed_at, "refused", 300.0) == (
        after.installed_at,
        after.failure,
        after.lifetime,
    )
    assert 0 < after.retry_in <= before.retry_in
    assert after.expires_in <= before.expires_in


async def test_other_apps_are_left_alone(source: Storage) -> None:
    """A rotation is of one app's installations."""
    await install(source, SITE)

    assert Rotation() == await rotate_keys("other-app", source, RING)
    assert f"refresh-{SITE}" == await refresh_token(source, SITE, OLD)


async def test_a_changed_app_secret_loses_nothing(source: Storage) -> None:
    """Tokens of the former secret are read, resealed, and read without that secret (R33)."""
    first, second = "test-app-secret-number-one", "test-app-secret-number-two"
    before = settings(app_secret=first)
    during = settings(app_secret=second, previous_app_secrets=[first])
    old, ring, new = (
        Vault(one.key_ring()) for one in (before, during, settings(app_secret=second))
    )
    row = {"app_id": APP, "instance_id": SITE, "field": "refresh_token"}
    await source.put(record(refresh_token=old.seal("test-token", **row), access_token=None))
    opened = ring.unseal((await record_of(source)).refresh_token, **row)
    await rotate_keys(APP, source, ring)

    assert "test-token" == opened
    assert "test-token" == new.unseal((await record_of(source)).refresh_token, **row)


async def test_progress_is_told(source: Storage) -> None:
    """After each installation it is told how many there were."""
    await install(source, "a", "b", "c")
    told: list[int] = []
    await rotate_keys(APP, source, RING, report=lambda now: told.append(now.seen))

    assert [1, 2, 3] == told


async def test_no_refresh_is_lost(source: Storage) -> None:
    """Workers that refresh the same rows while keys rotate lose none of it (R33)."""
    sites = [f"site-{number}" for number in range(8)]
    await install(source, *sites)

    async def work(site: str) -> None:
        """Refresh as workers do: store the grant by comparison, until that succeeds."""
        worker = installations(source, NEW, OLD)
        for number in range(ROUNDS):
            grant = Grant(token(f"access-{number}"), f"refresh-{number}-of-{site}")
            while not await worker.replace(await read(source, site, NEW, OLD), grant):
                pass

    async with anyio.create_task_group() as tasks:
        for site in sites:
            tasks.start_soon(work, site)
        for _ in range(3):
            tasks.start_soon(functools.partial(rotate_keys, APP, source, RING))
    rotation = await rotate_keys(APP, source, RING)

    assert len(sites) == rotation.seen
    assert 0 == rotation.unreadable
    assert [f"refresh-{ROUNDS - 1}-of-{site}" for site in sites] == [
        await refresh_token(source, site, NEW) for site in sites
    ]


async def test_installs_and_removals_beside_it_stay(source: Storage) -> None:
    """Records installed anew, removed or added meanwhile are as they were written (R33)."""
    sites = [f"site-{number}" for number in range(12)]
    await install(source, *sites)

    async def work() -> None:
        for site in sites[::3]:
            grant = Grant(token("access-again"), f"again-{site}")
            await installations(source, NEW, OLD).put(site, grant)
        for site in sites[1::3]:
            await source.delete(APP, site)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        tasks.start_soon(functools.partial(rotate_keys, APP, source, RING))

    expected = {site: f"again-{site}" for site in sites[::3]}
    expected |= {site: f"refresh-{site}" for site in sites[2::3]}
    assert expected == {
        found.instance_id: await refresh_token(source, found.instance_id, NEW)
        async for found in all_of(source)
    }
