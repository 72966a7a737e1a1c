"""The end of an installation: its row is removed, and the app is told, once over all processes."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import anyio

from wix_asgi.concurrency.detached import DetachedTasks, Interrupted
from wix_asgi.errors import WixUnavailable
from wix_asgi.hooks import Hooks
from wix_asgi.installations._bounds import believed
from wix_asgi.installations.claims import on_uninstall_debt, removal_lease
from wix_asgi.installations.facts import installation_of
from wix_asgi.leases.lease import FixedTerms, Lease
from wix_asgi.models import GrantType, Installation, Record
from wix_asgi.storage import ClaimReader, Storage

__all__ = ["Removal", "RemovalPolicy", "end_of_generation"]

logger = logging.getLogger("wix_asgi")

_TICK: Final = timedelta(milliseconds=1)
"""The resolution of the times of installations in SQLite and Postgres (`wix_asgi_backends`)."""

_LAST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
"""A later time of a store, to which no tick can be added in every time zone, counts as this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalPolicy:
    """The lease under which an installation is removed and told of; durations are seconds."""

    lease_ttl: float = 10.0
    """How long the lease lasts unless it is renewed: the wait for the debt of a killed process.

    A third of it passes between two renewals, so that two of them may fail (`OnlyOnePolicy`).
    """

    poll_pause: float = 0.25
    """The pause between two looks at a lease that another process has; times 0.5 to 1.5, by chance.

    The other process deletes a row within milliseconds, and is then in the app's hook.
    """

    max_polls: int = 60
    """Looks for the debt of another process, about 15 s: the lease of a killed process ends sooner,
    and a process that lives pays its debt itself."""

    keep_debt: float = 72 * 3600.0
    """How long a debt stands in storage: the time for which the inbox knows the events that pay it
    (`WebhookPolicy.keep_keys`)."""


