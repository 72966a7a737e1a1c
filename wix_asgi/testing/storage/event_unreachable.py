"""An unreachable inbox is never taken for an empty one; the cases need `unreachable_storage`."""

from __future__ import annotations

from functools import partial

import pytest

from wix_asgi.testing.storage.event_lifecycle import EVENT_METHODS
from wix_asgi.testing.storage.unreachable import failure
from wix_asgi.testing.storage_check.event_records import EVENT, OWNER, PAYLOAD, InboxStorage
from wix_asgi.testing.storage_check.records import APP, SITE

__all__ = ["test_unreachable_inbox"]


@pytest.mark.anyio
@pytest.mark.parametrize("method", EVENT_METHODS)
async def test_unreachable_inbox(unreachable_storage: InboxStorage, method: str) -> None:
    """Every method raises the driver's error as `StorageUnavailable`, without a value of the call.

    No id, owner or payload is shown by the error.
    """
    error = await failure(partial(EVENT_METHODS[method], unreachable_storage))
    shown = f"{error!s} {error!r} {error.detail}"

    assert isinstance(error.__cause__, Exception)
    assert [] == [value for value in (APP, EVENT, OWNER, PAYLOAD.decode(), SITE) if value in shown]
    await unreachable_storage.aclose()
