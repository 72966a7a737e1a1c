"""One refresh of one installation, now, by an operator: a process that calls no hook of the app."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import (
    NotInstalled,
    StorageUnavailable,
    UnsealError,
    WixError,
    WixMisconfigured,
    WixUnavailable,
)
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.scan import RecordScan
from wix_asgi.installations.versions import next_version
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage
from wix_asgi.tokens.cache import TokenCache
from wix_asgi.tokens.recheck import Rechecks
from wix_asgi.tokens.refresh import Refresher
from wix_asgi.transport.pooled import PoolTransport

__all__ = ["REFRESHED", "Outcome", "refresh_now"]

REFRESHED: Final = "refreshed"

_SHUTDOWN_GRACE: Final = 10.0
"""Seconds for a refresh under way to be stored; apps give it the same time (`wix_asgi.wix`)."""

_NOT_THERE: Final = "There is no such installation. Give its whole instance id."

_OUTCOMES: Final[dict[type[WixError], str]] = {
    WixMisconfigured: "misconfigured",
    WixUnavailable: "unavailable",
    StorageUnavailable: "storage_unavailable",
    UnsealError: "unreadable",
}
"""The outcomes of a refresh that fails, by its error."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a refresh.

    Attributes:
        kind: `REFRESHED`, or the kind of its failure.
        message: A sentence for the operator.
        token_seconds: How long the new access token lives; None after a failure.
    """

    kind: str
    message: str
    token_seconds: int | None = None


async def refresh_now(settings: WixSettings, storage: Storage, instance_id: str) -> Outcome:
    """Have Wix grant a new access token, and store it for all processes of the app."""
    installations = InstallationRepository(settings.app_id, storage, Vault(settings.key_ring()))
    try:
        stored = await installations.get(instance_id)
        if stored is None:
            return Outcome("not_there", _NOT_THERE)
        await _lift_verdict(storage, settings, instance_id)
        async with _tokens(storage, settings, installations) as tokens:
            if stored.access_token is None:
                token = await tokens.get(instance_id)
            else:
                token = await tokens.renew(instance_id, stored.access_token)
    except NotInstalled:
        if await storage.get(settings.app_id, instance_id) is None:
            return Outcome("not_there", _NOT_THERE)
        return Outcome("refused", "Wix refuses the installation: its site has to install again.")
    except tuple(_OUTCOMES) as exc:
        kinds = [kind for error, kind in _OUTCOMES.items() if isinstance(exc, error)]
        return Outcome(kinds[0], exc.message)
    seconds = round(token.expires_at - time.monotonic())
    return Outcome(REFRESHED, f"The new access token lives for {seconds:,} s.", seconds)


@contextlib.asynccontextmanager
async def _tokens(
    storage: Storage, settings: WixSettings, installations: InstallationRepository
) -> AsyncIterator[TokenCache]:
    # Without the app's hooks: an on_install that the app still owes stays owed.
    pool, detached = PoolTransport(), DetachedTasks()
    oauth = OAuthClient(Endpoints(settings), pool)
    refresher = Refresher(
        installations,
        storage,
        oauth,
        app_id=settings.app_id,
        flow=settings.flow,
        recover=settings.recover,
    )
    try:
        yield TokenCache(refresher, detached, Rechecks(installations))
    finally:
        await detached.aclose(_SHUTDOWN_GRACE)
        await pool.aclose()


async def _lift_verdict(storage: Storage, settings: WixSettings, instance_id: str) -> None:
    """Let a refresh be tried at once, though the last one failed a moment ago."""
    dated = await RecordScan(storage, settings.app_id).get(instance_id)
    if dated is not None and dated.record.failure is not None:
        version = dated.record.version
        lifted = dated.as_of_now(failure=None, version=next_version(version))
        await storage.replace(lifted, expected=version)
