from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from traceback import TracebackException
from typing import Any

import pytest

from tests.engine import ManualClock, Steps
from wix_asgi.errors import StorageUnavailable, UnknownKey, UnsealError
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import RefreshFailure, StoredInstallation
from wix_asgi.models import AccessToken, Grant, GrantType, Installation, Record
from wix_asgi.sealing.vault import Vault
from wix_asgi_backends.memory import MemoryStorage

APP = "test-app"
SITE = "test-site"
KEY = b"k" * 32
ACCESS = "test-access-token-0123456789"
REFRESH = "test-refresh-token-0123456789"
NEW_ACCESS = "test-access-token-9876543210"
NEW_REFRESH = "test-refresh-token-9876543210"


@pytest.fixture(name="installations")
def _installations(storage: Steps, clock: ManualClock) -> InstallationRepository:
    return make(storage, clock)


def make(storage: MemoryStorage, clock: ManualClock, *keys: bytes) -> InstallationRepository:
    """Return the installations in `storage`, sealed with the first of `keys`."""
    return InstallationRepository(APP, storage, Vault(keys or [KEY]), clock=clock)


def token_of(clock: ManualClock, value: str = ACCESS) -> AccessToken:
    """Return a token that was granted now."""
    return AccessToken(value, 300.0, clock() + 300.0)


def grant_of(clock: ManualClock, value: str = ACCESS, refresh_token: str | None = REFRESH) -> Grant:
    """Return a grant of this moment."""
    return Grant(token_of(clock, value), refresh_token)


async def read(installations: InstallationRepository) -> StoredInstallation:
    """Return what is stored of the site."""
    stored = await installations.get(SITE)
    assert stored is not None
    return stored


async def test_a_stored_installation_is_read_back(
    installations: InstallationRepository, clock: ManualClock
) -> None:
    """Tokens and times are those that were stored; nothing has failed."""
    await installations.put(SITE, grant_of(clock))
    stored = await read(installations)

    assert (SITE, REFRESH, token_of(clock)) == (
        stored.instance_id,
        stored.refresh_token,
        stored.access_token,
    )
    assert (None, datetime.fromtimestamp(1_000, UTC)) == (stored.failure, stored.installed_at)


async def test_an_unknown_site_is_none(installations: InstallationRepository) -> None:
    """A site that was never installed is not there."""
    assert await installations.get(SITE) is None


async def test_the_storage_sees_no_token(
    installations: InstallationRepository, storage: Steps, clock: ManualClock
) -> None:
    """Both tokens are sealed in the record (R32)."""
    await installations.put(SITE, grant_of(clock))
    record = await storage.get(APP, SITE)
    assert record is not None
    sealed = record.refresh_token + (record.access_token or b"")

    assert ACCESS.encode() not in sealed
    assert REFRESH.encode() not in sealed


async def test_a_life_goes_on_in_storage(
    installations: InstallationRepository, clock: ManualClock
) -> None:
    """A token that is read later ends at the moment at which it would have ended."""
    await installations.put(SITE, grant_of(clock))
    clock.advance(100)
    stored = await read(installations)

    assert stored.access_token is not None
    assert 1_300.0 == stored.access_token.expires_at


async def test_a_slow_read_does_not_lengthen_a_life(
    installations: InstallationRepository, storage: Steps, clock: ManualClock
) -> None:
    """A token's rest is counted from before the storage was asked, as its answer takes time."""
    await installations.put(SITE, grant_of(clock))

    async def dawdle() -> None:
        clock.advance(5)

    storage.after["get"] = dawdle
    stored = await read(installations)

    assert stored.access_token is not None
    assert 1_300.0 == stored.access_token.expires_at


