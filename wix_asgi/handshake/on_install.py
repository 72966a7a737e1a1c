"""The app's `on_install`, told of each installation: at least once, and once where nothing dies.

That it is owed stands on the installation's row, and goes when the hooks have ended. In between the
process holds a lease, so that of all processes one tells. The next process that reads the row of a
killed one tells again.
"""

from __future__ import annotations

import functools
import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
from starlette.requests import Request
from starlette.responses import Response

from wix_asgi._frames import without_locals
from wix_asgi.client.client import STATE_KEY, ClientFactory
from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.concurrency.slots import Slots
from wix_asgi.errors import HandshakeRefused, Reason, StorageUnavailable
from wix_asgi.handshake.policy import OnInstallPolicy
from wix_asgi.hooks import Hooks
from wix_asgi.installations.claims import on_install_lease
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.leases.lease import FixedTerms, Lease
from wix_asgi.models import Installation
from wix_asgi.reporting.one_line import one_line
from wix_asgi.storage import AddingStorage, Storage

__all__ = ["OnInstall"]

T = TypeVar("T")

logger = logging.getLogger("wix_asgi")


@dataclass(frozen=True, slots=True)
class _Told:
    """The end of the hooks: the response of one of them, or the error of one."""

    response: Response | None = None
    error: BaseException | None = None


class OnInstall:
    """Tells the `on_install` hooks of one app; shared by all requests and event loops."""

    def __init__(
        self,
        *,
        app_id: str,
        storage: Storage,
        installations: InstallationRepository,
        hooks: Hooks,
        clients: ClientFactory,
        detached: DetachedTasks,
        policy: OnInstallPolicy | None = None,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Keep leases in `storage`; all arguments are the app's, whose owner closes them.

        `jitter` gives 0 to 1.
        """
        self._app_id = app_id
        self._storage = storage
        self._installations = installations
        self._hooks = hooks
        self._clients = clients
        self._detached = detached
        self._policy = policy or OnInstallPolicy()
        self._jitter = jitter
        self._sleep = sleep
        self._slots = Slots(self._policy.max_owed)
        self._owed: PerLoop[set[str]] = PerLoop(set)

    @property
    def is_wanted(self) -> bool:
        """Whether the app has such a hook, in this process."""
        return bool(self._hooks.on_install)

    async def tell(self, stored: StoredInstallation, request: Request) -> Response | None:
        """Tell of an installation that this `request` has stored; return the hooks' response.

        It waits while another process tells of the same site, and while the storage fails.

        Raises:
            HandshakeRefused: A hook raised. It was told all the same.
        """
        if not self.is_wanted:
            return None
        client = self._clients.for_instance(stored.instance_id)
        state = {**request.scope.get("state", {}), STATE_KEY: client}
        request = Request({**request.scope, "state": state})
        if isinstance(self._storage, AddingStorage):
            told = await self._tell_once(stored.instance_id, request, mine=stored)
        else:
            # A storage without that capability keeps no mark: this process is the only one to tell.
            told = await self._call(stored, request)
        if told.error is not None:
            # Each error of a hook is refused as internal: a StorageUnavailable of the app must not
            # be answered as if the code were still good.
            raise HandshakeRefused(Reason.INTERNAL, "an on_install hook raised") from told.error
        return told.response

    def owe(self, instance_id: str) -> None:
        """Tell in the background of an installation without a request, if its row says so."""
        owed = self._owed.here()
        if not self.is_wanted or instance_id in owed:
            return
        owed.add(instance_id)
        # Waiting for a lease needs no shutdown to wait; a hook that has begun does.
        task = self._detached.start(lambda: self._pay(instance_id, task), is_waited_for=False)

    async def _pay(self, instance_id: str, task: DetachedTask[None]) -> None:
        def begin() -> None:
            task.is_waited_for = True

        try:
            with self._slots.slot() as slot:
                await slot.wait(math.inf)
                told = await self._tell_owed(instance_id, begin)
            error: BaseException | None = told.error
        except Exception as exc:
            error = exc
        finally:
            self._owed.here().discard(instance_id)
        if error is not None:
            logger.error(
                "on_install failed for site %s, which no browser installs just now",
                one_line(instance_id),
                exc_info=without_locals(error),
                extra={"instance_id": instance_id},
            )

    async def _tell_owed(self, instance_id: str, begin: Callable[[], None]) -> _Told:
        if isinstance(self._storage, AddingStorage):
            return await self._tell_once(instance_id, None, begin=begin)
        # No row has a mark there: only the process that found the installation comes here.
        stored = await self._answer(lambda: self._installations.get(instance_id))
        if stored is None:
            return _Told()
        begin()
        return await self._call(stored, None)

    async def _tell_once(
        self,
        instance_id: str,
        request: Request | None,
        *,
        mine: StoredInstallation | None = None,
        begin: Callable[[], None] = lambda: None,
    ) -> _Told:
        """Call the hooks under the lease if that is owed, or if the row is not `mine` any more."""
        lease = Lease(
            self._storage,
            on_install_lease(self._app_id, instance_id),
            terms=FixedTerms(self._policy.lease_ttl),
            title="the lease of on_install",
        )

        async def tell() -> _Told:
            stored = await self._answer(lambda: self._installations.get(instance_id))
            if stored is None:
                return _Told()  # the app was removed meanwhile
            is_mine = mine is None or stored.installed_at == mine.installed_at
            if is_mine and not stored.owes_on_install:
                return _Told()  # another process has told
            begin()
            told = await self._call(stored if is_mine else mine or stored, request)
            if is_mine:
                await self._note_told(stored)
            return told

        try:
            while not await self._answer(lease.take):
                await self._pause()
            return await lease.while_renewing(tell)
        finally:
            await lease.give_back()

    async def _call(self, stored: StoredInstallation, request: Request | None) -> _Told:
        installation = Installation(
            self._app_id,
            stored.instance_id,
            stored.installed_at,
            stored.origin_instance_id,
            stored.grant_type,
        )
        try:
            return _Told(await self._hooks.installed(installation, request))
        except (Exception, SystemExit) as exc:
            # An app's sys.exit(), in a task of ours, would end the whole server.
            return _Told(error=exc)

    async def _note_told(self, told: StoredInstallation) -> None:
        """Take the mark from the row, whatever else is written there at the same time."""
        stored: StoredInstallation | None = told
        while stored is not None and not await self._answer(
            functools.partial(self._installations.note_told, stored)
        ):
            stored = await self._answer(lambda: self._installations.get(told.instance_id))
            if stored is not None and stored.installed_at != told.installed_at:
                return  # a later install, which is owed by itself

    async def _answer(self, step: Callable[[], Awaitable[T]]) -> T:
        """Return the answer of the storage to a step, which is repeated while it fails."""
        while True:
            try:
                return await step()
            except StorageUnavailable:
                await self._pause()

    async def _pause(self) -> None:
        await self._sleep(self._policy.poll_pause * (0.5 + self._jitter()))
