"""Records are read as they were written, with the seconds that are left by the store's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.records import APP, SITE, installed_at, read, record, timeless
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_access_tokens",
    "test_failures",
    "test_installed_at_is_utc",
    "test_installed_now",
    "test_lifetimes",
    "test_nothing_stored",
    "test_put_begins_anew",
    "test_put_may_be_repeated",
    "test_put_overwrites",
    "test_puts_at_once_leave_one",
    "test_reading_changes_nothing",
    "test_refresh_tokens",
    "test_replaced_tokens",
    "test_round_trip",
    "test_round_trip_of_the_least",
    "test_seconds_are_counted_from_the_write",
    "test_seconds_of_the_token",
    "test_seconds_run_down",
    "test_seconds_until_retry",
    "test_versions",
]

_TOKENS: Final = {
    "empty": b"",
    "a zero byte": b"\x00",
    "zero bytes": b"a\x00b\x00",
    "no text": b"\xff\xfe\xc3\x28",
    "text": "{\"t\u00f6ken\": '\\'} \r\n".encode(),
    "every byte": bytes(range(256)),
    "20 kB": bytes(range(256)) * 80,
    "200 kB": bytes(range(256)) * 800,
}
_SECONDS: Final = {
    "an hour": 3600.0,
    "a year": 31_536_000.0,
    "over": -5.0,
    "over for days": -259_200.0,
}
# Seconds that may pass between a write and its read: far more than a busy machine needs, and far
# less than the durations above.
_LEEWAY: Final = 100.0


async def test_nothing_stored(storage: Storage) -> None:
    """Reading an installation that was never written returns None."""
    assert await storage.get(APP, SITE) is None


async def test_round_trip(storage: Storage) -> None:
    """A record is read as it was written."""
    written = record(lifetime=14400.57, expires_in=240.0, failure="refused", retry_in=30.0)
    await storage.put(written)

    assert timeless(written) == timeless(await storage.get(APP, SITE))


async def test_round_trip_of_the_least(storage: Storage) -> None:
    """A record without an access token, and with empty fields, is read as it was written."""
    written = record(access_token=None, lifetime=0.0, expires_in=0.0, refresh_token=b"")
    await storage.put(written)

    assert timeless(written) == timeless(await storage.get(APP, SITE))


@each("token", _TOKENS)
async def test_refresh_tokens(storage: Storage, token: bytes) -> None:
    """A refresh token of any bytes, and of any length, is kept byte for byte."""
    await storage.put(record(refresh_token=token))

    assert token == (await read(storage)).refresh_token


@each("token", {"none": None, **_TOKENS})
async def test_access_tokens(storage: Storage, token: bytes | None) -> None:
    """An access token is kept byte for byte; None differs from an empty token."""
    await storage.put(record(access_token=token))

    assert token == (await read(storage)).access_token


@each("token", _TOKENS)
async def test_replaced_tokens(storage: Storage, token: bytes) -> None:
    """Tokens that `replace` writes are kept byte for byte, too."""
    await storage.put(record())
    changed = record(version="version-2", refresh_token=token, access_token=token)

    assert await storage.replace(changed, expected="version-1")
    stored = await read(storage)
    assert (token, token) == (stored.refresh_token, stored.access_token)


@each(
    "version",
    {
        "hexadecimal": "9f86d081884c7d659a2feaa0c55ad015",
        "base64": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        "Unicode": "v\u00e9rsion \U0001f600",
        "quotes": 'it\'s "one" -- \\',
        "500 letters": "v" * 500,
    },
)
async def test_versions(storage: Storage, version: str) -> None:
    """A version is kept as it is, and found again by `replace`."""
    await storage.put(record(version=version))

    assert version == (await read(storage)).version
    assert await storage.replace(record(version="next"), expected=version)


@each(
    "failure",
    {
        "none": None,
        "empty": "",
        "a word": "refused",
        "Unicode": "r\u00e9fus\u00e9 \U0001f600",
        "2000 letters": "f" * 2000,
    },
)
async def test_failures(storage: Storage, failure: str | None) -> None:
    """The reason of a failure is kept as it is; None differs from an empty reason."""
    await storage.put(record(failure=failure))

    assert failure == (await read(storage)).failure


@each("lifetime", {"none": 0.0, "five minutes": 300.0, "parts": 14400.57, "days": 259_200.0})
async def test_lifetimes(storage: Storage, lifetime: float) -> None:
    """A lifetime is kept as it is: it does not run down."""
    await storage.put(record(lifetime=lifetime))

    assert lifetime == (await read(storage)).lifetime


@each("seconds", _SECONDS)
async def test_seconds_of_the_token(storage: Storage, seconds: float) -> None:
    """A reader gets the seconds that the access token has left, also negative seconds."""
    await storage.put(record(expires_in=seconds))

    assert seconds - _LEEWAY < (await read(storage)).expires_in <= seconds


@each("seconds", _SECONDS)
async def test_seconds_until_retry(storage: Storage, seconds: float) -> None:
    """A reader gets the seconds until a retry, also negative seconds."""
    await storage.put(record(retry_in=seconds))

    assert seconds - _LEEWAY < (await read(storage)).retry_in <= seconds


async def test_seconds_run_down(storage: Storage) -> None:
    """The seconds that are left run down as time passes, and go on below zero."""
    await storage.put(record(expires_in=0.02, retry_in=0.02))

    async def are_over() -> bool:
        stored = await read(storage)
        return stored.expires_in < 0 and stored.retry_in < 0

    await until(are_over)


async def test_seconds_are_counted_from_the_write(storage: Storage) -> None:
    """A refresh sets the seconds anew, regardless of the seconds left before."""
    await storage.put(record(expires_in=-100.0, retry_in=5000.0))
    await storage.replace(
        record(version="version-2", expires_in=5000.0, retry_in=-100.0), expected="version-1"
    )
    stored = await read(storage)

    assert 5000 - _LEEWAY < stored.expires_in <= 5000
    assert -100 - _LEEWAY < stored.retry_in <= -100


async def test_installed_at_is_utc(storage: Storage) -> None:
    """The moment of an installation has a time zone, and it is UTC."""
    await storage.put(record())

    assert timedelta(0) == (await installed_at(storage)).utcoffset()


@each(
    "said",
    {
        "nothing": None,
        "the past": datetime(2001, 1, 1, tzinfo=UTC),
        "the future": datetime(2101, 1, 1, tzinfo=UTC),
    },
)
async def test_installed_now(storage: Storage, said: datetime | None) -> None:
    """The moment of an installation is the moment of its `put`, not a value of the record."""
    await storage.put(record("reference"))
    await storage.put(record(installed_at=said))
    passed = await installed_at(storage) - await installed_at(storage, "reference")

    assert timedelta(0) <= passed < timedelta(minutes=5)


async def test_put_overwrites(storage: Storage) -> None:
    """A second install of a site replaces the first install in every field."""
    await storage.put(record(failure="refused", retry_in=60.0))
    again = record(version="version-2", refresh_token=b"another", access_token=None, lifetime=9.0)
    await storage.put(again)

    assert timeless(again) == timeless(await storage.get(APP, SITE))
    assert 1 == len(await storage.scan(APP))


async def test_put_begins_anew(storage: Storage) -> None:
    """A second install of a site has its own moment of installation."""
    await storage.put(record())
    first = await installed_at(storage)

    async def is_later() -> bool:
        await storage.put(record(version="version-2"))
        return await installed_at(storage) > first

    await until(is_later)


async def test_put_may_be_repeated(storage: Storage) -> None:
    """Writing the same record again is harmless."""
    await storage.put(record())
    await storage.put(record())

    assert [timeless(record())] == [timeless(found) for found in await storage.scan(APP)]


async def test_puts_at_once_leave_one(storage: Storage) -> None:
    """Ten installs of a site at once leave a single, complete record."""
    written = [
        record(version=f"version-{number}", refresh_token=b"%d" % number) for number in range(10)
    ]
    await together(*[partial(storage.put, one) for one in written])
    (stored,) = await storage.scan(APP)

    assert timeless(stored) in [timeless(one) for one in written]


async def test_reading_changes_nothing(storage: Storage) -> None:
    """Twenty readers at once get the same record, and leave it unchanged."""
    await storage.put(record())
    found = await together(*[partial(storage.get, APP, SITE) for _ in range(20)])

    assert [timeless(record())] * 20 == [timeless(one) for one in found]
    assert timeless(record()) == timeless(await storage.get(APP, SITE))