@pytest.mark.parametrize(
    ("granted", "expected"), [(None, REFRESH), (REFRESH, REFRESH), (NEW_REFRESH, NEW_REFRESH)]
)
async def test_a_refresh_token_stays_until_there_is_another(
    installations: InstallationRepository, clock: ManualClock, granted: str | None, expected: str
) -> None:
    """An answer without one keeps the old one, and a new one replaces it (RFC 6749, 6)."""
    await installations.put(SITE, grant_of(clock))
    before = await read(installations)
    grant = grant_of(clock, NEW_ACCESS, granted)
    replaced = await installations.replace(before, grant)
    after = await read(installations)

    assert replaced
    assert (expected, token_of(clock, NEW_ACCESS)) == (after.refresh_token, after.access_token)
    assert before.installed_at == after.installed_at
    assert before.version != after.version


async def test_a_write_in_between_wins(
    installations: InstallationRepository, clock: ManualClock
) -> None:
    """Neither a refresh nor the note of a failure is written over a newer row."""
    await installations.put(SITE, grant_of(clock))
    before = await read(installations)
    await installations.put(SITE, grant_of(clock, NEW_ACCESS, NEW_REFRESH))

    assert not await installations.replace(before, grant_of(clock))
    assert not await installations.note_failure(before, RefreshFailure.REFUSED, 30.0)
    assert NEW_REFRESH == (await read(installations)).refresh_token


async def test_a_removed_row_does_not_come_back(
    installations: InstallationRepository, storage: Steps, clock: ManualClock
) -> None:
    """Neither a refresh nor the note of a failure makes a row."""
    await installations.put(SITE, grant_of(clock))
    before = await read(installations)
    await storage.delete(APP, SITE)

    assert not await installations.replace(before, grant_of(clock))
    assert not await installations.note_failure(before, RefreshFailure.REFUSED, 30.0)
    assert await installations.get(SITE) is None


async def test_a_failure_is_noted_beside_the_tokens(
    installations: InstallationRepository, clock: ManualClock
) -> None:
    """The tokens stay as they are, and the seconds until the next try run down."""
    await installations.put(SITE, grant_of(clock))
    before = await read(installations)
    noted = await installations.note_failure(before, RefreshFailure.REFUSED, 30.0)
    clock.advance(10)
    after = await read(installations)

    assert noted
    assert ("refused", 20.0) == (after.failure, after.retry_in)
    assert (before.refresh_token, before.access_token) == (after.refresh_token, after.access_token)


async def test_a_refresh_ends_a_failure(
    installations: InstallationRepository, clock: ManualClock
) -> None:
    """A noted failure is over with the next success."""
    await installations.put(SITE, grant_of(clock))
    await installations.note_failure(await read(installations), RefreshFailure.UNAVAILABLE, 30.0)
    await installations.replace(await read(installations), grant_of(clock))
    after = await read(installations)

    assert (None, 0.0) == (after.failure, after.retry_in)


async def test_a_record_may_have_no_access_token(
    installations: InstallationRepository, storage: Steps
) -> None:
    """It is read, and a failure noted on it leaves it without one."""
    sealed = Vault([KEY]).seal(REFRESH, app_id=APP, instance_id=SITE, field="refresh_token")
    await storage.put(Record(app_id=APP, instance_id=SITE, version="v", refresh_token=sealed))
    before = await read(installations)
    await installations.note_failure(before, RefreshFailure.REFUSED, 30.0)
    after = await read(installations)

    assert before.access_token is None
    assert ("refused", None) == (after.failure, after.access_token)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
async def test_all_are_read_page_by_page(
    installations: InstallationRepository, storage: Steps, clock: ManualClock, count: int
) -> None:
    """Every installation comes once, in order, in pages of a hundred; no token is opened."""
    sites = [f"site-{number:03}" for number in range(count)]
    for site in reversed(sites):
        await installations.put(site, grant_of(clock))
    other = InstallationRepository("other-app", storage, Vault([KEY]), clock=clock)
    await other.put(SITE, grant_of(clock))
    keyless = make(storage, clock, b"n" * 32)
    installed_at = datetime.fromtimestamp(1_000, UTC)

    assert [Installation(APP, site, installed_at) for site in sites] == [
        installation async for installation in keyless.all()
    ]
    assert count // 100 + 1 == storage.log.count("scan")