class Removal:
    """Removes installations of one app; shared by all parts that learn of an end.

    That `on_uninstall` is owed stands in storage from before the row goes until the hooks have
    ended, as the owner of a claim: a removed row can bear no mark. A process does all of this under
    a lease, so that a debt beside a free lease is that of a killed process.
    """

    def __init__(
        self,
        app_id: str,
        storage: Storage,
        hooks: Hooks,
        *,
        detached: DetachedTasks,
        forget: Callable[[str], object],
        policy: RemovalPolicy | None = None,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Remove from `storage`; `forget` drops the cached token of an instance id.

        `jitter` gives 0 to 1.
        """
        self._app_id = app_id
        self._storage = storage
        self._hooks = hooks
        self._detached = detached
        self._forget = forget
        self._policy = policy or RemovalPolicy()
        self._jitter = jitter
        self._sleep = sleep

    async def remove(self, instance_id: str, *, installed_before: datetime | None = None) -> bool:
        """Remove the installation that is there now, and call the `on_uninstall` hooks for it.

        A caller that is cancelled cuts off neither. No token is unsealed: a row with tokens of a
        lost key is removed as well. Other claims of the site in storage expire by themselves.

        Returns:
            Whether this call removed it; of many callers one gets True. A reinstall wins: an
            installation that was made at or after `installed_before`, or since this call has read
            the row, stays.

        Raises:
            StorageUnavailable: The storage cannot be reached; whether it was removed is not known.
            WixUnavailable: The process is shutting down.
        """
        task = self._detached.start(lambda: self._remove(instance_id, installed_before))
        try:
            return await task.result()
        except Interrupted:
            raise WixUnavailable("The process is shutting down.") from None

    async def pay(self, instance_id: str) -> None:
        """Call the hooks that a killed process owes for a removed installation of this site.

        Nothing is done where another process is at it, or where the installation is there still.

        Raises:
            StorageUnavailable: The storage cannot be reached; the debt may stand.
            WixUnavailable: The process is shutting down.
        """
        if not self._hooks.on_uninstall or await self._debt(instance_id) is None:
            return
        task = self._detached.start(lambda: self._pay(instance_id))
        try:
            await task.result()
        except Interrupted:
            raise WixUnavailable("The process is shutting down.") from None

    async def _remove(self, instance_id: str, installed_before: datetime | None) -> bool:
        try:
            found = await self._read(instance_id)
            if found is None:
                # Where its caller was killed along with it, the call may be the same one again.
                await self._pay_if_free(instance_id)
                return False
            before = _earlier(installed_before, found)
            if not self._hooks.on_uninstall:
                return await self._delete(instance_id, before)
            lease = self._lease(instance_id)
            while not await lease.take():
                await self._pause()
                now = await self._read(instance_id)
                if now is None or now.installed_at != found.installed_at:
                    return False  # the holder of the lease has removed it
            try:
                return await lease.while_renewing(partial(self._remove_alone, instance_id, before))
            finally:
                await lease.give_back()
        finally:
            # Also where it was not removed: a reinstall brought another token, which its row has.
            self._forget(instance_id)

    async def _remove_alone(self, instance_id: str, before: datetime | None) -> bool:
        """Remove and tell under the lease."""
        record = await self._pay_alone(instance_id)
        if record is None or (before and record.installed_at and record.installed_at >= before):
            return False
        installation = installation_of(record)
        # Before the row goes: a process that is killed in between leaves both or the debt.
        debt = _debt_of(installation)
        await self._storage.claim(
            on_uninstall_debt(self._app_id, instance_id), debt, self._policy.keep_debt
        )
        is_removed = await self._delete(instance_id, _earlier(before, record))
        # A delete whose answer was lost is repeated by the storage, and finds nothing.
        is_removed = is_removed or await self._read(instance_id) is None
        if is_removed:
            await self._hooks.uninstalled(installation)
        await self._storage.release(on_uninstall_debt(self._app_id, instance_id), debt)
        return is_removed

    async def _delete(self, instance_id: str, before: datetime | None) -> bool:
        is_removed = await self._storage.delete(self._app_id, instance_id, installed_before=before)
        if is_removed:
            logger.info("removed from site %s", instance_id, extra={"instance_id": instance_id})
        return is_removed

    async def _pay(self, instance_id: str) -> None:
        lease = self._lease(instance_id)
        for _ in range(self._policy.max_polls):
            if await lease.take():
                await self._pay_under(lease, instance_id)
                return
            await self._pause()
            if await self._debt(instance_id) is None:
                return  # the holder of the lease has told

    async def _pay_if_free(self, instance_id: str) -> None:
        """Pay a debt, unless a process has the lease: it may be this one, in its hook."""
        if not self._hooks.on_uninstall or await self._debt(instance_id) is None:
            return
        lease = self._lease(instance_id)
        if await lease.take():
            await self._pay_under(lease, instance_id)

    async def _pay_under(self, lease: Lease, instance_id: str) -> None:
        try:
            await lease.while_renewing(partial(self._pay_alone, instance_id))
        finally:
            await lease.give_back()

    async def _pay_alone(self, instance_id: str) -> Record | None:
        """Pay the debt of a killed process under the lease; return the row that there is."""
        debt, record = await self._debt(instance_id), await self._read(instance_id)
        owed = _installation_of(debt, self._app_id, instance_id)
        if debt is None or owed is None:
            return record
        # Killed before its delete where the row is that of the debt: nothing is over then.
        if record is None or installation_of(record).installed_at != owed.installed_at:
            await self._hooks.uninstalled(owed)
            await self._storage.release(on_uninstall_debt(self._app_id, instance_id), debt)
        return record

    async def _read(self, instance_id: str) -> Record | None:
        record = await self._storage.get(self._app_id, instance_id)
        return None if record is None else believed(record)

    async def _debt(self, instance_id: str) -> str | None:
        if not isinstance(self._storage, ClaimReader):
            return None  # only the process that removes can tell
        return await self._storage.claim_owner(on_uninstall_debt(self._app_id, instance_id))

    def _lease(self, instance_id: str) -> Lease:
        return Lease(
            self._storage,
            removal_lease(self._app_id, instance_id),
            terms=FixedTerms(self._policy.lease_ttl),
            title="the lease of a removal",
        )

    async def _pause(self) -> None:
        await self._sleep(self._policy.poll_pause * (0.5 + self._jitter()))


def end_of_generation(installed_at: datetime) -> datetime:
    """Return the time before which an installation of `installed_at` was made, and no later one."""
    return min(installed_at, _LAST) + _TICK


def _earlier(before: datetime | None, record: Record) -> datetime | None:
    """Return the time before which the installation of `record` was made, at most `before`."""
    if record.installed_at is None:
        return before
    end = end_of_generation(record.installed_at)
    return min(before or end, end)


def _debt_of(installation: Installation) -> str:
    """Return a removed installation as the owner of its debt."""
    return json.dumps(
        {
            "installed_at": installation.installed_at.isoformat(),
            "origin_instance_id": installation.origin_instance_id,
            "grant": installation.grant,
        }
    )


def _installation_of(debt: str | None, app_id: str, instance_id: str) -> Installation | None:
    """Return the removed installation of a debt; None where it is none, or a later release's."""
    if debt is None:
        return None
    try:
        facts = json.loads(debt)
        installed_at = datetime.fromisoformat(facts["installed_at"])
        grant, origin = GrantType(facts["grant"]), facts["origin_instance_id"]
    except (ValueError, TypeError, LookupError):
        return None
    return Installation(app_id, instance_id, installed_at, origin, grant)
