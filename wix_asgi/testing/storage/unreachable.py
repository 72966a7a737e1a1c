"""An unreachable store is never taken for an empty store; the cases need `unreachable_storage`.

The fixture returns a storage, not opened, whose store refuses connections, is gone, or is no store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

import anyio
import pytest

from wix_asgi.errors import StorageUnavailable
from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.records import APP, SITE, record

__all__ = [
    "test_unreachable",
    "test_unreachable_and_closed",
    "test_unreachable_in_a_block",
    "test_unreachable_is_not_told_to_callers",
    "test_unreachable_to_many",
]

CountConnections = Callable[[Storage], int]

_NAME: Final = "name-that-is-not-shown"
_TOKEN: Final = b"token-that-is-not-shown"
_RECORD: Final = record(refresh_token=_TOKEN, access_token=_TOKEN)
_METHODS: Final[dict[str, Callable[[Storage], Awaitable[object]]]] = {
    "open": lambda storage: storage.open(),
    "get": lambda storage: storage.get(APP, SITE),
    "put": lambda storage: storage.put(_RECORD),
    "replace": lambda storage: storage.replace(_RECORD, expected="version-0"),
    "delete": lambda storage: storage.delete(APP, SITE),
    "delete before": lambda storage: storage.delete(
        APP, SITE, installed_before=datetime(2001, 1, 1, tzinfo=UTC)
    ),
    "scan": lambda storage: storage.scan(APP),
    "claim": lambda storage: storage.claim(_NAME, "owner", 60),
    "release": lambda storage: storage.release(_NAME, "owner"),
    "purge": lambda storage: storage.purge(),
}
# Seconds. The contract demands an error within about ten; this only ends a test that hangs.
_TEST_SECONDS: Final = 60.0


async def failure(call: Callable[[], Awaitable[object]]) -> StorageUnavailable:
    with anyio.fail_after(_TEST_SECONDS), pytest.raises(StorageUnavailable) as caught:
        await call()
    return caught.value


@pytest.mark.anyio
@pytest.mark.parametrize("method", _METHODS)
async def test_unreachable(
    unreachable_storage: Storage, method: str, connections_in_use: CountConnections
) -> None:
    """Every method raises `StorageUnavailable` from the driver's error, and keeps no connection."""
    error = await failure(partial(_METHODS[method], unreachable_storage))

    assert isinstance(error.__cause__, Exception)
    assert not isinstance(error.__cause__, StorageUnavailable)
    assert 0 == connections_in_use(unreachable_storage)
    await unreachable_storage.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("method", _METHODS)
async def test_unreachable_is_not_told_to_callers(
    unreachable_storage: Storage, method: str
) -> None:
    """The error contains no value of the call: no id, no name, no token."""
    error = await failure(partial(_METHODS[method], unreachable_storage))
    shown = f"{error!s} {error!r} {error.detail}"

    assert [] == [value for value in (APP, SITE, _NAME, _TOKEN.decode()) if value in shown]
    await unreachable_storage.aclose()


@pytest.mark.anyio
async def test_unreachable_to_many(
    unreachable_storage: Storage, connections_in_use: CountConnections
) -> None:
    """If twenty callers ask at once, each of them gets the error."""
    told: list[StorageUnavailable] = []

    async def ask() -> None:
        told.append(await failure(partial(unreachable_storage.get, APP, SITE)))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)

    assert 20 == len(told)
    assert 0 == connections_in_use(unreachable_storage)
    await unreachable_storage.aclose()


@pytest.mark.anyio
async def test_unreachable_in_a_block(unreachable_storage: Storage) -> None:
    """A block `async with storage` is not entered."""
    entered = unreachable_storage.__aenter__
    await failure(entered)

    await unreachable_storage.aclose()


@pytest.mark.anyio
async def test_unreachable_and_closed(unreachable_storage: Storage) -> None:
    """Closing a storage that could not be opened is no error, once or twice."""
    await failure(unreachable_storage.open)
    await unreachable_storage.aclose()
    await unreachable_storage.aclose()