async def test_an_unknown_key_is_named(
    installations: InstallationRepository, storage: Steps, clock: ManualClock
) -> None:
    """A key that left the ring is an error of its own, and the row is kept (R33)."""
    await installations.put(SITE, grant_of(clock))
    stored = await read(make(storage, clock, b"n" * 32))

    assert stored.unreadable is not None
    assert isinstance(stored.unreadable.error, UnknownKey)
    assert ("", None) == (stored.refresh_token, stored.access_token)
    assert REFRESH == (await read(make(storage, clock, b"n" * 32, KEY))).refresh_token


async def test_a_row_that_was_copied_cannot_be_read(
    installations: InstallationRepository, storage: Steps, clock: ManualClock
) -> None:
    """A seal is good in its own row only (R32)."""
    await installations.put("another-site", grant_of(clock))
    record = await storage.get(APP, "another-site")
    assert record is not None
    stolen = Record(
        app_id=APP,
        instance_id=SITE,
        version="v",
        refresh_token=record.refresh_token,
        access_token=record.access_token,
    )
    await storage.put(stolen)
    stored = await read(installations)

    assert stored.unreadable is not None
    assert UnsealError is type(stored.unreadable.error)
    assert ("", None) == (stored.refresh_token, stored.access_token)


@pytest.mark.parametrize("step", ["replace", "get"])
async def test_errors_show_no_token(
    installations: InstallationRepository, storage: Steps, clock: ManualClock, step: str
) -> None:
    """Neither do the locals of their frames, nor the repr of what is stored (R35)."""
    await installations.put(SITE, grant_of(clock))
    stored = await read(installations)
    storage.fail(step, StorageUnavailable())
    with pytest.raises(StorageUnavailable) as caught:
        await (
            installations.get(SITE)
            if step == "get"
            else installations.replace(stored, grant_of(clock))
        )
    trace = "".join(TracebackException.from_exception(caught.value, capture_locals=True).format())

    assert ACCESS not in trace + repr(stored)
    assert REFRESH not in trace + repr(stored)


@pytest.mark.parametrize("field", ["refresh_token", "access_token"])
async def test_a_broken_seal_is_one_of_its_field_alone(
    installations: InstallationRepository, storage: Steps, clock: ManualClock, field: str
) -> None:
    """The other token is read, and what is told of the broken one shows neither (R35)."""
    await installations.put(SITE, grant_of(clock))
    record = await storage.get(APP, SITE)
    assert record is not None
    sealed: bytes = getattr(record, field)
    broken: Any = sealed[:-1] + bytes([sealed[-1] ^ 1])
    await storage.put(dataclasses.replace(record, **{field: broken}))
    stored = await read(installations)
    is_refresh_token = field == "refresh_token"

    assert ("" if is_refresh_token else REFRESH) == stored.refresh_token
    assert is_refresh_token is (stored.unreadable is not None)
    assert is_refresh_token is (stored.access_token is not None)
    assert ACCESS not in repr(stored)
    if stored.unreadable is not None:
        assert None is stored.unreadable.error.__traceback__
        assert repr(broken) not in repr(stored)


@pytest.mark.parametrize("write", ["replace", "note_failure"])
async def test_a_refresh_token_without_its_key_is_kept(
    installations: InstallationRepository, storage: Steps, clock: ManualClock, write: str
) -> None:
    """A process that has its key reads it again, after one without it has written the row (R33)."""
    await installations.put(SITE, grant_of(clock))
    keyless = make(storage, clock, b"n" * 32)
    stored = await read(keyless)
    if write == "replace":
        token = AccessToken(ACCESS, 300.0, clock() + 300.0)
        assert await keyless.replace(stored, Grant(token), grant_type=GrantType.CLIENT_CREDENTIALS)
    else:
        assert await keyless.note_failure(stored, RefreshFailure.NOT_INSTALLED, 30.0)

    assert REFRESH == (await read(installations)).refresh_token
    assert (write == "replace") is ((await read(keyless)).access_token is not None)
