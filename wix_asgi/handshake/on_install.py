"""The app's `on_install`, told of each installation: at least once, and once where nothing dies.

That it is owed stands on the installation's row, and goes when the hooks have ended. In between the
process holds a lease, so that of all processes one tells. The next process that reads the row of a
killed one tells again.

A debt is paid with the request of the callback, or without one: by the process that reads the row
for a caller or for an event. These give the callback of the same install some seconds to come
first, since only a callback can show the response of a hook.
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
from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks, Interrupted
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.concurrency.slots import Slots
from wix_asgi.errors import HandshakeRefused, Reason, StorageUnavailable, WixUnavailable
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


@dataclass(frozen=True, slots=True)
class _Payment:
    """A debt that is being paid without a request.

    Attributes:
        hurry: Ends the wait for the callback of the same install.
    """

    task: DetachedTask[None]
    hurry: anyio.Event


async def _pay_nothing(_: str) -> None: ...


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
        pay_removal: Callable[[str], Awaitable[None]] = _pay_nothing,
        policy: OnInstallPolicy | None = None,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Keep leases in `storage`; all arguments are the app's, whose owner closes them.

        `pay_removal` tells of the removal before this install, where that is owed still: an app
        that hears of it later would clear away the data of the new installation. `jitter` gives
        0 to 1.
        """
        self._app_id = app_id
        self._storage = storage
        self._installations = installations
        self._hooks = hooks
        self._clients = clients
        self._detached = detached
        self._pay_removal = pay_removal
        self._policy = policy or OnInstallPolicy()
        self._jitter = jitter
        self._sleep = sleep
        self._slots = Slots(self._policy.max_owed)
        self._owed: PerLoop[dict[str, _Payment]] = PerLoop(dict)

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
        if self.is_wanted:
            self._payment(instance_id)

    async def pay(self, instance_id: str, *, at_once: bool = False) -> None:
        """Do the same, and wait for its end, or for that of a process which is telling already.

        It waits for a callback no longer if `at_once`: that has come, or comes no more. The error
        of a hook is logged.

        Raises:
            WixUnavailable: The process is shutting down; it may be owed still.
        """
        if not self.is_wanted:
            return
        payment = self._payment(instance_id)
        if at_once:
            payment.hurry.set()
        try:
            await payment.task.result()
        except Interrupted:
            raise WixUnavailable("The process is shutting down.") from None

    def _payment(self, instance_id: str) -> _Payment:
        """Return the payment that is under way in this process, or begin it."""
        owed = self._owed.here()
        if instance_id not in owed:
            hurry = anyio.Event()
            # Waiting for a lease needs no shutdown to wait; a hook that has begun does.
            task = self._detached.start(
                lambda: self._pay(instance_id, owed[instance_id]), is_waited_for=False
            )
            owed[instance_id] = _Payment(task, hurry)
        return owed[instance_id]

    async def _pay(self, instance_id: str, payment: _Payment) -> None:
        def begin() -> None:
            payment.task.is_waited_for = True

        try:
            with anyio.move_on_after(self._policy.callback_wait):
                await payment.hurry.wait()
            with self._slots.slot() as slot:
                await slot.wait(math.inf)
                told = await self._tell_owed(instance_id, begin)
            error: BaseException | None = told.error
        except Exception as exc:
            error = exc
        finally:
            del self._owed.here()[instance_id]
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
        await self._answer(lambda: self._pay_removal(stored.instance_id))
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
