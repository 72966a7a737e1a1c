"""What the tests of storages have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from wix_asgi.models import Record

APP = "5c1d2f0a-test-application"
SITE = "1f0c7a52-test-site"


def record(
    instance_id: str = SITE, version: str = "version-1", *, app_id: str = APP, **fields: object
) -> Record:
    """Return a record that has an access token for 300 seconds, or what `fields` say."""
    values: dict[str, object] = {
        "refresh_token": b"sealed refresh token",
        "access_token": b"sealed access token",
        "lifetime": 300.0,
        "expires_in": 300.0,
    }
    return Record(
        app_id=app_id,
        instance_id=instance_id,
        version=version,
        **(values | fields),  # type: ignore[arg-type] # the fields of a Record
    )


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds, for ten seconds at most."""
    with anyio.fail_after(10):
        while not await condition():  # noqa: ASYNC110 # another process may be awaited
            await anyio.sleep(0.01)
